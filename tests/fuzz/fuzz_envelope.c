/*
 * Records from Kafka: row envelopes and desired states, in both framings.
 *
 * Input: a byte (which table, or behind them which of the cs3 types), then the value. A registry's
 * id is the number of a schema that is compiled in.
 *
 * What was decoded is encoded again; that and what is decoded from it are the same bytes. Our own
 * reader of the compiled-in schemas and avro-c take the same inputs for the same.
 */
#include "tests/fuzz/fuzz.h"

#include "common/fields.h"
#include "common/records.h"
#include "common/schema.h"

#define ARENA ((size_t)4 << 20)
#define N_CS3 5

static int
fetch(void *arg, uint32_t id, char **ret_json, struct ls_err *err)
{
    size_t n;
    const struct ls_schema *all = ls_schema_all(&n);

    (void)arg, (void)err;
    *ret_json = id < n ? strdup(all[id].json) : NULL;
    return 0;
}

static int
recode(unsigned which, struct ls_str value, struct ls_arena *arena, struct ls_buf *out)
{
    const struct cs3_type *const types[N_CS3] = {&cs3_resource_type, &cs3_space_type_,
                                                 &cs3_person_type_, &cs3_share_type_,
                                                 &cs3_annotation_type_};
    struct ls_envelope *envelope = NULL;
    struct ls_err err = {0};
    struct ls_str key;
    void *record = NULL;

    if (which >= LS_T_COUNT) {
        const struct cs3_type *type = types[which - LS_T_COUNT];
        if (cs3_decode(type, value, arena, &record, &err) < 0)
            return fuzz_failed(&err);
        PROMISE(cs3_encode(type, record, out, &err) == 0);
        return 0;
    }
    if (ls_envelope_decode(&ls_tables[which], value, arena, &envelope, &err) < 0)
        return fuzz_failed(&err);
    if (ls_envelope_key(envelope, arena, &key, &err) < 0)
        (void)fuzz_failed(&err);
    else
        fuzz_read(key.p, key.n);
    PROMISE(ls_envelope_encode(envelope, out, &err) == 0);
    return 0;
}

/* The judge's answer to the same bytes. */
static void
judge(unsigned which, struct ls_str value, struct ls_arena *arena, int r, const struct ls_buf *once)
{
    struct ls_buf again;

    ls_buf_init(&again, ARENA);
    (void)rec_read_by_avro_c(true);
    PROMISE(recode(which, value, arena, &again) == r);
    (void)rec_read_by_avro_c(false);
    PROMISE(r < 0 || (once->n == again.n && !memcmp(once->p, again.p, once->n)));
    ls_buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ls_arena *arena = ls_arena_new(ARENA);
    struct ls_buf once, twice;
    unsigned which;
    int r;
    uint8_t *copy;

    if (size < 1) {
        ls_arena_free(arena);
        return 0;
    }
    schema_set_fetcher(fetch, NULL);
    which = data[0] % (LS_T_COUNT + N_CS3);
    copy = fuzz_copy(data + 1, size - 1);
    ls_buf_init(&once, ARENA);
    ls_buf_init(&twice, ARENA);
    r = recode(which, (struct ls_str){(const char *)copy, size - 1}, arena, &once);
    judge(which, (struct ls_str){(const char *)copy, size - 1}, arena, r, &once);
    if (r == 0) {
        PROMISE(recode(which, (struct ls_str){(const char *)once.p, once.n}, arena, &twice) == 0);
        PROMISE(once.n == twice.n && !memcmp(once.p, twice.p, once.n));
    }
    ls_buf_free(&once);
    ls_buf_free(&twice);
    free(copy);
    ls_arena_free(arena);
    return 0;
}
