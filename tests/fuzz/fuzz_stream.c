/*
 * Events one behind another, through the stream with the real schema; the publisher is acted.
 *
 * Input: a byte (1: events end with a CRC, 2: of MySQL), then events. Beside memory: the count of
 * rows is that of the rows given out, transactions only become more, a failure has its cause and
 * place. And a stream that was restarted does what a new one does: the same rows, the same
 * position, the same end.
 */
#include "tests/fuzz/fuzz.h"

#include "capture/publish/publish.h"
#include "capture/stream/stream.h"
#include "common/log.h"

#define EVENTS_MAX 64
#define ROWS_MAX (1 << 16)

struct outcome {
    int64_t rows, groups;
    uint64_t hash; /* of what was given out */
    int events;
    char cause[sizeof(((struct ls_err *)0)->cause)];
    char *position;
};

static struct cap_position position;
static struct outcome *now;

struct cap_position *
cap_publisher_position(struct cap_publisher *p)
{
    (void)p;
    return &position;
}

static void
mix(uint64_t n)
{
    now->hash = (now->hash ^ n) * UINT64_C(0x100000001b3);
}

static void
mix_image(const struct ls_table *table, const struct cap_image *image)
{
    mix(image ? 1 : 0);
    if (!image)
        return;
    mix(image->poison ? 1 : 0);
    for (size_t i = 0; !image->poison && i < table->n_columns; i++) {
        const struct ls_value *v = &image->values[i];
        mix((uint64_t)v->kind);
        if (v->kind == LS_V_INT)
            mix((uint64_t)v->i);
        if (v->kind == LS_V_TEXT)
            for (size_t k = 0; k < v->s.n; k++)
                mix((uint8_t)v->s.p[k]);
    }
}

int
cap_publish_row(struct cap_publisher *p, const struct cap_origin *origin,
                const struct ls_table *table, const struct cap_image *before,
                const struct cap_image *after, struct ls_err *err)
{
    (void)p;
    PROMISE(before || after);
    PROMISE(table >= ls_tables && table < ls_tables + LS_T_COUNT);
    PROMISE(!origin->snapshot && origin->row > 0);
    mix((uint64_t)table->id);
    mix((uint64_t)origin->row);
    mix_image(table, before);
    mix_image(table, after);
    now->rows++;
    position.counters.watched++;
    position.counters.published++;
    return now->rows < ROWS_MAX ? 0 : ls_fail_cause(err, LS_ERR_RETRY, 0, "kafka", "too many");
}

bool
cap_publisher_full(const struct cap_publisher *p)
{
    (void)p;
    return now->rows % 3 == 2;
}

int64_t
cap_publisher_age_ms(const struct cap_publisher *p, int64_t now_ms)
{
    (void)p, (void)now_ms;
    return 0;
}

int
cap_publisher_commit(struct cap_publisher *p, struct ls_err *err)
{
    (void)p, (void)err;
    return 0;
}

static void
play(struct cap_stream *stream, const uint8_t *data, size_t size, struct outcome *ret)
{
    size_t at = 1;
    int64_t groups = cap_stream_groups(stream);
    struct ls_err err = {0};
    int r = 0;

    memset(ret, 0, sizeof(*ret));
    now = ret;
    memset(&position, 0, sizeof(position));
    (void)snprintf(position.file, sizeof(position.file), "bin.000007");
    cap_stream_restart(stream);
    while (r == 0 && ret->events++ < EVENTS_MAX) {
        struct cap_packet packet = {.received_us = 1700000000000000};
        struct cap_event event;
        int64_t before = cap_stream_groups(stream);
        uint8_t *p = fuzz_next_event(data, size, &at, data[0] & 1, &event);

        if (!p)
            break;
        packet.p = p;
        packet.n = cur_le32(p + 9);
        r = cap_stream_take(stream, &packet, &err);
        PROMISE(cap_stream_groups(stream) >= before);
        PROMISE(ret->rows == position.counters.published);
        PROMISE(cap_counters_balance(&position.counters) == 0);
        free(p);
    }
    if (r < 0) {
        (void)fuzz_failed(&err);
        memcpy(ret->cause, err.cause, sizeof(ret->cause));
    }
    ret->groups = cap_stream_groups(stream) - groups;
    ret->position = cap_position_print(&position, "h:3306");
    PROMISE(ret->position);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ls_config *config;
    static int anything;
    char *sets[] = {(char *)"source.database=owncloud"};
    struct outcome first, second;
    struct cap_schema *schema;
    struct cap_stream *stream;
    struct ls_err err = {0};

    if (size < 2)
        return 0;
    if (!config) {
        ls_log_init("fuzz", LS_ERROR);
        PROMISE(ls_config_load("/dev/null", sets, 1, &config, &err) == 0);
    }
    schema = cap_schema_new(config);
    PROMISE(schema);
    cap_schema_is_mysql(schema, data[0] & 2);
    stream = cap_stream_new(schema, (struct cap_publisher *)&anything);
    PROMISE(stream);
    play(stream, data, size, &first);
    play(stream, data, size, &second);
    PROMISE(first.rows == second.rows && first.hash == second.hash);
    PROMISE(first.groups == second.groups && first.events == second.events);
    PROMISE(!strcmp(first.cause, second.cause));
    PROMISE(!strcmp(first.position, second.position));
    free(first.position);
    free(second.position);
    cap_stream_free(stream);
    cap_schema_free(schema);
    return 0;
}
