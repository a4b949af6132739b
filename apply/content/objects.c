/*
 * Objects out of an S3 bucket, by libcurl.
 *
 * Who reads pulls, libcurl pushes: what comes is kept until it is asked for, and the transfer
 * stands still while the buffer is full, so that a big object costs as much memory as a small one.
 * An upload may be slower than the server's patience with a connection that nobody reads from, so
 * breaking off is nothing special: the rest is asked for by Range, with If-Match, so that the two
 * halves are of one content.
 *
 * An answer may be about one object or about all of them, and S3 does not say which: 403 is a wrong
 * key, a policy, or (without s3:ListBucket) an object that is not there; 500 may be one that it
 * cannot read. So whatever is not clear is followed by a question to the bucket itself. Only when
 * that is not answered either, all objects are in trouble.
 *
 * libcurl 7.88 signs, but neither sends x-amz-content-sha256, without which S3 refuses, nor encodes
 * the path: both are done here. "Expect:" and the like must not be in the list of headers, because
 * it would sign what it does not send.
 */
#include "apply/content/objects.h"
#include "common/buf.h"
#include "common/run.h"
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_IDLE = 64, CONNECT_MS = 5000, TRIES = 4, ANSWER_MAX = 4096, ETAG_SIZE = 256 };
#define ROOM ((size_t)128 * 1024) /* at least CURL_MAX_WRITE_SIZE */
#define SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* A connection, and the loop that drives it. */
struct line {
    CURLM *multi;
    CURL *curl;
};

struct ap_objects {
    char base[1200]; /* scheme, host, bucket: all but the key, without a slash at its end */
    char prefix[512], sign[128], access_key[256], secret_key[256];
    const char *ca; /* borrowed of the config */
    int64_t quiet_ms;
    pthread_mutex_t mutex;
    struct line idle[MAX_IDLE];
    unsigned n_idle;
};

/* One request, and its answer as far as it has come. */
struct ap_object {
    struct ap_objects *objects;
    struct line line;
    struct curl_slist *headers;
    char url[2048], etag[ETAG_SIZE], range[40];
    int64_t size, got; /* of the content: all; how much was received, in all requests */
    uint8_t *room;
    size_t head, held; /* in `room`: what was not asked for yet */
    /* of this request */
    bool added, answered, over, full;
    CURLcode code;
    long status;
    int64_t length, from, total, retry_after_ms, heard_ms;
    int64_t start; /* what was asked for begins there */
    int64_t skip;  /* what came begins so much before that, and was had already */
    char etag_now[ETAG_SIZE];
    struct ls_buf words; /* of an answer that is no content */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode global;

static void
init_once(void)
{
    global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- the bucket */
static int
wrong(struct ls_err *err, const char *key, const char *what)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "option", "[data] %s %s", key, what);
}

/* Letters, digits and these: nothing that would change the URL's meaning. */
static bool
is_plain(const char *text, const char *others)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr(others, *text))
            return false;
    return true;
}

/* As S3 wants it in what is signed: all but the unreserved characters and the slash. */
static bool
path_encode(const char *in, char *out, size_t size)
{
    size_t n = 0;

    for (; *in; in++) {
        if (n + 4 > size)
            return false;
        if (isalnum((unsigned char)*in) || strchr("-._~/", *in))
            out[n++] = *in;
        else
            n += (size_t)snprintf(out + n, 4, "%%%02X", (unsigned char)*in);
    }
    out[n] = '\0';
    return true;
}

static int
base_make(const struct ls_config *config, struct ap_objects *objects, const char *bucket,
          struct ls_err *err)
{
    const char *endpoint = ls_config_str(config, "data", "s3_endpoint"), *host;
    int len = (int)strlen(endpoint), n;

    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    host = strstr(endpoint, "://");
    if ((strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0) ||
        host + 3 >= endpoint + len || strpbrk(endpoint, "?#@ "))
        return wrong(err, "s3_endpoint", "is not a URL of http or https");
    if (ls_config_bool(config, "data", "s3_path_style"))
        n = snprintf(objects->base, sizeof(objects->base), "%.*s/%s", len, endpoint, bucket);
    else
        n = snprintf(objects->base, sizeof(objects->base), "%.*s://%s.%.*s", (int)(host - endpoint),
                     endpoint, bucket, len - (int)(host + 3 - endpoint), host + 3);
    if (n < 0 || (size_t)n >= sizeof(objects->base))
        return wrong(err, "s3_endpoint", "is too long");
    return 0;
}

