/*
 * The schema registry, over HTTP.
 *
 * Three calls are used: is this schema known under its subject, register it, give the schema of an
 * id (and a fourth by `lockstep check`: would it be taken); and each goes to the first URL that
 * answers. What can go wrong: a registry that is away, or a proxy in front of it that answers in
 * its place (5xx, text that is no JSON, no id): the next URL, then RETRY. So is "no such id" from
 * somebody who is no registry, and it counts only when all URLs say it: a follower may not have
 * read yet what its leader was told. A schema that the subject's compatibility rule refuses is
 * FATAL with the registry's own words: writing on would lock out the readers that the rule
 * protects. An answer may be long or never end: there is a cap and a deadline. Passwords stay out
 * of messages and logs, also those that somebody wrote into the URL.
 */
#include "common/registry.h"
#include "common/log.h"
#include "common/records.h"
#include "common/run.h"
#include "common/schema.h"
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)1 << 20)
#define FETCH_MS 60000
#define NO_SUCH_SCHEMA 40403 /* a registry's error_code; the 404 of a wrong path has another */
#define TYPE "application/vnd.schemaregistry.v1+json"

struct call {
    const struct ls_config *config;
    CURL *curl;
    struct curl_slist *headers;
    struct ls_buf answer;
    const char *path;
    const char *body; /* NULL: GET */
    long status;
    json_t *json; /* of a 2xx, an object; else what came, or NULL */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void
curl_begin(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t
on_data(char *p, size_t size, size_t n, void *arg)
{
    struct ls_buf *answer = arg;

    return ls_buf_append(answer, p, size * n) == 0 ? size * n : 0;
}

static void
call_close(struct call *c)
{
    json_decref(c->json);
    curl_slist_free_all(c->headers);
    curl_easy_cleanup(c->curl);
    ls_buf_free(&c->answer);
}

static int
call_open(struct call *c, const struct ls_config *config, struct ls_err *err)
{
    const char *user = ls_config_str(config, "registry", "user");
    const char *password = ls_config_str(config, "registry", "password");
    const char *ca = ls_config_str(config, "registry", "ca");
    long timeout = (long)ls_config_int(config, "registry", "timeout_ms");

    memset(c, 0, sizeof(*c));
    ls_buf_init(&c->answer, ANSWER_MAX);
    (void)pthread_once(&curl_once, curl_begin);
    c->config = config;
    c->curl = curl_easy_init();
    c->headers = curl_slist_append(NULL, "Content-Type: " TYPE);
    if (!c->curl || !c->headers || !curl_slist_append(c->headers, "Accept: " TYPE ", */*;q=0.5")) {
        call_close(c);
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    }
    (void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, timeout);
    (void)curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, timeout);
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &c->answer);
    (void)curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "lockstep/" LS_VERSION);
    if (ca)
        (void)curl_easy_setopt(c->curl, CURLOPT_CAINFO, ca);
    if (user) {
        (void)curl_easy_setopt(c->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        (void)curl_easy_setopt(c->curl, CURLOPT_USERNAME, user);
        (void)curl_easy_setopt(c->curl, CURLOPT_PASSWORD, password ? password : "");
    }
    return 0;
}

/* A URL as it may be shown: without what stands in front of an @. */
static void
url_show(const char *url, char *out, size_t size)
{
    const char *host = strstr(url, "://");
    const char *at, *slash;

    host = host ? host + 3 : url;
    slash = strchr(host, '/');
    at = strrchr(host, '@');
    if (at && (!slash || at < slash))
        (void)snprintf(out, size, "%.*s%.150s", (int)(host - url), url, at + 1);
    else
        (void)snprintf(out, size, "%.150s", url);
}

/* The registry's own words about a failure. */
static const char *
words(const struct call *c)
{
    const char *message = json_string_value(json_object_get(c->json, "message"));

    return message ? message : "it gives no reason";
}

