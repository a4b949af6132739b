/*
 * Trouble of ownCloud's bucket: what is read from it waits, whole, and nothing else does; it is
 * asked again by itself, and makes no dead letters.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "world.h"

#include "common/log.h"
#include "common/run.h"
#include "s3_server.h"
#include "tests/unit/clock.h"

static struct ls_config *config;
static struct ap_objects *objects;
static struct ap_writer_ops ops;

/* The object is asked for as a real writer does; its content is the model's. */
static int
put_from_bucket(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                const char *parent_id, const char *name, const struct ap_blob_want *blob,
                int64_t mtime, uint32_t mtime_ns, const struct ap_expect *expect, bool doubtful,
                struct ap_node *ret, struct ls_err *err)
{
    struct ap_blob_want any = {.objects = blob->objects, .object = blob->object, .size = -1};
    struct ap_blob *opened = NULL;

    if (blob->objects && ap_blob_open(&any, &opened, err) < 0)
        return -1;
    ap_blob_close(opened);
    return fake_put_file(w, space, node_id, parent_id, name, blob, mtime, mtime_ns, expect,
                         doubtful, ret, err);
}

static int
setup(void **state)
{
    char url[64];
    const char *sets[] = {url, "data.s3_bucket=oc10", "data.s3_access_key=me",
                          "data.s3_secret_key=secret", "data.root=/nonexistent/oc10"};
    struct ls_err err = {0};

    ls_log_init("test", LS_ERROR);
    if (s3_start(state) != 0)
        return -1;
    s3_reset("hello", 5);
    snprintf(url, sizeof(url), "data.s3_endpoint=http://127.0.0.1:%d", s3.port);
    if (ls_config_load(NULL, (char *const *)sets, 5, &config, &err) < 0)
        return -1;
    return ap_objects_new(config, &objects, &err);
}

static int
teardown(void **state)
{
    ap_objects_free(objects);
    ls_config_free(config);
    return s3_stop(state);
}

/* The user of storage 1 has his files in the bucket, all others on disk. */
static void
start_with_bucket(struct world *w, struct ap_objects *bucket)
{
    struct ls_err err = {0};

    start_world(w);
    clock_release(); /* a server answers in the machine's time */
    ops = *w->target.writer.ops;
    ops.put_file = put_from_bucket;
    w->target.writer.ops = &ops;
    w->core->config = config;
    w->core->objects = bucket;
    assert_int_equal(ap_ledger_begin(w->ledger, &err), 0);
    ap_exec(w->ledger, "UPDATE space SET source_id = 'object::user:u1' WHERE storage = 1", NULL);
    assert_int_equal(ap_ledger_commit(w->ledger, &err), 0);
    s3_reset("hello", 5);
}

static void
until_there(struct world *w, const char *name)
{
    for (int i = 0; i < 20000 && target_has(w, name) != 1; i++)
        rounds(w, 1);
    assert_int_equal(target_has(w, name), 1);
}

static void
all_refused(const char *code)
{
    for (int i = 0; i < S3_PLANNED; i++)
        s3.plan[i] = (struct s3_plan){.status = 403, .code = code};
    s3.list_status = 403;
    s3.list_code = code;
}

static int64_t
waiting(struct world *w, const char *cause)
{
    return ap_number(w->ledger, 0, "SELECT count(*) FROM work WHERE cause = ? AND trouble = 0", "s",
                     cause);
}

static int64_t
with_cause(struct world *w, const char *cause)
{
    return ap_number(w->ledger, 0, "SELECT count(*) FROM work WHERE cause = ?", "s", cause);
}

static void
a_wrong_key_stops_what_is_read_from_the_bucket_and_nothing_else(void **state)
{
    static struct world w;
    char name[32];
    int asked;

    (void)state;
    start_with_bucket(&w, objects);
    all_refused("SignatureDoesNotMatch");
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "object%d", i);
        add_file(&w, 1, w.model.files[1], name);
    }
    add_file(&w, 2, w.model.files[2], "on-disk");
    until_there(&w, "on-disk");
    for (int i = 0; i < 20000 && waiting(&w, "bucket-refused") < 30; i++)
        rounds(&w, 1);
    assert_int_equal(waiting(&w, "bucket-refused"), 30); /* and they are part of the lag */
    asked = s3.n_objects;
    assert_true(asked <= 16); /* as many as were out when the first was answered */
    rounds(&w, 200);          /* a folder of his is still made */
    model_changed(&w.model, model_add(&w.model, 1, w.model.files[1], "folder", true));
    until_there(&w, "folder");
    assert_int_equal(s3.n_objects, asked); /* only the bucket itself is asked, again and again */
    assert_true(s3.n_lists > 1);
    assert_true(w.core->bucket.paused);
    assert_false(w.core->target.paused);
    assert_string_equal(w.core->bucket.why, "bucket-refused");
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 0);

    s3_reset("hello", 5);
    finish(&w, 0);
    assert_false(w.core->bucket.paused);
    assert_string_equal(w.core->bucket.why, "");
    assert_int_equal(w.core->bucket.count, 0);
    assert_int_equal(target_has(&w, "object29"), 1);
    stop_world(&w);
}