static int
options_take(const struct ls_config *config, struct ap_objects *objects, struct ls_err *err)
{
    const char *bucket, *access_key, *secret_key;
    const char *region = ls_config_str(config, "data", "s3_region");

    if (ls_config_require(config, "data", "s3_bucket", &bucket, err) < 0 ||
        ls_config_require(config, "data", "s3_access_key", &access_key, err) < 0 ||
        ls_config_require(config, "data", "s3_secret_key", &secret_key, err) < 0) {
        if (err)
            snprintf(err->cause, sizeof(err->cause), "option");
        return -1;
    }
    if (!is_plain(bucket, "-._"))
        return wrong(err, "s3_bucket", "is not a bucket's name");
    if (!is_plain(region, "-_"))
        return wrong(err, "s3_region", "is not a region's name");
    if (!path_encode(ls_config_str(config, "data", "s3_prefix"), objects->prefix,
                     sizeof(objects->prefix)))
        return wrong(err, "s3_prefix", "is too long");
    if (strlen(access_key) >= sizeof(objects->access_key) ||
        strlen(secret_key) >= sizeof(objects->secret_key) || strlen(region) > 80)
        return wrong(err, "s3_secret_key, s3_access_key or s3_region", "is too long");
    snprintf(objects->access_key, sizeof(objects->access_key), "%s", access_key);
    snprintf(objects->secret_key, sizeof(objects->secret_key), "%s", secret_key);
    snprintf(objects->sign, sizeof(objects->sign), "aws:amz:%.80s:s3", region);
    objects->ca = ls_config_str(config, "data", "s3_ca");
    objects->quiet_ms = ls_config_int(config, "data", "s3_timeout_ms");
    return base_make(config, objects, bucket, err);
}

int
ap_objects_new(const struct ls_config *config, struct ap_objects **ret, struct ls_err *err)
{
    const char *endpoint = ls_config_str(config, "data", "s3_endpoint");
    struct ap_objects *objects;

    *ret = NULL;
    if (!endpoint || !*endpoint)
        return 0;
    pthread_once(&once, init_once);
    objects = global ? NULL : calloc(1, sizeof(*objects));
    if (!objects)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "libcurl cannot start");
    if (options_take(config, objects, err) < 0) {
        free(objects);
        return -1;
    }
    pthread_mutex_init(&objects->mutex, NULL);
    *ret = objects;
    return 0;
}

static void
line_drop(struct line line)
{
    curl_easy_cleanup(line.curl);
    curl_multi_cleanup(line.multi);
}

void
ap_objects_free(struct ap_objects *objects)
{
    if (!objects)
        return;
    for (unsigned i = 0; i < objects->n_idle; i++)
        line_drop(objects->idle[i]);
    pthread_mutex_destroy(&objects->mutex);
    OPENSSL_cleanse(objects->secret_key, sizeof(objects->secret_key));
    free(objects);
}

bool
ap_is_bucket_cause(const char *cause)
{
    return strncmp(cause, "bucket-", 7) == 0;
}

bool
ap_objects_hold(const char *id, const char *uid)
{
    static const char *const start = "object::user:";
    uint8_t sum[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1] = "", whole[512];
    unsigned n = 0;
    int len;

    if (strncmp(id, start, strlen(start)) == 0)
        return true;
    len = snprintf(whole, sizeof(whole), "%s%s", start, uid);
    if (strlen(id) != 32 || len < 0 || (size_t)len >= sizeof(whole) ||
        !EVP_Digest(whole, (size_t)len, sum, &n, EVP_md5(), NULL))
        return false;
    for (unsigned i = 0; i < n; i++)
        snprintf(text + (size_t)2 * i, 3, "%02x", sum[i]);
    return strcmp(text, id) == 0;
}

