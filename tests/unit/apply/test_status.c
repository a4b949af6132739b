/*
 * What apply tells of what is open, and of sweeps that wait: numbers of one moment, names in
 * bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apply/status.h"
#include "tests/unit/clock.h"
#include "world.h"

#include <curl/curl.h>

static int64_t
of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void
put_work(struct world *w)
{
    ledger_begin(w->ledger);
    ap_exec(w->ledger, "DELETE FROM work", NULL);
    ap_exec(w->ledger,
            "INSERT OR REPLACE INTO space(storage, owner) VALUES(501, 'late'), (502, 'late'),"
            " (503, 'stuck'), (504, '')",
            NULL);
    ap_exec(w->ledger,
            "INSERT INTO work(kind, id, storage, state, since_us, counted, trouble, cause) VALUES"
            " (1, 1, 501, 0, 50, 1, 0, ''), (1, 2, 502, 2, 20, 1, 0, 'quota'),"
            " (1, 3, 501, 1, 10, 1, 1, 'quota'), (1, 4, 503, 1, 5, 1, 1, 'content-missing'),"
            " (1, 5, 503, 1, 7, 1, 1, 'content-missing'), (1, 6, 504, 1, 0, 1, 0, 'parent'),"
            " (2, 6, 502, 0, 1, 0, 0, '')",
            NULL);
    ledger_commit(w->ledger);
}

static void
what_is_open_is_counted_by_cause_and_by_user(void **state)
{
    static struct world w;
    struct ap_open open = {0};
    json_t *user;

    (void)state;
    start_world(&w);
    put_work(&w);
    assert_true(ap_open_count(w.core, &open, false));
    assert_int_equal(open.all, 7);
    assert_int_equal(open.nodes, 6);
    assert_int_equal(open.counted, 6);
    assert_int_equal(open.queued, 1);
    assert_int_equal(open.in_flight, 1);
    assert_int_equal(open.parked, 4);
    assert_int_equal(of(open.causes, "queued"), 1);
    assert_int_equal(of(open.causes, "in-flight"), 1);
    assert_int_equal(of(open.causes, "quota"), 1);
    assert_int_equal(of(open.causes, "content-missing"), 2);
    assert_int_equal(of(open.since, "content-missing"), 5);
    assert_int_equal(of(open.since, "parent"), 0); /* nobody knows */
    assert_int_equal(open.balance, ap_balance(w.ledger));
    assert_int_equal(open.n_users, 2);
    user = json_array_get(open.users, 0);
    assert_string_equal(json_string_value(json_object_get(user, "user")), "late");
    assert_int_equal(of(user, "open"), 3); /* of both his storages */
    assert_int_equal(of(user, "parked"), 1);
    assert_int_equal(of(user, "oldest_us"), 20);
    assert_int_equal(of(json_object_get(user, "causes"), "quota"), 1);
    user = json_array_get(open.users, 1);
    assert_string_equal(json_string_value(json_object_get(user, "user")), "stuck");
    assert_int_equal(of(user, "oldest_us"), 0);
    assert_int_equal(of(json_object_get(user, "causes"), "content-missing"), 2);
    ap_open_free(&open);
    stop_world(&w);
}

