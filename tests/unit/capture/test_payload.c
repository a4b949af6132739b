/* MySQL's transaction payloads: recorded ones, and forged ones. */
#include "tests/unit/capture/events.h"

#include "capture/binlog/payload.h"
#include <zstd.h>

/* The first payload of the recording, as an event whose bytes end where the allocation ends. */
static struct cap_event
recorded(uint8_t **ret_copy)
{
    struct recording rec = recording_open("mysql_payload");
    struct cap_event event = {0};
    const uint8_t *p;
    size_t n;

    while (recording_next(&rec, &p, &n))
        if (p[4] == CAP_EV_PAYLOAD)
            break;
    assert_int_equal(cap_event_parse(p, n, true, &event, NULL), 0);
    *ret_copy = malloc(event.n);
    memcpy(*ret_copy, event.body, event.n);
    event.body = *ret_copy;
    recording_close(&rec);
    return event;
}

/* Number of events, -1 for a failure. */
static int
count(struct cap_payload *payload, const struct cap_event *event, struct ls_err *err)
{
    const uint8_t *p;
    size_t n;
    int k, events = 0;

    memset(err, 0, sizeof(*err));
    if (cap_payload_open(payload, event, err) < 0)
        return -1;
    while ((k = cap_payload_next(payload, &p, &n, err)) > 0) {
        assert_int_equal(cur_le32(p + 9), n);
        events++;
    }
    return k < 0 ? -1 : events;
}

static size_t
lenenc(uint8_t *p, uint64_t v)
{
    p[0] = 254;
    for (int i = 0; i < 8; i++)
        p[1 + i] = (uint8_t)(v >> (8 * i));
    return 9;
}

/* A payload event with this content; `type` is zstd (0) or none (255). */
static struct cap_event
wrap(const void *content, size_t n, uint64_t type, uint64_t unpacked, uint8_t **ret_body)
{
    uint8_t *body = malloc(n + 64), *p = body;

    *p++ = 2; /* the compression */
    *p++ = 9;
    p += lenenc(p, type);
    *p++ = 3; /* how long it is unpacked */
    *p++ = 9;
    p += lenenc(p, unpacked);
    *p++ = 77; /* a field of the future */
    *p++ = 1;
    *p++ = 0;
    *p++ = 1; /* how long it is packed */
    *p++ = 9;
    p += lenenc(p, n);
    *p++ = 0;
    memcpy(p, content, n);
    *ret_body = body;
    return (struct cap_event){.type = CAP_EV_PAYLOAD, .body = body, .n = (size_t)(p - body) + n};
}

/* `events` events of `size` bytes each. */
static uint8_t *
plain(size_t events, size_t size)
{
    uint8_t *p = calloc(events, size);

    assert_non_null(p);
    for (size_t i = 0; i < events; i++) {
        p[i * size + 4] = CAP_EV_WRITE_ROWS;
        for (int k = 0; k < 4; k++)
            p[i * size + 9 + (size_t)k] = (uint8_t)(size >> (8 * k));
        if (size > CAP_EVENT_HEADER)
            p[i * size + size - 1] = (uint8_t)i;
    }
    return p;
}

static int
count_packed(const void *bytes, size_t n, size_t cut, uint64_t says, size_t cap, struct ls_err *err)
{
    struct cap_payload *payload = cap_payload_new(cap);
    size_t bound = ZSTD_compressBound(n);
    uint8_t *packed = malloc(bound), *body;
    size_t k = ZSTD_compress(packed, bound, bytes, n, 3);
    struct cap_event event = wrap(packed, k - cut, 0, says, &body);
    int r = count(payload, &event, err);

    free(body);
    free(packed);
    cap_payload_free(payload);
    return r;
}

static void
a_recorded_payload_gives_the_events_of_its_transaction(void **state)
{
    static const uint8_t types[] = {CAP_EV_QUERY, CAP_EV_TABLE_MAP, CAP_EV_WRITE_ROWS, CAP_EV_XID};
    struct cap_payload *payload = cap_payload_new(1 << 16);
    uint8_t *copy;
    struct cap_event event = recorded(&copy), inner;
    const uint8_t *p;
    size_t n;
    struct ls_err err = {0};

    (void)state;
    for (int again = 0; again < 2; again++) { /* a second one of the same object too */
        assert_int_equal(cap_payload_open(payload, &event, &err), 0);
        for (size_t i = 0; i < sizeof(types); i++) {
            assert_int_equal(cap_payload_next(payload, &p, &n, &err), 1);
            assert_int_equal(cap_event_parse(p, n, false, &inner, &err), 0);
            assert_int_equal(inner.type, types[i]);
        }
        assert_int_equal(cap_payload_next(payload, &p, &n, &err), 0);
    }
    free(copy);
    cap_payload_free(payload);
}

static void
no_prefix_of_a_payload_passes_for_the_whole(void **state)
{
    struct cap_payload *payload = cap_payload_new(1 << 16);
    uint8_t *copy;
    struct cap_event event = recorded(&copy);
    size_t n = event.n;
    struct ls_err err;

    (void)state;
    for (event.n = 0; event.n < n; event.n++) {
        uint8_t *cut = malloc(event.n ? event.n : 1);
        memcpy(cut, copy, event.n);
        event.body = cut;
        assert_int_equal(count(payload, &event, &err), -1);
        assert_string_equal(err.cause, "binlog-format");
        free(cut);
    }
    free(copy);
    cap_payload_free(payload);
}