static bool
line_take(struct ap_objects *objects, struct line *ret)
{
    struct line line = {NULL, NULL};

    pthread_mutex_lock(&objects->mutex);
    if (objects->n_idle)
        line = objects->idle[--objects->n_idle];
    pthread_mutex_unlock(&objects->mutex);
    if (!line.multi)
        line = (struct line){curl_multi_init(), curl_easy_init()};
    if (!line.multi || !line.curl) {
        line_drop(line);
        return false;
    }
    *ret = line;
    return true;
}

static void
line_give(struct ap_objects *objects, struct line line)
{
    pthread_mutex_lock(&objects->mutex);
    if (objects->n_idle < MAX_IDLE) {
        objects->idle[objects->n_idle++] = line;
        line = (struct line){NULL, NULL};
    }
    pthread_mutex_unlock(&objects->mutex);
    line_drop(line);
}

/* ---- callbacks */
static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
    struct ap_object *o = arg;
    size_t len = size * n, skip;

    o->heard_ms = ls_mono_ms();
    if (o->status != 200 && o->status != 206) {
        skip = o->words.cap - o->words.n; /* its beginning is enough */
        ls_buf_append(&o->words, p, len < skip ? len : skip);
        return len;
    }
    skip = o->skip < (int64_t)len ? (size_t)o->skip : len;
    if (o->head + o->held + (len - skip) > ROOM) {
        o->full = true;
        return CURL_WRITEFUNC_PAUSE; /* the same bytes come again */
    }
    o->skip -= (int64_t)skip;
    memcpy(o->room + o->head + o->held, p + skip, len - skip);
    o->held += len - skip;
    o->got += (int64_t)(len - skip);
    return len;
}

static const char *
header_value(const char *line, const char *name)
{
    size_t n = strlen(name);

    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    line += n + 1;
    return line + strspn(line, " \t");
}

/* "bytes 5-9/10" */
static void
content_range(struct ap_object *o, const char *value)
{
    char *end;

    if (strncasecmp(value, "bytes ", 6) != 0)
        return;
    o->from = strtoll(value + 6, &end, 10);
    end = strchr(end, '/');
    if (end)
        o->total = strtoll(end + 1, NULL, 10);
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
    struct ap_object *o = arg;
    char line[600];
    const char *value;

    snprintf(line, sizeof(line), "%.*s", (int)(size * n > 590 ? 590 : size * n), p);
    line[strcspn(line, "\r\n")] = '\0';
    o->heard_ms = ls_mono_ms();
    if (!strncmp(line, "HTTP/", 5)) {
        value = strchr(line, ' ');
        o->status = value ? strtol(value, NULL, 10) : 0;
        o->length = o->from = o->total = -1;
        o->etag_now[0] = '\0';
    } else if (!line[0]) {
        o->answered = o->answered || o->status >= 200;
        o->skip = o->status == 200 ? o->start : 0; /* no Range there: all of it once more */
    } else if ((value = header_value(line, "content-length"))) {
        o->length = strtoll(value, NULL, 10);
    } else if ((value = header_value(line, "content-range"))) {
        content_range(o, value);
    } else if ((value = header_value(line, "etag")) && strlen(value) < ETAG_SIZE) {
        snprintf(o->etag_now, sizeof(o->etag_now), "%s", value);
    } else if ((value = header_value(line, "retry-after"))) {
        long seconds = strtol(value, NULL, 10);
        o->retry_after_ms = seconds > 0 && seconds < 3600 ? seconds * 1000 : 0;
    }
    return size * n;
}

/* ---- one request */
static bool
header_add(struct ap_object *o, const char *name, const char *value)
{
    char line[ETAG_SIZE + 64];
    struct curl_slist *longer;

    snprintf(line, sizeof(line), "%s: %s", name, value);
    longer = curl_slist_append(o->headers, line);
    o->headers = longer ? longer : o->headers;
    return longer != NULL;
}

static void
request_end(struct ap_object *o)
{
    if (o->added)
        curl_multi_remove_handle(o->line.multi, o->line.curl);
    o->added = false;
    curl_slist_free_all(o->headers);
    o->headers = NULL;
}