/* A partition that says nothing must not be passed over, nor what no record stands for. */
static void
all_is_reached_only_when_each_partition_has_told_and_its_records_are_done(void **state)
{
    char *sets[] = {(char[]){"lockstep.partitions=2"}, (char[]){"data.root=/nonexistent"}};
    static struct world w;
    const struct ls_config *before;
    struct ls_config *config = NULL;
    struct ap_open open = {0};
    struct ls_err err = {0};

    (void)state;
    assert_int_equal(ls_config_load(NULL, sets, 2, &config, &err), 0);
    start_world(&w);
    before = w.core->config;
    w.core->config = config;
    put_work(&w);
    ledger_begin(w.ledger);
    ap_exec(w.ledger, "DELETE FROM offset", NULL);
    ap_exec(w.ledger,
            "INSERT INTO offset(topic, partition, next, read_us) VALUES('cs3.resource', 0, 1, 15),"
            " ('cs3.resource', 1, 7, 0), ('cs3.person', 0, 0, 90), ('cs3.space', 0, 0, 90),"
            " ('cs3.share', 0, 0, 90), ('cs3.annotation', 0, 0, 90), ('replay', 0, 3, 0)",
            NULL);
    assert_int_equal(ap_reached_us(w.core), 0);
    ap_exec(w.ledger,
            "UPDATE offset SET read_us = 70 WHERE topic = 'cs3.resource' AND"
            " partition = 1",
            NULL);
    assert_int_equal(ap_reached_us(w.core), 15);
    ap_exec(w.ledger, "UPDATE offset SET read_us = 80 WHERE partition = 0 AND topic LIKE 'cs3.%'",
            NULL);
    assert_int_equal(ap_reached_us(w.core), 20); /* the oldest that is open and in no trouble */
    ap_exec(w.ledger, "DELETE FROM work WHERE counted = 1 AND trouble = 0", NULL);
    assert_int_equal(ap_reached_us(w.core), 70);
    ledger_commit(w.ledger);
    assert_true(ap_open_count(w.core, &open, true));
    assert_int_equal(open.rest_us, 1);
    ledger_begin(w.ledger);
    ap_exec(w.ledger, "UPDATE work SET trouble = 1", NULL);
    ledger_commit(w.ledger);
    assert_true(ap_open_count(w.core, &open, true));
    assert_int_equal(open.rest_us, 0);
    ap_open_free(&open);
    w.core->config = before;
    stop_world(&w);
    ls_config_free(config);
}

static void
what_has_not_changed_is_not_counted_again_and_what_has_is(void **state)
{
    static struct world w;
    struct ap_open open = {0};
    json_t *causes;

    (void)state;
    start_world(&w);
    put_work(&w);
    assert_true(ap_open_count(w.core, &open, false));
    causes = open.causes;
    ledger_begin(w.ledger);
    ap_count(w.ledger, "superseded", 3); /* as a heartbeat, of no concern to what is open */
    ledger_commit(w.ledger);
    assert_true(ap_open_count(w.core, &open, false));
    assert_ptr_equal(open.causes, causes);
    assert_int_equal(open.balance, ap_balance(w.ledger)); /* of now all the same */

    ledger_begin(w.ledger);
    ap_exec(w.ledger, "DELETE FROM work WHERE id = 4", NULL);
    ledger_commit(w.ledger);
    open.next_ms = INT64_MAX; /* counting takes long: the old numbers, all of one moment */
    assert_true(ap_open_count(w.core, &open, false));
    assert_int_equal(open.counted, 6);
    assert_int_equal(of(open.causes, "content-missing"), 2);
    assert_int_equal(open.balance, ap_balance(w.ledger) - 1);
    assert_true(ap_open_count(w.core, &open, true));
    assert_int_equal(open.counted, 5);
    assert_int_equal(of(open.causes, "content-missing"), 1);
    assert_int_equal(open.balance, ap_balance(w.ledger));
    ap_open_free(&open);
    stop_world(&w);
}

/* A cause, a storage's owner and a transaction that is rolled back change what is told. */
static void
all_that_changes_what_is_told_is_seen(void **state)
{
    static const char *const changes[] = {
        "UPDATE work SET cause = 'orphan' WHERE id = 4",
        "UPDATE space SET owner = 'somebody' WHERE storage = 504",
    };
    static struct world w;
    struct ap_open open = {0};

    (void)state;
    start_world(&w);
    put_work(&w);
    for (size_t i = 0; i < 2; i++) {
        assert_true(ap_open_count(w.core, &open, true));
        ledger_begin(w.ledger);
        ap_exec(w.ledger, changes[i], NULL);
        ledger_commit(w.ledger);
        assert_int_not_equal(ap_work_writes(w.ledger), open.writes);
    }
    assert_true(ap_open_count(w.core, &open, true));
    assert_int_equal(open.n_users, 3);
    assert_int_equal(of(open.causes, "orphan"), 1);
    ap_open_free(&open);
    stop_world(&w);
}