/* One URL. -1: RETRY, worth asking the next one; 0: this is the registry's answer. */
static int
call_one(struct call *c, const char *base, struct ls_err *err)
{
    char url[1024], shown[200];
    char why[CURL_ERROR_SIZE] = "";
    size_t n = strlen(base);
    CURLcode code;

    while (n > 0 && base[n - 1] == '/')
        n--;
    url_show(base, shown, sizeof(shown));
    if ((size_t)snprintf(url, sizeof(url), "%.*s%s", (int)n, base, c->path) >= sizeof(url))
        return ls_fail_cause(err, LS_ERR_RETRY, EINVAL, "registry", "registry.url is too long");
    ls_buf_clear(&c->answer);
    json_decref(c->json);
    c->json = NULL;
    c->status = 0;
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, why);
    if (c->body) {
        (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(c->body));
        (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, c->body);
    } else {
        (void)curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    }
    code = curl_easy_perform(c->curl);
    (void)curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
    if (c->answer.failed)
        return ls_fail_cause(err, LS_ERR_RETRY, EMSGSIZE, "registry",
                             "the registry at %s answers more than %zu bytes", shown, ANSWER_MAX);
    if (code != CURLE_OK)
        return ls_fail_cause(err, LS_ERR_RETRY, (int)code, "registry",
                             "the registry at %s cannot be asked: %s", shown,
                             why[0] ? why : curl_easy_strerror(code));
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status);
    c->json = json_loadb((const char *)c->answer.p, c->answer.n, 0, NULL);
    if (c->status >= 500 || c->status == 408 || c->status == 429)
        return ls_fail_cause(err, LS_ERR_RETRY, (int)c->status, "registry",
                             "the registry at %s answers %ld: %.100s", shown, c->status, words(c));
    if (c->status / 100 == 3)
        return ls_fail_cause(err, LS_ERR_RETRY, (int)c->status, "registry",
                             "%s leads somewhere else (%ld): set registry.url to the place itself",
                             shown, c->status);
    if (c->status == 404 && !c->body &&
        json_integer_value(json_object_get(c->json, "error_code")) != NO_SUCH_SCHEMA)
        return ls_fail_cause(err, LS_ERR_RETRY, 404, "registry",
                             "what answers at %s is no schema registry: it has no such page",
                             shown);
    if (c->status / 100 == 2 && !json_is_object(c->json))
        return ls_fail_cause(err, LS_ERR_RETRY, (int)c->status, "registry",
                             "what answers at %s is no schema registry: the answer is no JSON "
                             "object",
                             shown);
    return 0;
}

/* A GET's 404 is the answer only when all URLs say so. */
static int
call_all(struct call *c, const char *path, const char *body, struct ls_err *err)
{
    const char *list = ls_config_str(c->config, "registry", "url");
    struct ls_err why = {0};
    bool none = false;

    c->path = path;
    c->body = body;
    while (*list) {
        size_t n = strcspn(list, ", ");
        char base[512];

        if (n > 0 && n < sizeof(base)) {
            memcpy(base, list, n);
            base[n] = '\0';
            if (call_one(c, base, &why) == 0) {
                if (body || c->status != 404)
                    return 0;
                none = true;
            }
        }
        list += n;
        list += strspn(list, ", ");
    }
    if (none && why.kind == LS_ERR_NONE)
        return 0;
    if (why.kind == LS_ERR_NONE)
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "registry", "registry.url names no URL");
    *err = why;
    return -1;
}

static bool
is_wanted(const struct ls_config *config)
{
    const char *url = ls_config_str(config, "registry", "url");

    return url && *url;
}

/* ---- writing */

/* The id in an answer of 200. */
static int
take_id(const struct call *c, const char *subject, uint32_t *ret, struct ls_err *err)
{
    const json_t *id = json_object_get(c->json, "id");
    json_int_t value = json_integer_value(id);

    if (!json_is_integer(id) || value < 0 || value > INT32_MAX)
        return ls_fail_cause(err, LS_ERR_RETRY, EBADMSG, "registry",
                             "the registry's answer about %s holds no id", subject);
    *ret = (uint32_t)value;
    return 0;
}

