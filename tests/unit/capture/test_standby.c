/* When a standby takes over: Kafka, the source and the clock are three variables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture/source/connect.h"
#include "capture/standby.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/run.h"
#include <string.h>

static int64_t now_ms;
static int64_t moves_until;                                  /* the position moves up to then */
static int64_t kafka_from, kafka_to, source_from, source_to; /* outages */
static int64_t stop_at;
static int told;

int64_t
ls_mono_ms(void)
{
    return now_ms;
}

int64_t
ls_now_us(void)
{
    return now_ms * 1000;
}

void
ls_run_sleep_ms(int64_t ms)
{
    now_ms += ms;
}

bool
ls_run_stopping(void)
{
    return now_ms >= stop_at;
}

static int
away(const char *who, int64_t from, int64_t to, struct ls_err *err)
{
    if (now_ms < from || now_ms >= to)
        return 0;
    return ls_fail_cause(err, LS_ERR_RETRY, 0, who, "%s is away", who);
}

int
ls_consumer_new(const struct ls_config *config, const char *group, struct ls_consumer **ret,
                struct ls_err *err)
{
    static int anything;

    (void)config, (void)group, (void)err;
    *ret = (struct ls_consumer *)&anything;
    return 0;
}

void
ls_consumer_free(struct ls_consumer *consumer)
{
    (void)consumer;
}

int
ls_consumer_bounds(struct ls_consumer *consumer, const char *topic, int32_t partition,
                   int64_t *ret_first, int64_t *ret_end, struct ls_err *err)
{
    (void)consumer, (void)partition;
    assert_string_equal(topic, "p.position");
    *ret_first = 0;
    *ret_end = now_ms < moves_until ? now_ms / 1000 : moves_until / 1000;
    return away("kafka", kafka_from, kafka_to, err);
}

int
cap_connect_within(const struct ls_config *config, unsigned silence_s, MYSQL **ret,
                   struct ls_err *err)
{
    static MYSQL connection;

    (void)config;
    if (away("source", source_from, source_to, err) < 0) {
        now_ms += (int64_t)silence_s * 1000;
        return -1;
    }
    *ret = &connection;
    return 0;
}

int
cap_query(MYSQL *mysql, const char *sql, struct ls_err *err)
{
    (void)mysql, (void)sql, (void)err;
    return 0;
}

void STDCALL
mysql_close(MYSQL *mysql)
{
    (void)mysql;
}

static void
tell(void *arg)
{
    (*(int *)arg)++;
}

static struct ls_config *config;

static int
setup(void **state)
{
    static const char *const sets[] = {"lockstep.prefix=p", "capture.standby_ms=8000"};
    struct ls_err err = {0};

    (void)state;
    ls_log_init("test", LS_ERROR);
    now_ms = 1000000;
    moves_until = kafka_from = kafka_to = source_from = source_to = 0;
    stop_at = INT64_MAX;
    told = 0;
    return ls_config_load(NULL, (char *const *)sets, 2, &config, &err);
}

static int
teardown(void **state)
{
    (void)state;
    ls_config_free(config);
    return 0;
}

/* How long the next wait takes. */
static int64_t
waits(struct cap_standby *standby)
{
    int64_t begin = now_ms;

    cap_standby_wait(standby, config, tell, &told);
    return now_ms - begin;
}

static void
a_position_that_moves_is_left_alone_and_one_that_stands_still_is_taken_over(void **state)
{
    struct cap_standby standby = {0};
    int64_t begin = now_ms, took;

    (void)state;
    moves_until = begin + 3600000;
    took = waits(&standby);
    assert_in_range(took, 3600000 + 8000 - 1000, 3600000 + 8000 + 1000);
    assert_true(told > 3000);
}

static void
while_kafka_is_away_nobody_takes_over_and_the_wait_begins_again_behind(void **state)
{
    struct cap_standby standby = {0};

    (void)state;
    kafka_from = now_ms + 4000;
    kafka_to = now_ms + 600000;
    assert_in_range(waits(&standby), 600000 + 8000, 600000 + 8000 + 2000);
}

static void
while_the_source_is_away_nobody_takes_over_and_the_active_one_is_first_behind(void **state)
{
    struct cap_standby standby = {0};

    (void)state;
    source_from = now_ms;
    source_to = now_ms + 600000;
    /* half a wait, in which the active one connects and moves the position */
    assert_in_range(waits(&standby), 600000 + 4000, 600000 + 4000 + 7000);
    now_ms += 1000000;
    source_from = now_ms;
    source_to = now_ms + 600000;
    moves_until = source_to + 3600000;
    now_ms = source_to - 60000;
    assert_true(waits(&standby) >= 3600000);
}

static void
two_that_take_over_from_each_other_wait_longer_each_time(void **state)
{
    struct cap_standby standby = {0};
    int64_t took[8];

    (void)state;
    for (int i = 0; i < 8; i++) {
        took[i] = waits(&standby);
        now_ms += 500; /* fenced again at once */
    }
    for (int i = 1; i < 6; i++)
        assert_in_range(took[i], took[i - 1] * 2 - 2000, took[i - 1] * 2 + 2000);
    assert_in_range(took[7], 32 * 8000, 32 * 8000 + 2000);
    now_ms += 32 * 8000 * 10; /* a good while in office */
    assert_in_range(waits(&standby), 8000, 10000);
}

static void
a_stop_ends_the_wait(void **state)
{
    struct cap_standby standby = {0};

    (void)state;
    moves_until = INT64_MAX;
    stop_at = now_ms + 5000;
    assert_in_range(waits(&standby), 5000, 6000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_position_that_moves_is_left_alone_and_one_that_stands_still_is_taken_over, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            while_kafka_is_away_nobody_takes_over_and_the_wait_begins_again_behind, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            while_the_source_is_away_nobody_takes_over_and_the_active_one_is_first_behind, setup,
            teardown),
        cmocka_unit_test_setup_teardown(two_that_take_over_from_each_other_wait_longer_each_time,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_ends_the_wait, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