/* ---- /readyz */

static size_t
drop_body(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    (void)arg;
    return size * n;
}

static long
readyz(int port)
{
    CURL *curl = curl_easy_init();
    char url[64];
    long status = 0;

    snprintf(url, sizeof(url), "http://127.0.0.1:%d/readyz", port);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop_body);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    return status;
}

static void
readyz_fails_while_the_loop_stands_still(void **state)
{
    char *sets[] = {(char[]){"data.root=/nonexistent"}};
    struct ap_status status = {0};
    struct ls_config *config = NULL;
    struct ls_err err = {0};
    static struct world w;
    int port = 0;

    (void)state;
    assert_int_equal(ls_config_load(NULL, sets, 1, &config, &err), 0);
    start_world(&w);
    clock_hold();
    w.core->config = status.config = config;
    status.metrics = ls_metrics_new("apply", ap_metrics);
    assert_int_equal(ls_http_start(config, status.metrics, &status.http, &port, &err), 0);
    for (int standby = 0; standby < 2; standby++) {
        for (int again = 0; again < 2; again++) {
            if (standby)
                ap_status_standby(&status, true);
            else
                ap_status_tell(&status, w.core, again == 0);
            assert_int_equal(readyz(port), 200);
            clock_pass_us((int64_t)AP_STUCK_LOOP_MS * 1000 + 1000000);
            assert_int_equal(readyz(port), 503);
        }
    }
    ls_http_stop(status.http);
    ls_metrics_free(status.metrics);
    ap_open_free(&status.open);
    w.core->config = NULL;
    ls_config_free(config);
    stop_world(&w);
}

/* ---- sweeps that wait */

static void
give_share(struct world *w, int64_t id, enum cs3_share_type type, int64_t fileid)
{
    struct cs3_share s = {.head = {.kind = CS3_UPSERT, .seq = {1, ++w->model.counter, 0}},
                          .id = id,
                          .type = type,
                          .fileid = fileid,
                          .owner = LS_STR("u1"),
                          .creator = LS_STR("u1"),
                          .grantee = type == CS3_SHARE_GROUP  ? LS_STR("staff")
                                     : type == CS3_SHARE_USER ? LS_STR("u2")
                                                              : LS_STR_NULL,
                          .permissions = 1};

    ap_take_share(w->core, &share_origin, &s);
}

static void
mark(struct world *w, const struct ap_origin *at, int sort, enum cs3_kind kind, struct ls_seq seq,
     struct ls_seq begin)
{
    struct cs3_head head = {.kind = kind, .seq = seq, .begin = begin};

    assert_true(ap_take_mark(w->core, at, &head, sort));
}

/* A later snapshot that finds nothing of that sort. */
static void
find_nothing(struct world *w, const struct ap_origin *at, int sort)
{
    struct ls_seq begin = {1, ++w->model.counter, 0};

    for (int i = 0; i < 2; i++) { /* the first may be the first of all */
        begin = (struct ls_seq){1, ++w->model.counter, 0};
        mark(w, at, sort, CS3_BEGIN, begin, (struct ls_seq){0});
        mark(w, at, sort, CS3_END, (struct ls_seq){1, ++w->model.counter, 0}, begin);
    }
}

static const char *
text_of(const json_t *array, size_t i, const char *key)
{
    const char *text = json_string_value(json_object_get(json_array_get(array, i), key));

    return text ? text : "(none)";
}