static void
bent_payloads_never_crash(void **state)
{
    struct cap_payload *payload = cap_payload_new(1 << 16);
    uint8_t *copy;
    struct cap_event event = recorded(&copy);
    unsigned seed = 20261122;
    struct ls_err err;
    int failures = 0;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        size_t at = (size_t)rand_r(&seed) % event.n;
        uint8_t was = copy[at];
        copy[at] = (uint8_t)rand_r(&seed);
        failures += count(payload, &event, &err) < 0;
        copy[at] = was;
    }
    assert_true(failures > 1000);
    assert_int_equal(count(payload, &event, &err), 4);
    free(copy);
    cap_payload_free(payload);
}

static void
a_payload_that_is_large_unpacked_needs_the_memory_of_one_event(void **state)
{
    const size_t events = 8000, size = 8192;
    uint8_t *bytes = plain(events, size);
    struct ls_err err;

    (void)state;
    assert_int_equal(count_packed(bytes, events * size, 0, events * size, size + 1, &err),
                     (int)events);
    free(bytes);
}

static void
an_event_that_is_too_large_is_refused(void **state)
{
    uint8_t *bytes = plain(1, 5 << 20);
    struct ls_err err;

    (void)state;
    assert_int_equal(count_packed(bytes, 5 << 20, 0, 5 << 20, 4 << 20, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "event-too-large");
    assert_int_equal(count_packed(bytes, 5 << 20, 0, 5 << 20, 6 << 20, &err), 1);
    free(bytes);
}

static void
what_it_declares_is_what_it_gives(void **state)
{
    uint8_t *bytes = plain(100, 50);
    struct ls_err err;

    (void)state;
    assert_int_equal(count_packed(bytes, 5000, 0, 5000, 1 << 16, &err), 100);
    assert_int_equal(count_packed(bytes, 5000, 0, 4950, 1 << 16, &err), -1); /* a bomb */
    assert_non_null(strstr(err.msg, "holds more than it says"));
    assert_int_equal(count_packed(bytes, 5000, 0, 5050, 1 << 16, &err), -1);
    assert_non_null(strstr(err.msg, "ends early"));
    assert_int_equal(count_packed(bytes, 5000, 0, 5010, 1 << 16, &err), -1);
    assert_non_null(strstr(err.msg, "header"));
    assert_int_equal(count_packed(bytes, 5000, 1, 5000, 1 << 16, &err), -1);
    assert_int_equal(count_packed(bytes, 0, 0, 0, 1 << 16, &err), 0);
    free(bytes);
}

static void
a_length_inside_that_is_none_is_fatal(void **state)
{
    static const uint32_t lengths[] = {0, 18, 51, 5001, UINT32_MAX};
    uint8_t *bytes = plain(100, 50);
    struct ls_err err;

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (int k = 0; k < 4; k++)
            bytes[9 + k] = (uint8_t)(lengths[i] >> (8 * k));
        assert_int_equal(count_packed(bytes, 5000, 0, 5000, 1 << 16, &err), -1);
        assert_string_equal(err.cause, "binlog-format");
    }
    free(bytes);
}

static void
content_may_be_plain_or_in_several_frames(void **state)
{
    struct cap_payload *payload = cap_payload_new(1 << 16);
    uint8_t *bytes = plain(10, 40), packed[2000], *body;
    struct cap_event event;
    struct ls_err err;
    size_t n;

    (void)state;
    event = wrap(bytes, 400, 255, 400, &body);
    assert_int_equal(count(payload, &event, &err), 10);
    free(body);
    event = wrap(bytes, 400, 255, 0, &body);
    assert_int_equal(count(payload, &event, &err), 10);
    free(body);
    event = wrap(bytes, 400, 255, 500, &body);
    assert_int_equal(count(payload, &event, &err), -1);
    free(body);
    event = wrap(bytes, 390, 255, 390, &body);
    assert_int_equal(count(payload, &event, &err), -1);
    free(body);
    n = ZSTD_compress(packed, 1000, bytes, 110, 3); /* cut inside the third event */
    n += ZSTD_compress(packed + n, 1000, bytes + 110, 290, 3);
    event = wrap(packed, n, 0, 400, &body);
    assert_int_equal(count(payload, &event, &err), 10);
    free(body);
    event = wrap(bytes, 400, 7, 400, &body);
    assert_int_equal(count(payload, &event, &err), -1);
    assert_string_equal(err.cause, "event-type");
    free(body);
    free(bytes);
    cap_payload_free(payload);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recorded_payload_gives_the_events_of_its_transaction),
        cmocka_unit_test(no_prefix_of_a_payload_passes_for_the_whole),
        cmocka_unit_test(bent_payloads_never_crash),
        cmocka_unit_test(a_payload_that_is_large_unpacked_needs_the_memory_of_one_event),
        cmocka_unit_test(an_event_that_is_too_large_is_refused),
        cmocka_unit_test(what_it_declares_is_what_it_gives),
        cmocka_unit_test(a_length_inside_that_is_none_is_fatal),
        cmocka_unit_test(content_may_be_plain_or_in_several_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
