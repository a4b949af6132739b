/*
 * Which schemas this process knows: compiled in, learned, and asked for.
 *
 * A reader needs the schema of the WRITER, which may be a newer or older
 * program. What is not compiled in is looked for by the learner (on
 * <p>.schemas), once for each fingerprint: a flood of records with a made-up
 * fingerprint must not become a flood of reads. What can go wrong: the learner
 * cannot reach Kafka; that is RETRY and asked again. Values that carry a schema
 * registry's id instead of a fingerprint are the same with the registry as learner.
 */
#include "common/schema.h"
#include "common/fields.h"
#include "common/log.h"
#include "common/records.h"
#include "common/run.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMAS_MAX 512
#define SCHEMA_BYTES_MAX ((size_t)256 * 1024)
#define MISSING_MAX 64
#define IDS_MAX 512
#define UNKNOWN_MS 30000 /* then the registry is asked again: it may have learned the id */

struct known {
    uint64_t fingerprint;
    const char *json; /* borrowed or owned, for the process's life */
    avro_schema_t parsed;
};

static struct ls_schema *compiled;
static struct schema_head *heads; /* of the compiled-in ones */
static size_t n_compiled;
static struct known known[SCHEMAS_MAX];
static size_t n_known;
static uint64_t missing[MISSING_MAX];
static size_t n_missing;

static struct {
    uint32_t id;
    bool unknown; /* to the registry too, when it was asked */
    int64_t asked_ms;
    uint64_t fingerprint;
} ids[IDS_MAX];
static size_t n_ids;
static int64_t unknown_ms = UNKNOWN_MS;
static schema_fetch_fn *fetcher;
static void *fetcher_arg;

static pthread_once_t compiled_once = PTHREAD_ONCE_INIT;

static ls_schema_learner_fn *learner;
static void *learner_arg;

uint64_t
ls_schema_fingerprint(const char *json, struct ls_err *err, int *ret_ok)
{
    struct ls_buf canonical;
    uint64_t fp = 0;

    ls_buf_init(&canonical, SCHEMA_BYTES_MAX);
    *ret_ok = schema_canonical(json, strlen(json), &canonical, err) == 0;
    if (*ret_ok)
        fp = schema_crc64(canonical.p, canonical.n);
    ls_buf_free(&canonical);
    return fp;
}

static void
compiled_load(void)
{
    struct ls_err err = {0};
    size_t n = 0;

    while (ls_schema_texts[n].name)
        n++;
    compiled = calloc(n + 1, sizeof(*compiled));
    heads = calloc(n + 1, sizeof(*heads));
    if (!compiled || !heads)
        abort(); /* a few hundred bytes at start-up */
    for (size_t i = 0; i < n; i++) {
        int ok;

        compiled[i] = (struct ls_schema){ls_schema_texts[i].name, ls_schema_texts[i].json, 0};
        compiled[i].fingerprint = ls_schema_fingerprint(compiled[i].json, &err, &ok);
        if (!ok) {
            ls_log(LS_ERROR, "bug", LS_S("schema", compiled[i].name), LS_S("message", err.msg));
            abort();
        }
        heads[i].n = (uint8_t)(rec_put_single_object(heads[i].bytes, compiled[i].fingerprint) -
                               heads[i].bytes);
        known[n_known++] =
            (struct known){.fingerprint = compiled[i].fingerprint, .json = compiled[i].json};
    }
    n_compiled = n;
}

const struct ls_schema *
ls_schema_all(size_t *ret_n)
{
    pthread_once(&compiled_once, compiled_load);
    *ret_n = n_compiled;
    return compiled;
}

static size_t
index_of(const char *name)
{
    size_t n;
    const struct ls_schema *all = ls_schema_all(&n);

    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i].name, name) == 0)
            return i;
    }
    ls_log(LS_ERROR, "bug", LS_S("message", "a schema is not compiled in"), LS_S("schema", name));
    abort();
}

uint64_t
schema_fingerprint_of(const char *name)
{
    size_t i = index_of(name); /* loads the tables too */

    return compiled[i].fingerprint;
}

const struct schema_head *
schema_head_of(const char *name)
{
    size_t i = index_of(name);

    return &heads[i];
}

/* Where an id stands, or is to: n_ids. */
static size_t
id_place(uint32_t id)
{
    size_t i = 0;

    while (i < n_ids && ids[i].id != id)
        i++;
    return i;
}

/* A registry that was made anew may give another schema an id that was known: what it says last
 * holds. */
void
schema_head_set(const char *name, uint32_t id)
{
    size_t index = index_of(name);
    struct schema_head *head = &heads[index];
    size_t place;

    place = id_place(id);
    if (place < IDS_MAX) {
        ids[place].id = id;
        ids[place].unknown = false;
        ids[place].fingerprint = compiled[index].fingerprint;
        n_ids += place == n_ids;
    }
    head->n = 5;
    head->bytes[0] = 0;
    for (int i = 0; i < 4; i++)
        head->bytes[1 + i] = (uint8_t)(id >> (8 * (3 - i)));
}

static struct known *
find(uint64_t fingerprint)
{
    for (size_t i = 0; i < n_known; i++) {
        if (known[i].fingerprint == fingerprint)
            return &known[i];
    }
    return NULL;
}

