/*
 * Reading the stream and reading the tables come to the same: whatever people did, the last record
 * of each entity is what a snapshot of the tables would send.
 *
 * Each seed is a history. Its envelopes go through the codec and the mapping twice: with the small
 * tables known as far as the stream has come, and known to their end already, as to an instance
 * that starts again. SOURCE_SEEDS=5000 tries more, SOURCE_SEED=17 only that one.
 */
#include "tests/unit/transform/source_actions.h"
#include "transform/route.h"

#define HASH_NONFATAL_OOM 0
#include <uthash.h>

#define SEEDS 120
#define ACTIONS 110

/* The last record of each key. */
struct kept {
    char key[120]; /* topic and key */
    struct ls_seq seq;
    bool there;
    struct ls_str bytes; /* without what says how it came */
    UT_hash_handle hh;
};

struct reader {
    struct ls_arena *arena, *kept_arena;
    struct tf_known *known;
    struct tf_reach *reach;
    struct tf_zone zone;
    struct tf_world world;
    struct tf_route_state state;
    struct kept *kept;
    struct ls_buf buf;
    int64_t in, out, filtered, dead;
};

static void
reader_begin(struct reader *r)
{
    struct ls_envelope end = source_envelope(LS_T_STORAGES, LS_OP_END, (struct ls_seq){1, 1, 0});
    struct ls_err err = {0};

    memset(r, 0, sizeof(*r));
    r->arena = ls_arena_new(8u << 20);
    r->kept_arena = ls_arena_new(64u << 20);
    r->known = tf_known_new();
    r->reach = tf_reach_new(SOURCE_PARTITIONS);
    ls_buf_init(&r->buf, 1 << 20);
    r->world = (struct tf_world){.known = r->known,
                                 .zone = &r->zone,
                                 .reach = r->reach,
                                 .instance = "oc10",
                                 .partitions = SOURCE_PARTITIONS};
    ok(tf_known_feed(r->known, &end, &err)); /* the first snapshot is done */
}

static void
reader_end(struct reader *r)
{
    HASH_CLEAR(hh, r->kept);
    ls_arena_free(r->kept_arena);
    ls_arena_free(r->arena);
    tf_known_free(r->known);
    tf_reach_free(r->reach);
    ls_buf_free(&r->buf);
}

/* Takes out of a record what says how it came: sequence, times, the other half of a move. */
static struct cs3_head
strip(const struct tf_emit *emit)
{
    struct cs3_head *head = (struct cs3_head *)emit->record; /* each record begins with it */
    struct cs3_head was = *head;

    *head = (struct cs3_head){.kind = CS3_UPSERT};
    if (emit->topic == TF_RESOURCE)
        ((struct cs3_resource *)emit->record)->moved_from = LS_NO_STORAGE;
    return was;
}

static void
keep(struct reader *r, const struct tf_emit *emit)
{
    struct tf_result one = {.n = 1, .emits = {*emit}};
    struct ls_str values[TF_MAX_EMITS];
    struct cs3_head head = strip(emit);
    struct ls_err err = {0};
    struct kept *k = NULL;
    char key[120];
    int n = snprintf(key, sizeof(key), "%s %.*s", tf_topic_names[emit->topic], (int)emit->key.n,
                     emit->key.p);

    assert_in_range(n, 1, sizeof(key) - 1);
    HASH_FIND_STR(r->kept, key, k);
    if (k && ls_seq_cmp(head.seq, k->seq) < 0)
        return;
    if (!k) {
        k = ls_arena_alloc(r->kept_arena, sizeof(*k));
        assert_non_null(k);
        memcpy(k->key, key, (size_t)n + 1);
        HASH_ADD_STR(r->kept, key, k);
    }
    ok(tf_encode(&one, &r->buf, values, &err));
    k->seq = head.seq;
    k->there = head.kind == CS3_UPSERT;
    k->bytes.n = values[0].n;
    k->bytes.p = ls_arena_strndup(r->kept_arena, values[0].p, values[0].n);
    assert_non_null(k->bytes.p);
}

static struct ls_envelope *
decoded(struct reader *r, const struct sent *sent)
{
    struct ls_envelope *e = NULL;
    struct ls_err err = {0};

    ls_arena_reset(r->arena);
    ok(ls_envelope_decode(&ls_tables[sent->table], sent->bytes, r->arena, &e, &err));
    return e;
}