static void
handle_setup(struct ap_object *o)
{
    const struct ap_objects *objects = o->objects;
    CURL *curl = o->line.curl;

    curl_easy_reset(curl); /* options go, the connection stays */
    curl_easy_setopt(curl, CURLOPT_URL, o->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    if (objects->ca)
        curl_easy_setopt(curl, CURLOPT_CAINFO, objects->ca);
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, objects->sign);
    curl_easy_setopt(curl, CURLOPT_USERNAME, objects->access_key);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, objects->secret_key);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, o->headers);
    curl_easy_setopt(curl, CURLOPT_RANGE, o->range[0] ? o->range : NULL);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, o);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, o);
}

/* Asks for the content from `got` on. */
static int
request_begin(struct ap_object *o, struct ls_err *err)
{
    request_end(o);
    ls_buf_clear(&o->words);
    o->answered = o->over = o->full = false;
    o->code = CURLE_OK;
    o->status = 0;
    o->length = o->from = o->total = -1;
    o->skip = o->retry_after_ms = 0;
    o->start = o->got;
    o->etag_now[0] = o->range[0] = '\0';
    if (o->got > 0)
        snprintf(o->range, sizeof(o->range), "%lld-", (long long)o->got);
    if (!header_add(o, "x-amz-content-sha256", SHA256_OF_NOTHING) ||
        (o->etag[0] && !header_add(o, "If-Match", o->etag)))
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    handle_setup(o);
    o->heard_ms = ls_mono_ms();
    if (curl_multi_add_handle(o->line.multi, o->line.curl) != CURLM_OK)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    o->added = true;
    return 0;
}

/* Lets the transfer go on until it has something that the caller waits for, or is over. */
static void
drive(struct ap_object *o, bool for_body)
{
    struct CURLMsg *message;
    int running = 0, left;

    o->heard_ms = ls_mono_ms(); /* the time that the reader took is not the server's */
    while (!o->over && !(for_body ? o->held > 0 : o->answered)) {
        if (o->full) {
            o->full = false;
            curl_easy_pause(o->line.curl, CURLPAUSE_CONT);
        }
        if (curl_multi_perform(o->line.multi, &running) != CURLM_OK) {
            o->over = true;
            o->code = CURLE_OUT_OF_MEMORY;
        }
        while ((message = curl_multi_info_read(o->line.multi, &left)))
            if (message->msg == CURLMSG_DONE) {
                o->over = true;
                o->code = message->data.result;
            }
        if (o->over || o->full || (for_body ? o->held > 0 : o->answered))
            continue;
        if (ls_mono_ms() - o->heard_ms > o->objects->quiet_ms) {
            o->over = true;
            o->code = CURLE_OPERATION_TIMEDOUT;
            break;
        }
        curl_multi_poll(o->line.multi, NULL, 0, 200, NULL);
    }
}

/* All of an answer that is no content, to its end. */
static void
drive_to_end(struct ap_object *o)
{
    while (!o->over) {
        o->head = o->held = 0;
        drive(o, true);
    }
}

/* ---- what an answer means */
/* The text of <Code>, "" when there is none. */
static void
code_of(struct ap_object *o, char *out, size_t size)
{
    const char *text, *start, *end;

    out[0] = '\0';
    text = ls_buf_text(&o->words);
    start = text ? strstr(text, "<Code>") : NULL;
    end = start ? strchr(start + 6, '<') : NULL;
    if (!end || end - start - 6 >= (long)size)
        return;
    snprintf(out, size, "%.*s", (int)(end - start - 6), start + 6);
    if (!is_plain(out, ""))
        out[0] = '\0';
}