static void
slow_down_is_a_pause_that_grows_until_something_was_read(void **state)
{
    static struct world w;

    (void)state;
    start_with_bucket(&w, objects);
    for (int i = 0; i < 4; i++)
        s3.plan[i] = (struct s3_plan){.status = 503, .code = "SlowDown"};
    add_file(&w, 1, w.model.files[1], "slowly");
    for (int i = 0; i < 20000 && w.core->bucket.count < 3; i++)
        rounds(&w, 1);
    assert_true(w.core->bucket.count >=
                3); /* the bucket's own answer does not make it short again */
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
    finish(&w, 0);
    assert_int_equal(target_has(&w, "slowly"), 1);
    assert_int_equal(w.core->bucket.count, 0);
    stop_world(&w);
}

static void
a_new_process_tries_at_once_what_waited(void **state)
{
    static struct world w;

    (void)state;
    start_with_bucket(&w, objects);
    all_refused("InvalidAccessKeyId");
    add_file(&w, 1, w.model.files[1], "waits");
    for (int i = 0; i < 20000 && waiting(&w, "bucket-refused") == 0; i++)
        rounds(&w, 1);
    s3_reset("hello", 5);
    close_world(&w);
    open_world(&w);
    w.core->config = config;
    w.core->objects = objects;
    assert_false(w.core->bucket.paused);
    assert_true(ap_number(w.ledger, -1, "SELECT max(ready_at) FROM work", NULL) <=
                ls_now_us() / 1000);
    finish(&w, 0);
    assert_int_equal(target_has(&w, "waits"), 1);
    stop_world(&w);
}

static void
one_object_that_is_not_there_holds_up_no_other(void **state)
{
    static struct world w;

    (void)state;
    start_with_bucket(&w, objects);
    add_file(&w, 1, w.model.files[1], "first");
    finish(&w, 0);
    s3_reset("hello", 5);
    for (int i = 0; i < S3_PLANNED; i++)
        s3.plan[i] = (struct s3_plan){.status = 404, .code = "NoSuchKey"};
    add_file(&w, 1, w.model.files[1], "lost");
    for (int i = 0; i < 20000 && with_cause(&w, "content-missing") == 0; i++)
        rounds(&w, 1);
    assert_int_equal(with_cause(&w, "content-missing"), 1);
    assert_false(w.core->bucket.paused);
    add_file(&w, 2, w.model.files[2], "other");
    until_there(&w, "other");
    s3_reset("hello", 5);
    finish(&w, 0);
    assert_int_equal(target_has(&w, "lost"), 1);
    stop_world(&w);
}

static void
an_object_may_come_as_late_as_its_upload_takes(void **state)
{
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};
    static struct world w;
    struct ls_err err = {0};

    (void)state;
    start_with_bucket(&w, objects);
    for (int i = 0; i < S3_PLANNED; i++)
        s3.plan[i] = (struct s3_plan){.status = 404, .code = "NoSuchKey"};
    add_file(&w, 1, w.model.files[1], "late");
    for (int i = 0; i < 20000 && with_cause(&w, "content-missing") == 0; i++)
        rounds(&w, 1);
    assert_int_equal(ap_ledger_begin(w.ledger, &err), 0);
    beat.source_ts_us = ls_now_us() + 600000000; /* no newer row comes */
    assert_true(ap_take_mark(w.core, &at, &beat, 0));
    ap_exec(w.ledger,
            "UPDATE desired SET source_us = ? - 59000000, size = 100000000 WHERE name = ?", "is",
            ls_now_us(), "late");
    assert_int_equal(ap_ledger_commit(w.ledger, &err), 0);
    for (int i = 0; i < 20000 && s3.n_objects < 12; i++)
        rounds(&w, 1);
    assert_true(s3.n_objects >= 12);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 0);

    assert_int_equal(ap_ledger_begin(w.ledger, &err), 0);
    ap_exec(w.ledger, "UPDATE desired SET source_us = source_us - 200000000 WHERE name = 'late'",
            NULL);
    assert_int_equal(ap_ledger_commit(w.ledger, &err), 0);
    finish(&w, 0);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE cause = 'content-missing'", NULL),
        1);
    stop_world(&w);
}

static void
without_a_bucket_in_the_configuration_its_files_wait_with_that_cause(void **state)
{
    static struct world w;

    (void)state;
    start_with_bucket(&w, NULL);
    add_file(&w, 1, w.model.files[1], "where");
    add_file(&w, 2, w.model.files[2], "here");
    until_there(&w, "here");
    for (int i = 0; i < 20000 && with_cause(&w, "no-bucket") == 0; i++)
        rounds(&w, 1);
    assert_int_equal(s3.n_objects, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
    w.core->objects = objects;
    finish(&w, 0);
    assert_int_equal(target_has(&w, "where"), 1);
    stop_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_key_stops_what_is_read_from_the_bucket_and_nothing_else),
        cmocka_unit_test(slow_down_is_a_pause_that_grows_until_something_was_read),
        cmocka_unit_test(a_new_process_tries_at_once_what_waited),
        cmocka_unit_test(one_object_that_is_not_there_holds_up_no_other),
        cmocka_unit_test(an_object_may_come_as_late_as_its_upload_takes),
        cmocka_unit_test(without_a_bucket_in_the_configuration_its_files_wait_with_that_cause),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