int
ls_schema_learn(struct ls_str json, struct ls_err *err)
{
    struct known k = {0};
    char *copy;
    int ok;

    pthread_once(&compiled_once, compiled_load);
    if (!json.p || json.n > SCHEMA_BYTES_MAX || memchr(json.p, '\0', json.n))
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "malformed-schema",
                             "a schema is empty, too large or holds a NUL");
    copy = strndup(json.p, json.n);
    if (!copy)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    k.fingerprint = ls_schema_fingerprint(copy, err, &ok);
    if (!ok)
        goto fail;
    if (find(k.fingerprint)) {
        free(copy);
        return 0;
    }
    if (n_known == SCHEMAS_MAX) {
        ls_fail_cause(err, LS_ERR_POISON, ENOSPC, "malformed-schema",
                      "more than %d schemas are known", SCHEMAS_MAX);
        goto fail;
    }
    if (avro_schema_from_json_length(copy, strlen(copy), &k.parsed) != 0) {
        ls_fail_cause(err, LS_ERR_POISON, EINVAL, "malformed-schema", "%.200s", avro_strerror());
        goto fail;
    }
    k.json = copy;
    known[n_known++] = k;
    return 0;
fail:
    free(copy);
    return -1;
}

void
ls_schema_set_learner(ls_schema_learner_fn *fn, void *arg)
{
    learner = fn;
    learner_arg = arg;
    n_missing = 0;
}

/* Asks the learner about a fingerprint it was not asked about before. */
static int
ask(uint64_t fingerprint, struct ls_err *err)
{
    if (!learner)
        return 0;
    for (size_t i = 0; i < n_missing && i < MISSING_MAX; i++) {
        if (missing[i] == fingerprint)
            return 0;
    }
    if (learner(learner_arg, fingerprint, err) < 0)
        return -1;
    if (!find(fingerprint))
        missing[n_missing++ % MISSING_MAX] = fingerprint;
    return 0;
}

bool
schema_is_compiled(uint64_t fingerprint)
{
    size_t n;
    const struct ls_schema *all = ls_schema_all(&n);

    for (size_t i = 0; i < n; i++) {
        if (all[i].fingerprint == fingerprint)
            return true;
    }
    return false;
}

int
schema_by_fingerprint(uint64_t fingerprint, avro_schema_t *ret, struct ls_err *err)
{
    struct known *k;

    pthread_once(&compiled_once, compiled_load);
    k = find(fingerprint);
    if (!k) {
        if (ask(fingerprint, err) < 0)
            return -1;
        k = find(fingerprint);
    }
    if (!k)
        return ls_fail_cause(err, LS_ERR_POISON, ENOENT, "unknown-schema",
                             "no schema has the fingerprint %016" PRIx64, fingerprint);
    if (!k->parsed && avro_schema_from_json_length(k->json, strlen(k->json), &k->parsed) != 0)
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "malformed-schema", "%.200s",
                             avro_strerror());
    *ret = k->parsed;
    return 0;
}

void
schema_set_fetcher(schema_fetch_fn *fn, void *arg)
{
    fetcher = fn;
    fetcher_arg = arg;
    n_ids = 0;
}

void
schema_unknown_for(int64_t ms)
{
    unknown_ms = ms;
}

/* Asks the registry about an id that it was not asked about before, or did not know. */
static int
fetch(uint32_t id, struct ls_err *err)
{
    size_t place = id_place(id);
    char *json = NULL;
    struct ls_err why = {0};
    int ok = 0, r = -1;

    if (place == IDS_MAX)
        place = n_ids = 0; /* made-up ids have filled it: the true ones are soon here again */
    if (fetcher(fetcher_arg, id, &json, err) < 0)
        return -1;
    ids[place].id = id;
    ids[place].unknown = true;
    if (json && ls_schema_learn(ls_str_of(json), &why) == 0) {
        ids[place].fingerprint = ls_schema_fingerprint(json, &why, &ok);
        ids[place].unknown = !ok;
    } else if (json && why.kind != LS_ERR_POISON) {
        if (err)
            *err = why;
        goto out;
    } else if (json) {
        ls_log_err(LS_WARN, "schema-skipped", &why);
    }
    ids[place].asked_ms = ls_mono_ms();
    n_ids += place == n_ids;
    r = 0;
out:
    free(json);
    return r;
}

int
schema_by_id(uint32_t id, uint64_t *ret_fingerprint, struct ls_err *err)
{
    size_t i;

    if (!fetcher)
        return ls_fail_cause(err, LS_ERR_POISON, ENOENT, "unknown-schema",
                             "the value names the schema %" PRIu32
                             " of a registry, and registry.url is not set",
                             id);
    i = id_place(id);
    if (i == n_ids || (ids[i].unknown && ls_mono_ms() - ids[i].asked_ms >= unknown_ms)) {
        if (fetch(id, err) < 0)
            return -1;
        i = id_place(id);
    }
    if (ids[i].unknown)
        return ls_fail_cause(err, LS_ERR_POISON, ENOENT, "unknown-schema",
                             "the registry has no Avro schema with the id %" PRIu32, id);
    *ret_fingerprint = ids[i].fingerprint;
    return 0;
}