/* No answer at all. */
static int
line_fail(const struct ap_object *o, struct ls_err *err)
{
    switch (o->code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return ls_fail_cause(err, LS_ERR_RETRY, (int)o->code, "bucket-refused",
                             "the bucket's certificate is not trusted ([data] s3_ca): %s",
                             curl_easy_strerror(o->code));
    case CURLE_URL_MALFORMAT:
        return ls_fail_cause(err, LS_ERR_RETRY, (int)o->code, "bucket-refused",
                             "[data] s3_endpoint is not a URL");
    case CURLE_OUT_OF_MEMORY:
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    default:
        return ls_fail_cause(err, LS_ERR_RETRY, (int)o->code, "bucket-down",
                             "the bucket does not answer: %s", curl_easy_strerror(o->code));
    }
}

/* What S3 says of who asks, or how, and never of one object. */
static bool
is_about_us(const char *code)
{
    static const char *const codes[] = {
        "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed",
        "ExpiredToken",       "InvalidToken",          "AuthorizationHeaderMalformed",
        "AccountProblem",     "AllAccessDisabled",     "NoSuchBucket",
        "PermanentRedirect",  "InvalidBucketName",     "NotSignedUp",
    };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(code, codes[i]) == 0)
            return true;
    return false;
}

/* The cause that a status stands for when it is of the whole bucket. */
static int
status_fail(struct ap_object *o, struct ls_err *err)
{
    char code[64];

    if (o->code != CURLE_OK)
        return line_fail(o, err);
    code_of(o, code, sizeof(code));
    if (o->status == 503 || o->status == 429)
        return ls_fail_cause(err, LS_ERR_RETRY, (int)o->retry_after_ms, "bucket-slow",
                             "the bucket asks for less: HTTP %ld %s", o->status, code);
    if (o->status >= 500)
        return ls_fail_cause(err, LS_ERR_RETRY, (int)o->status, "bucket-down",
                             "the bucket's server fails: HTTP %ld %s", o->status, code);
    return ls_fail_cause(err, LS_ERR_RETRY, (int)o->status, "bucket-refused",
                         strcmp(code, "RequestTimeTooSkewed") == 0
                             ? "the bucket refuses: HTTP %ld %s (this machine's clock)"
                             : "the bucket refuses ([data] s3_*): HTTP %ld %s",
                         o->status, code);
}

/* It may be the object or the bucket: the bucket is asked. */
static int
blame(struct ap_object *o, const struct ls_err *why, struct ls_err *err)
{
    struct ls_err of_bucket = {0};

    if (ap_objects_check(o->objects, &of_bucket) < 0) {
        if (err)
            *err = of_bucket;
        return -1;
    }
    return ls_fail_cause(err, LS_ERR_RETRY, why->code, "content-unreadable",
                         "the object cannot be read, others can: %.150s", why->msg);
}

static int
changed(struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "content-changed",
                         "the object was replaced while it was read");
}

/* An answer that is not the content, or none. `again`: none is no verdict yet. */
static int
refused(struct ap_object *o, bool again, struct ls_err *err)
{
    struct ls_err why = {0};
    char code[64];

    drive_to_end(o);
    code_of(o, code, sizeof(code));
    if (o->code == CURLE_OK && o->status == 404 && strcmp(code, "NoSuchBucket") != 0) {
        /* without S3's word for it somebody in front of the bucket may have said so */
        if (strcmp(code, "NoSuchKey") != 0 && ap_objects_check(o->objects, err) < 0)
            return -1;
        return ls_fail_cause(err, LS_ERR_RETRY, 404, "content-missing",
                             "the bucket has no such object");
    }
    if (o->code == CURLE_OK && o->etag[0] && (o->status == 412 || o->status == 416))
        return changed(err);
    status_fail(o, &why);
    if (strcmp(why.cause, "bucket-slow") == 0 || is_about_us(code) || (again && !o->answered)) {
        if (err)
            *err = why;
        return -1;
    }
    return blame(o, &why, err);
}

/* The first answer: what is the object? */
static int
first_answer(struct ap_object *o, struct ls_err *err)
{
    struct ls_err why = {0};

    drive(o, false);
    if (!o->answered || o->status != 200)
        return refused(o, false, err);
    if (o->length < 0) {
        ls_fail_cause(&why, LS_ERR_RETRY, 0, "content-unreadable", "its size is not said");
        return blame(o, &why, err);
    }
    o->size = o->length;
    memcpy(o->etag, o->etag_now, sizeof(o->etag));
    return 0;
}