static void
a_sweep_of_shares_that_waits_says_of_what_and_for_whom(void **state)
{
    static struct world w;
    struct model_row *file;
    json_t *sweeps, *items;

    (void)state;
    start_world(&w);
    file = add_file(&w, 1, w.model.files[1], "plan.txt");
    finish(&w, 0);
    w.core->options.sweep_max_percent = 5;
    w.core->options.sweep_max_items = 1;
    ledger_begin(w.ledger);
    give_share(&w, 7, CS3_SHARE_LINK, file->fileid);
    give_share(&w, 8, CS3_SHARE_GROUP, file->fileid);
    for (int64_t id = 9; id < 30; id++)
        give_share(&w, id, CS3_SHARE_USER, file->fileid);
    find_nothing(&w, &share_origin, 0);
    ledger_commit(w.ledger);
    sweeps = ap_open_sweeps(w.core);
    assert_int_equal(json_array_size(sweeps), 1);
    assert_int_equal(of(json_array_get(sweeps, 0), "items"), 23);
    items = json_object_get(json_array_get(sweeps, 0), "examples");
    assert_int_equal(json_array_size(items), 10);
    assert_string_equal(text_of(items, 0, "type"), "link");
    assert_string_equal(text_of(items, 0, "user"), "u1");
    assert_string_equal(text_of(items, 0, "path"), "files/plan.txt");
    assert_string_equal(text_of(items, 1, "type"), "group");
    assert_string_equal(text_of(items, 1, "with"), "staff");
    assert_string_equal(text_of(items, 2, "with"), "u2");
    assert_int_equal(of(json_array_get(items, 2), "share"), 9);
    json_decref(sweeps);
    stop_world(&w);
}

static void
a_sweep_of_people_that_waits_names_them(void **state)
{
    static struct world w;
    json_t *sweeps, *items;
    char name[16];

    (void)state;
    start_world(&w);
    w.core->options.sweep_max_percent = 5;
    w.core->options.sweep_max_items = 1;
    ledger_begin(w.ledger);
    w.seq = w.model.counter;
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "g%d", i);
        give_person(&w, CS3_GROUP, NULL, name, CS3_UPSERT);
    }
    give_person(&w, CS3_MEMBER, "u1", "g3", CS3_UPSERT);
    give_person(&w, CS3_MEMBER, "u2", "g4", CS3_UPSERT);
    w.model.counter = w.seq;
    find_nothing(&w, &person_origin, CS3_GROUP);
    find_nothing(&w, &person_origin, CS3_MEMBER);
    ledger_commit(w.ledger);
    sweeps = ap_open_sweeps(w.core);
    assert_int_equal(json_array_size(sweeps), 2);
    assert_int_equal(of(json_array_get(sweeps, 0), "partition"), CS3_GROUP);
    assert_int_equal(of(json_array_get(sweeps, 0), "items"), 12);
    items = json_object_get(json_array_get(sweeps, 0), "examples");
    assert_int_equal(json_array_size(items), 10);
    assert_string_equal(text_of(items, 0, "group"), "g0");
    assert_string_equal(text_of(items, 0, "user"), "(none)");
    items = json_object_get(json_array_get(sweeps, 1), "examples");
    assert_int_equal(json_array_size(items), 2);
    assert_string_equal(text_of(items, 1, "user"), "u2");
    assert_string_equal(text_of(items, 1, "group"), "g4");
    json_decref(sweeps);
    stop_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_open_is_counted_by_cause_and_by_user),
        cmocka_unit_test(all_is_reached_only_when_each_partition_has_told_and_its_records_are_done),
        cmocka_unit_test(what_has_not_changed_is_not_counted_again_and_what_has_is),
        cmocka_unit_test(all_that_changes_what_is_told_is_seen),
        cmocka_unit_test(readyz_fails_while_the_loop_stands_still),
        cmocka_unit_test(a_sweep_of_shares_that_waits_says_of_what_and_for_whom),
        cmocka_unit_test(a_sweep_of_people_that_waits_names_them),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