static void
take(struct reader *r, const struct sent *sent)
{
    struct ls_envelope *e = decoded(r, sent);
    struct tf_result result = {0};
    enum tf_sort sort = TF_ROW;
    struct ls_err err = {0};

    r->world.partition = sent->partition;
    r->in++;
    if (tf_route_envelope(&r->world, &r->state, e, r->arena, &result, &sort, &err) < 0) {
        if (err.kind != LS_ERR_POISON)
            fail_msg("%s", err.msg);
        r->dead++;
        return;
    }
    assert_int_equal(sort, TF_ROW);
    r->filtered += result.filtered != NULL;
    for (size_t i = 0; i < result.n; i++) {
        r->out += result.emits[i].counted;
        keep(r, &result.emits[i]);
    }
}

static void
know(struct reader *r, const struct sent *sent)
{
    struct ls_err err = {0};

    ok(tf_known_feed(r->known, decoded(r, sent), &err));
}

/* The whole stream; `ahead`: the small tables are known to their end before it begins. */
static void
read_stream(struct reader *r, const struct source *s, bool ahead)
{
    for (int i = 0; ahead && i < s->n_sent; i++)
        know(r, &s->sent[i]);
    for (int i = 0; i < s->n_sent; i++) {
        if (!ahead)
            know(r, &s->sent[i]);
        take(r, &s->sent[i]);
    }
}

/* The tables as they are now: capture's snapshot of them, `s->sent` anew. */
static void
read_tables(struct reader *r, struct source *s)
{
    int first = s->n_sent;

    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *row = &s->rows[i];
        struct ls_envelope e =
            source_envelope(row->table, LS_OP_READ, (struct ls_seq){1, ++s->counter, 0});

        if (row->gone)
            continue;
        e.has_after = true;
        memcpy(e.after, row->values, sizeof(e.after));
        source_send(s, &e);
    }
    for (int i = first; i < s->n_sent; i++)
        know(r, &s->sent[i]);
    for (int i = first; i < s->n_sent; i++)
        take(r, &s->sent[i]);
}

static void
balanced(const struct reader *r, const char *which, uint64_t seed)
{
    if (r->in != r->out + r->filtered + r->dead)
        fail_msg("seed %" PRIu64 ", %s: %" PRId64 " rows became %" PRId64 " records, %" PRId64
                 " filtered, %" PRId64 " dead",
                 seed, which, r->in, r->out, r->filtered, r->dead);
}

/* Every entity that one has, the other has alike; returns how many. */
static int
compare(const struct reader *a, const struct reader *b, const char *words, uint64_t seed)
{
    int n = 0;

    for (struct kept *k = a->kept; k; k = k->hh.next) {
        struct kept *other = NULL;

        if (!k->there)
            continue;
        n++;
        HASH_FIND_STR(b->kept, k->key, other);
        if (!other || !other->there)
            fail_msg("seed %" PRIu64 ": %s: %s is missing", seed, words, k->key);
        else if (!ls_str_eq(k->bytes, other->bytes))
            fail_msg("seed %" PRIu64 ": %s: %s differs", seed, words, k->key);
    }
    return n;
}

static int
one_history(uint64_t seed)
{
    struct source *s = calloc(1, sizeof(*s));
    struct reader stream, again, tables;
    int n;

    assert_non_null(s);
    s->arena = ls_arena_new(64u << 20);
    ls_buf_init(&s->buf, 1 << 20);
    source_begin(s, seed);
    for (int i = 0; i < ACTIONS; i++)
        source_act(s);
    reader_begin(&stream);
    reader_begin(&again);
    reader_begin(&tables);
    read_stream(&stream, s, false);
    read_stream(&again, s, true);
    read_tables(&tables, s);
    balanced(&stream, "stream", seed);
    balanced(&again, "stream, read again", seed);
    balanced(&tables, "tables", seed);
    assert_int_equal(stream.dead, 0);
    compare(&stream, &tables, "in the tables, compared with the stream", seed);
    n = compare(&tables, &stream, "in the stream, compared with the tables", seed);
    compare(&stream, &again, "in the stream read again, compared with the stream", seed);
    compare(&again, &stream, "in the stream, compared with the stream read again", seed);
    reader_end(&stream);
    reader_end(&again);
    reader_end(&tables);
    ls_buf_free(&s->buf);
    ls_arena_free(s->arena);
    free(s);
    return n;
}

static void
folding_the_stream_gives_what_reading_the_tables_gives(void **state)
{
    const char *one = getenv("SOURCE_SEED"), *many = getenv("SOURCE_SEEDS");
    uint64_t seeds = many ? strtoull(many, NULL, 10) : SEEDS;
    int entities = 0;

    (void)state;
    if (one) {
        (void)one_history(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= seeds; seed++)
        entities += one_history(seed);
    assert_true((uint64_t)entities > 20 * seeds); /* the histories are not empty */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding_the_stream_gives_what_reading_the_tables_gives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