static int
refused(const struct call *c, const char *subject, struct ls_err *err)
{
    if (c->status == 409 || c->status == 422)
        return ls_fail_cause(err, LS_ERR_FATAL, (int)c->status, "registry-incompatible",
                             "the registry refuses our schema for %s: %.160s", subject, words(c));
    if (c->status == 404) /* of a question for which there is no such answer */
        return ls_fail_cause(err, LS_ERR_RETRY, 404, "registry",
                             "what answers about %s is no schema registry: it has no such page",
                             subject);
    if (c->status == 401 || c->status == 403)
        return ls_fail_cause(err, LS_ERR_FATAL, (int)c->status, "registry-auth",
                             "the registry does not let us (%ld) at %s: %.120s", c->status, subject,
                             words(c));
    return ls_fail_cause(err, LS_ERR_FATAL, (int)c->status, "registry",
                         "the registry answers %ld about %s: %.120s", c->status, subject, words(c));
}

/* What is asked about a schema; NULL with err. */
static char *
question_of(const char *schema, struct ls_err *err)
{
    json_t *question = json_pack("{s:s}", "schema", schema);
    char *body = question ? json_dumps(question, JSON_COMPACT) : NULL;

    json_decref(question);
    if (!body)
        (void)ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    return body;
}

/* Is it known under this subject? Where it is not (404), `otherwise` is asked with the same body, a
 * path that ends with the subject and `rest`. The last answer is in *c. */
static int
ask_schema(struct call *c, const char *subject, const char *body, const char *otherwise,
           const char *rest, bool *ret_known, struct ls_err *err)
{
    char path[400];

    (void)snprintf(path, sizeof(path), "/subjects/%s", subject);
    if (call_all(c, path, body, err) < 0)
        return -1;
    *ret_known = c->status / 100 == 2;
    if (c->status != 404)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/%s%s", otherwise, subject, rest);
    return call_all(c, path, body, err);
}

/* Known under this subject, or made known there. */
static int
find_or_register(struct call *c, const char *subject, const char *schema, uint32_t *ret,
                 struct ls_err *err)
{
    char *body = question_of(schema, err);
    bool known;
    int r = -1;

    if (!body)
        return -1;
    if (ask_schema(c, subject, body, "/subjects", "/versions", &known, err) < 0)
        goto out;
    r = c->status / 100 == 2 ? take_id(c, subject, ret, err) : refused(c, subject, err);
out:
    free(body);
    return r;
}

/* Known under this subject, or such that it would be taken there. */
static int
find_or_ask(struct call *c, const char *subject, const char *schema, bool *ret_known,
            struct ls_err *err)
{
    char *body = question_of(schema, err);
    const json_t *verdict;
    int r = -1;

    *ret_known = false;
    if (!body)
        return -1;
    if (ask_schema(c, subject, body, "/compatibility/subjects", "/versions/latest", ret_known,
                   err) < 0)
        goto out;
    verdict = json_object_get(c->json, "is_compatible");
    if (*ret_known)
        r = 0;
    else if (c->status / 100 == 2 && json_is_false(verdict))
        r = ls_fail_cause(err, LS_ERR_FATAL, 0, "registry-incompatible",
                          "the registry would refuse our schema for %s: its rule does not allow it",
                          subject);
    else if (c->status / 100 == 2 || c->status == 404) /* 404: a subject that is still to come */
        r = 0;
    else
        r = refused(c, subject, err);
out:
    free(body);
    return r;
}

/* "oc10/share" travels in the topic <prefix>.oc10.oc_share, "cs3/share" in <prefix>.cs3.share. */
static void
subject_of(const struct ls_config *config, const char *name, char *out, size_t size)
{
    const char *slash = strchr(name, '/');
    size_t n = slash ? (size_t)(slash - name) : 0;
    char suffix[80];

    (void)snprintf(suffix, sizeof(suffix), "%.*s.%s%s", (int)n, name,
                   strncmp(name, "oc10/", 5) == 0 ? "oc_" : "", name + n + 1);
    (void)snprintf(out, size, "%.250s-value", ls_config_topic(config, suffix));
}