/* The rest, after the connection broke. */
static int
next_answer(struct ap_object *o, struct ls_err *err)
{
    drive(o, false);
    if (!o->answered || (o->status != 200 && o->status != 206))
        return refused(o, true, err);
    if (strcmp(o->etag, o->etag_now) != 0)
        return changed(err);
    if (o->status == 206 ? o->from != o->start || o->total != o->size : o->length != o->size)
        return changed(err);
    return 0;
}

static void
object_free(struct ap_object *o)
{
    if (!o)
        return;
    ls_buf_free(&o->words);
    free(o->room);
    free(o);
}

/* With a line that is to be given back or dropped. */
static struct ap_object *
object_new(struct ap_objects *objects, struct ls_err *err)
{
    struct ap_object *o = calloc(1, sizeof(*o));

    if (o) {
        o->objects = objects;
        o->room = malloc(ROOM);
        ls_buf_init(&o->words, ANSWER_MAX);
        if (o->room && line_take(objects, &o->line))
            return o;
    }
    object_free(o);
    ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    return NULL;
}

int
ap_objects_check(struct ap_objects *objects, struct ls_err *err)
{
    struct ap_object *o = object_new(objects, err);
    int r = -1;

    if (!o)
        return -1;
    snprintf(o->url, sizeof(o->url), "%s/?max-keys=1", objects->base);
    if (request_begin(o, err) == 0) {
        drive_to_end(o);
        r = o->code == CURLE_OK && o->status == 200 ? 0 : status_fail(o, err);
    }
    request_end(o);
    line_give(objects, o->line);
    object_free(o);
    return r;
}

/* ---- an object */
int
ap_object_open(struct ap_objects *objects, int64_t fileid, struct ap_object **ret,
               struct ls_err *err)
{
    struct ap_object *o = object_new(objects, err);

    if (!o)
        return -1;
    snprintf(o->url, sizeof(o->url), "%s/%s%lld", objects->base, objects->prefix,
             (long long)fileid);
    if (request_begin(o, err) < 0 || first_answer(o, err) < 0) {
        ap_object_close(o);
        return -1;
    }
    *ret = o;
    return 0;
}

int64_t
ap_object_size(const struct ap_object *object)
{
    return object->size;
}

/* The connection broke before the end. */
static int
go_on(struct ap_object *o, struct ls_err *err)
{
    struct ls_err why = {0};

    if (!o->etag[0]) { /* nothing says that the rest would be of the same content */
        line_fail(o, &why);
        return blame(o, &why, err);
    }
    for (int try = 0; try < TRIES; try++) {
        if (try > 0)
            ls_run_sleep_ms((int64_t)50 << (2 * try));
        if (request_begin(o, &why) == 0 && next_answer(o, &why) == 0) {
            drive(o, true);
            if (o->held > 0)
                return 0;
            line_fail(o, &why);
        }
        if (strcmp(why.cause, "bucket-down") != 0 && strcmp(why.cause, "bucket-slow") != 0)
            break;
    }
    if (strcmp(why.cause, "bucket-down") == 0)
        return blame(o, &why, err);
    if (err)
        *err = why;
    return -1;
}

ssize_t
ap_object_read(struct ap_object *o, void *p, size_t n, struct ls_err *err)
{
    if (o->held == 0) {
        o->head = 0;
        if (o->got == o->size)
            return 0;
        drive(o, true);
        if (o->held == 0 && go_on(o, err) < 0)
            return -1;
    }
    if (o->got > o->size)
        return changed(err);
    n = n < o->held ? n : o->held;
    memcpy(p, o->room + o->head, n);
    o->head += n;
    o->held -= n;
    return (ssize_t)n;
}

void
ap_object_close(struct ap_object *o)
{
    bool whole;

    if (!o)
        return;
    if (o->answered && o->got == o->size && !o->over)
        drive(o, true); /* its connection can be used again */
    whole = o->over && o->code == CURLE_OK;
    request_end(o);
    if (whole)
        line_give(o->objects, o->line);
    else
        line_drop(o->line);
    object_free(o);
}