int
ls_registry_register(const struct ls_config *config, const char *names, struct ls_err *err)
{
    size_t n_all, n = 0;
    const struct ls_schema *all = ls_schema_all(&n_all);
    struct call call;
    int r = -1;

    if (!is_wanted(config))
        return 0;
    if (call_open(&call, config, err) < 0)
        return -1;
    for (size_t i = 0; i < n_all; i++) {
        char subject[300];
        uint32_t id = 0;

        if (strncmp(all[i].name, names, strlen(names)) != 0)
            continue;
        subject_of(config, all[i].name, subject, sizeof(subject));
        if (find_or_register(&call, subject, all[i].json, &id, err) < 0)
            goto out;
        schema_head_set(all[i].name, id);
        n++;
    }
    ls_log(LS_INFO, "registry", LS_I("schemas", n));
    r = 0;
out:
    call_close(&call);
    return r;
}

int
ls_registry_check(const struct ls_config *config, size_t *ret_all, size_t *ret_known,
                  struct ls_err *err)
{
    size_t n_all, n = 0, known = 0;
    const struct ls_schema *all = ls_schema_all(&n_all);
    struct call call;
    int r = 0;

    *ret_all = *ret_known = 0;
    if (!is_wanted(config))
        return 0;
    if (call_open(&call, config, err) < 0)
        return -1;
    for (size_t i = 0; r == 0 && i < n_all; i++) {
        char subject[300];
        bool there = false;

        if (strncmp(all[i].name, "oc10/", 5) != 0 && strncmp(all[i].name, "cs3/", 4) != 0)
            continue;
        subject_of(config, all[i].name, subject, sizeof(subject));
        r = find_or_ask(&call, subject, all[i].json, &there, err);
        known += there;
        n++;
    }
    call_close(&call);
    if (r == 0) {
        *ret_all = n;
        *ret_known = known;
    }
    return r;
}

/* ---- reading */

static int
fetch_once(const struct ls_config *config, uint32_t id, char **ret_json, struct ls_err *err)
{
    struct call call;
    char path[64];
    const char *schema, *type;
    int r = -1;

    if (call_open(&call, config, err) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/schemas/ids/%" PRIu32, id);
    if (call_all(&call, path, NULL, err) < 0)
        goto out;
    if (call.status == 404) {
        r = 0;
        goto out;
    }
    if (call.status / 100 != 2) {
        r = refused(&call, path, err);
        goto out;
    }
    schema = json_string_value(json_object_get(call.json, "schema"));
    type = json_string_value(json_object_get(call.json, "schemaType"));
    if (!schema) {
        (void)ls_fail_cause(err, LS_ERR_RETRY, EBADMSG, "registry",
                            "the registry's answer about id %" PRIu32 " holds no schema", id);
        goto out;
    }
    if (!type || strcmp(type, "AVRO") == 0) {
        *ret_json = strdup(schema);
        if (!*ret_json) {
            (void)ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
            goto out;
        }
    }
    r = 0;
out:
    call_close(&call);
    return r;
}

static int
fetch(void *arg, uint32_t id, char **ret_json, struct ls_err *err)
{
    struct ls_backoff backoff = {.first_ms = 200, .max_ms = 5000};
    int64_t until = ls_mono_ms() + FETCH_MS;
    struct ls_err why;

    ls_log(LS_INFO, "schema-asked", LS_I("id", id));
    for (;;) {
        memset(&why, 0, sizeof(why));
        if (fetch_once(arg, id, ret_json, &why) == 0)
            return 0;
        if (why.kind != LS_ERR_RETRY || ls_run_stopping() || ls_mono_ms() >= until)
            break;
        ls_log_err(LS_WARN, "retry", &why);
        ls_run_notify_alive();
        ls_run_sleep_ms(ls_backoff_next_ms(&backoff));
    }
    if (err)
        *err = why;
    return -1;
}

void
ls_registry_attach(const struct ls_config *config)
{
    if (is_wanted(config))
        schema_set_fetcher(fetch, (void *)config);
}
