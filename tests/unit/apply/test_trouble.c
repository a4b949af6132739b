/*
 * Refusals and trouble of one node, one space or one person: who waits, who does not, what is kept
 * until something else is there, and what becomes a dead letter.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "world.h"

#include "apply/cs3/cs3.h"
#include "apply/run/refusal.h"
#include "common/run.h"
#include "tests/unit/clock.h"

static int64_t no_room_storage; /* puts into the space of this storage's owner answer "quota" */
static const char *bad_owner;   /* ... of this one "no-user" */
static const char *put_cause;   /* all puts: the source's trouble of this cause */
static bool somebody_else;      /* all puts: said by another service at the target's address */

static int
put_with_trouble(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                 const char *parent_id, const char *name, const struct ap_blob_want *blob,
                 int64_t mtime, uint32_t mtime_ns, const struct ap_expect *expect, bool doubtful,
                 struct ap_node *ret, struct ls_err *err)
{
    if (put_cause)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, put_cause, "not to be read now");
    if (somebody_else)
        return ls_fail_cause(err, LS_ERR_FATAL, CS3_UNIMPLEMENTED, "target-config", "unknown");
    if (no_room_storage != 0 && atoi(space->owner + 1) == no_room_storage)
        return ls_fail_cause(err, LS_ERR_RETRY, 507, "quota", "full");
    if (bad_owner && strcmp(space->owner, bad_owner) == 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "no-user", "nobody of that name");
    return fake_put_file(w, space, node_id, parent_id, name, blob, mtime, mtime_ns, expect,
                         doubtful, ret, err);
}

static struct ap_writer_ops ops_with_trouble;

static void
trouble_on(struct world *w)
{
    ops_with_trouble = *w->target.writer.ops;
    ops_with_trouble.put_file = put_with_trouble;
    w->target.writer.ops = &ops_with_trouble;
}

static void
the_old_copy_goes_only_when_the_new_one_is_there(void **state)
{
    static struct world w;
    struct model_row *a, *b, *folder;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    b = add_file(&w, 1, folder->fileid, "b");
    finish(&w, 0);
    no_room_storage = 2;
    model_move(&w.model, a, 2, w.model.files[2], "a");
    model_move(&w.model, folder, 2, w.model.files[2], "d");
    rounds(&w, 60);
    assert_int_equal(w.target.trashes + w.target.purges, 0);
    model_move(&w.model, b, 2, w.model.files[2], "c"); /* out of what is left over */
    rounds(&w, 60);
    assert_int_equal(w.target.trashes + w.target.purges, 0);
    model_move(&w.model, a, 1, w.model.files[1], "a"); /* and back again */
    no_room_storage = 0;
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
content_that_is_away_is_no_dead_letter_however_long_it_is(void **state)
{
    static const char *const parked = "SELECT count(*) FROM work WHERE kind = 1 AND trouble = 1 AND"
                                      " cause = 'content-away'";
    static struct world w;
    struct ap_origin at = {.topic = "cs3.resource"};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};
    struct model_row *a;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    put_cause = "content-missing"; /* all tries that there are, but not the verdict */
    while (ap_number(w.ledger, 0, "SELECT tries FROM work WHERE kind = 1 AND id = ?", "i",
                     a->fileid) < 3)
        rounds(&w, 1);
    put_cause = "content-away";
    add_file(&w, 2, w.model.files[2], "b");
    for (int i = 0; i < 60; i++) {
        rounds(&w, 2);
        ledger_begin(w.ledger);
        if (ap_number(w.ledger, 0, parked, NULL) == 2)
            for (at.partition = 0; at.partition < MODEL_PARTITIONS; at.partition++) {
                beat.source_ts_us = ls_now_us() + 1000000;
                assert_true(ap_take_mark(w.core, &at, &beat, 0));
            }
        ap_exec(w.ledger, "UPDATE work SET ready_at = 0 WHERE state = 0", NULL);
        ledger_commit(w.ledger);
    }
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
    assert_int_equal(ap_number(w.ledger, 0, parked, NULL), 2);
    put_cause = NULL;
    finish(&w, 0);
    assert_int_equal(target_has(&w, "a"), 1);
    assert_int_equal(target_has(&w, "b"), 1);
    stop_world(&w);
}

static void
behind_capture_s_clock_that_was_set_back_no_more_is_believed_to_be_read(void **state)
{
    static const char *const read = "SELECT read_us FROM offset WHERE topic = 'cs3.share'";
    static struct world w;
    struct ap_origin at = {.topic = "cs3.share"};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT, .source_ts_us = 9000, .capture_ts_us = 9001};

    (void)state;
    start_world(&w);
    ledger_begin(w.ledger);
    assert_true(ap_take_mark(w.core, &at, &beat, 0));
    beat.source_ts_us = 4000; /* older, and its clock is not: it was sent again */
    assert_true(ap_take_mark(w.core, &at, &beat, 0));
    assert_int_equal(ap_number(w.ledger, 0, read, NULL), 9000);
    beat.capture_ts_us = 5000;
    assert_true(ap_take_mark(w.core, &at, &beat, 0));
    assert_int_equal(ap_number(w.ledger, 0, read, NULL), 4000);
    ledger_commit(w.ledger);
    stop_world(&w);
}

/* Who waits for a moment, who is queued, a call that is to go out again, and a paused target. */
static void
a_clock_that_is_set_back_holds_nobody_up(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    put_cause = "content-away";
    add_file(&w, 1, w.model.files[1], "a");
    rounds(&w, 20);
    put_cause = NULL;
    clock_set_back_us(INT64_C(3600000000));
    rounds(&w, 100);
    assert_int_equal(target_has(&w, "a"), 1);

    add_file(&w, 1, w.model.files[1], "b");
    w.core->target.paused = true;
    w.core->target.until = ls_now_us() / 1000 + 2;
    clock_set_back_us(INT64_C(3600000000));
    rounds(&w, 100);
    assert_int_equal(target_has(&w, "b"), 1);

    put_cause = "content-away"; /* set back while no process was there */
    add_file(&w, 1, w.model.files[1], "c");
    rounds(&w, 20);
    put_cause = NULL;
    close_world(&w);
    clock_set_back_us(INT64_C(3600000000));
    open_world(&w);
    rounds(&w, 100);
    assert_int_equal(target_has(&w, "c"), 1);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
what_another_service_says_at_its_address_ends_nothing_until_it_has_lasted(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    somebody_else = true;
    add_file(&w, 1, w.model.files[1], "a");
    rounds(&w, 100);
    assert_int_equal(w.core->fatal.kind, LS_ERR_NONE);
    assert_int_equal(target_has(&w, "a"), 0);
    somebody_else = false;
    finish(&w, 0);
    assert_equal_trees(&w);

    somebody_else = true;
    add_file(&w, 1, w.model.files[1], "b");
    clock_pass_us((int64_t)AP_REFUSAL_GAP_MS * 1000 + 1000000);
    for (int64_t ms = 0; ms < AP_REFUSAL_MS; ms += 10000) {
        rounds(&w, 20);
        assert_int_equal(w.core->fatal.kind, LS_ERR_NONE);
        clock_pass_us(10000000);
    }
    rounds(&w, 20);
    assert_int_equal(w.core->fatal.kind, LS_ERR_FATAL);
    assert_string_equal(w.core->fatal.cause, "target-config");
    somebody_else = false;
    stop_world(&w);
}

static void
a_key_that_is_refused_and_what_a_configuration_lacks_are_believed_at_once(void **state)
{
    static const int codes[] = {0, CS3_PERMISSION_DENIED, CS3_UNAUTHENTICATED};
    struct ap_refusal refusal = {0};
    struct ls_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        ls_fail_cause(&err, LS_ERR_FATAL, codes[i], "target-config", "refused");
        assert_false(ap_refusal_may_pass(&refusal, &err, 1000));
    }
    ls_fail_cause(&err, LS_ERR_FATAL, 401, "target-config", "refused");
    assert_true(ap_refusal_may_pass(&refusal, &err, 1000));
    assert_true(ap_refusal_may_pass(&refusal, &err, 90000));
    assert_false(ap_refusal_may_pass(&refusal, &err, 1000 + AP_REFUSAL_MS));
}

static const char *refused_name; /* moves to this name are refused for good */

static int
move_refused(struct ap_writer *w, const struct ap_space *space, const char *node_id,
             const char *parent_id, const char *name, const struct ap_expect *expect, bool doubtful,
             struct ls_err *err)
{
    if (refused_name && strcmp(name, refused_name) == 0)
        return ls_fail_cause(err, LS_ERR_POISON, 400, "refused", "no such name");
    return fake_move(w, space, node_id, parent_id, name, expect, doubtful, err);
}

static void
a_name_held_by_a_dead_letter_is_given_to_who_shall_have_it(void **state)
{
    static struct world w;
    struct model_row *a;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    ops_with_trouble.move = move_refused;
    refused_name = "bad";
    a = add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    model_move(&w.model, a, 1, w.model.files[1], "bad");
    finish(&w, 0);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    assert_int_equal(target_has(&w, "a"), 1);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid}));
    refused_name = NULL;
    model_changed(&w.model, a);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static int denials; /* so many moves are denied, but the `other`th says something else */
static int other_denial;

static int
move_denied(struct ap_writer *w, const struct ap_space *space, const char *node_id,
            const char *parent_id, const char *name, const struct ap_expect *expect, bool doubtful,
            struct ls_err *err)
{
    if (denials == other_denial && denials-- > 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "busy", "another time");
    if (denials-- > 0)
        return ls_fail_cause(err, LS_ERR_POISON, CS3_PERMISSION_DENIED, "denied", "who are you?");
    return fake_move(w, space, node_id, parent_id, name, expect, doubtful, err);
}

/* Returns true when the file was moved, false when it is a dead letter. */
static bool
moved_after(int n, int other)
{
    static struct world w;
    struct model_row *a;
    bool dead;

    start_world(&w);
    trouble_on(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    ops_with_trouble.move = move_denied;
    denials = n;
    other_denial = other;
    model_move(&w.model, a, 1, w.model.files[1], "b");
    finish(&w, 0);
    dead = ap_is_dead(w.ledger, (struct ap_key){AP_NODE, a->fileid});
    assert_int_equal(target_has(&w, "b"), !dead);
    stop_world(&w);
    return !dead;
}

/* oCIS denies everything while its service of permissions comes up. */
static void
a_denial_is_believed_the_tenth_time_one_after_the_other(void **state)
{
    (void)state;
    assert_true(moved_after(9, -1));
    assert_false(moved_after(10, -1));
    assert_true(moved_after(15, 7));
}

/* A scan of the disk keeps the row of what has its name, whatever that is now. */
static void
a_file_whose_row_becomes_a_folders_is_a_folder(void **state)
{
    static struct world w;
    struct model_row *row;

    (void)state;
    start_world(&w);
    row = add_file(&w, 1, w.model.files[1], "both");
    finish(&w, 0);
    row->folder = true;
    row->sha1[0] = '\0';
    model_changed(&w.model, row);
    add_file(&w, 1, row->fileid, "in it");
    finish(&w, 0);
    assert_int_equal(target_has(&w, "both"), 1);
    assert_int_equal(target_has(&w, "in it"), 1);
    assert_equal_trees(&w);
    stop_world(&w);
}

/* What was in it keeps its rows, which nothing leads to any more. */
static void
a_folder_whose_row_becomes_a_files_is_a_file_and_what_was_in_it_is_gone(void **state)
{
    static struct world w;
    struct model_row *row, *deep;

    (void)state;
    start_world(&w);
    row = model_add(&w.model, 1, w.model.files[1], "both", true);
    model_changed(&w.model, row);
    add_file(&w, 1, row->fileid, "in it");
    deep = model_add(&w.model, 1, row->fileid, "deep", true);
    model_changed(&w.model, deep);
    add_file(&w, 1, deep->fileid, "below");
    finish(&w, 0);
    row->folder = false;
    model_content(&w.model, row);
    model_changed(&w.model, row);
    rounds(&w, 60);
    assert_int_equal(target_has(&w, "both"), 1);
    assert_int_not_equal(target_has(&w, "in it"), 1);
    assert_int_not_equal(target_has(&w, "below"), 1);
    finish(&w, 3);
    stop_world(&w);
}

static void
calls_that_are_made_again_are_counted_by_cause(void **state)
{
    static struct world w;
    int64_t busy = 0, others = 0;
    char name[16];

    (void)state;
    srandom(7);
    start_world(&w);
    w.target.busy = 300;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        add_file(&w, 1, w.model.files[1], name);
    }
    finish(&w, 0);
    for (size_t i = 0; i < AP_RETRY_CAUSES; i++) {
        if (strcmp(w.core->retries[i].cause, "busy") == 0)
            busy += w.core->retries[i].n;
        else
            others += w.core->retries[i].n;
    }
    assert_true(busy > 0);
    assert_int_equal(others, 0);
    assert_true(w.core->content_bytes > 0);
    assert_true(ap_ledger_bytes(w.ledger) > 0);
    stop_world(&w);
}

static void
one_who_cannot_sign_in_holds_up_nobody_else(void **state)
{
    static struct world w;
    char name[16];

    (void)state;
    start_world(&w);
    trouble_on(&w);
    finish(&w, 0);
    bad_owner = "u1";
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        add_file(&w, 1, w.model.files[1], name);
    }
    rounds(&w, 20);
    add_file(&w, 2, w.model.files[2], "hers");
    rounds(&w, 40);
    assert_int_equal(w.target.puts, 1);
    assert_false(w.core->target.paused);
    bad_owner = NULL;
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
a_first_copy_goes_on_when_the_last_trash_item_is_parked(void **state)
{
    static struct world w;
    struct model_row *twin, *other;

    (void)state;
    start_world(&w);
    twin = model_add(&w.model, 1, w.model.trash[1], "t.d1700000000", false);
    model_content(&w.model, twin);
    model_changed(&w.model, twin);
    other = model_add(&w.model, 1, w.model.trash[1], "t.d1700000000", false);
    memcpy(other->sha1, twin->sha1, sizeof(other->sha1)); /* one path, one content */
    model_changed(&w.model, other);
    add_file(&w, 1, w.model.files[1], "live");
    rounds(&w, 200);
    assert_int_equal(w.target.puts, 2);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM work WHERE kind = 1", NULL), 1);
    stop_world(&w);
}

static void
rows_of_a_deleted_storage_without_a_space_cost_nothing_while_they_wait(void **state)
{
    static struct world w;
    struct cs3_space gone = {
        .head = {.kind = CS3_DELETE}, .storage = 9, .type = CS3_SPACE_PERSONAL};
    int busy = 0;

    (void)state;
    start_world(&w);
    ledger_begin(w.ledger);
    give_space(&w, 9, "u1", CS3_UPSERT);
    gone.head.seq = (struct ls_seq){1, ++w.seq, 0};
    ap_take_space(w.core, &space_origin, &gone);
    ledger_commit(w.ledger);
    ap_exec(w.ledger, "UPDATE space SET ready = 0, deleted = 1 WHERE storage = 1", NULL);
    add_file(&w, 1, w.model.files[1], "a");
    rounds(&w, 50);
    for (int i = 0; i < 50; i++) {
        busy += ap_idle_ms(w.core, 50) == 0;
        rounds(&w, 1);
    }
    assert_int_equal(busy, 0);
    stop_world(&w);
}

static void
half_a_move_is_a_dead_letter_once_every_partition_was_read_past_it_and_the_copy_stays(void **state)
{
    static struct world w;
    struct model_row *a;
    struct ap_origin at = {.topic = "cs3.resource"};
    struct cs3_head beat = {.kind = CS3_HEARTBEAT};
    struct cs3_resource half = {.head = {.kind = CS3_DELETE, .source_ts_us = 1000000},
                                .what = CS3_NODE,
                                .storage = 1,
                                .moved_to = 2,
                                .moved_from = LS_NO_STORAGE};

    (void)state;
    start_world(&w);
    a = add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    half.fileid = a->fileid;
    half.head.seq = (struct ls_seq){1, ++w.model.counter, 0};
    a->deleted = true;
    ledger_begin(w.ledger);
    ap_take_resource(w.core, &at, &half);
    ledger_commit(w.ledger);
    beat.source_ts_us = 5000000;
    for (at.partition = 0; at.partition < MODEL_PARTITIONS; at.partition++) {
        ap_exec(w.ledger, "INSERT OR IGNORE INTO offset VALUES('cs3.resource', ?, 1, 0)", "i",
                (int64_t)at.partition);
    }
    for (at.partition = 0; at.partition < MODEL_PARTITIONS; at.partition++) {
        rounds(&w, 5);
        assert_int_equal(w.target.trashes, 0);
        ledger_begin(w.ledger);
        assert_true(ap_take_mark(w.core, &at, &beat, 0));
        ledger_commit(w.ledger);
        w.core->half_moves_at = 0;
    }
    finish(&w, 0);
    assert_int_equal(w.target.trashes + w.target.purges, 0); /* the only copy stays */
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE cause = 'half-move'", NULL), 1);
    stop_world(&w);
}

static void
a_loop_is_dead_letters_until_the_record_of_one_of_its_rows_ends_it(void **state)
{
    static struct world w;
    struct model_row *a, *b, *below;

    (void)state;
    srandom(9);
    start_world(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", true);
    b = model_add(&w.model, 1, a->fileid, "b", true);
    model_changed(&w.model, a);
    model_changed(&w.model, b);
    below = add_file(&w, 1, b->fileid, "below");
    a->parent = b->fileid;
    model_changed(&w.model, a);
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE cause = 'loop'", NULL),
                     3);
    assert_int_equal(target_has(&w, "below"), 0);
    b->parent = w.model.files[1];
    model_changed(&w.model, b);
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, -1, "SELECT count(*) FROM dead", NULL), 0);
    assert_int_equal(target_has(&w, below->name), 1);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
encrypted_content_is_a_dead_letter_and_a_newer_row_takes_it_back(void **state)
{
    static struct world w;
    struct ap_key key;

    (void)state;
    start_world(&w);
    key = (struct ap_key){AP_NODE, add_file(&w, 1, w.model.files[1], "a")->fileid};
    ledger_begin(w.ledger);
    while (give_next(&w, 1) || give_next(&w, 0))
        ;
    ap_exec(w.ledger, "UPDATE desired SET encrypted = 1 WHERE fileid = ?", "i", key.id);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(w.target.puts, 0);
    assert_true(ap_is_dead(w.ledger, key));
    assert_int_equal(ap_number(w.ledger, 0,
                               "SELECT count(*) FROM letter WHERE message LIKE '%has encrypted%'",
                               NULL),
                     1);
    /* one that stands for no record, as after a look from aside, must not stay either */
    ap_exec(w.ledger, "UPDATE dead SET counted = 0", NULL);
    ap_count(w.ledger, "superseded", 1);
    model_changed(&w.model, model_row(&w.model, key.id));
    finish(&w, 0);
    assert_false(ap_is_dead(w.ledger, key));
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
a_storage_whose_space_is_taken_is_a_dead_letter(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w);
    finish(&w, 0);
    ledger_begin(w.ledger);
    give_space(&w, 9, "u1", CS3_UPSERT); /* object::user:u1 beside home::u1 */
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE cause = 'space-taken'", NULL), 1);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT ready FROM space WHERE storage = 9", NULL), 0);
    stop_world(&w);
}

/* The user was deleted and made again; of his two storages the end of the old one comes last. */
static void
a_space_that_is_taken_until_the_other_storage_goes_is_no_dead_letter(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w);
    finish(&w, 0);
    ledger_begin(w.ledger);
    give_space(&w, 9, "u1", CS3_UPSERT);
    ledger_commit(w.ledger);
    for (int i = 0; i < 20; i++) {
        round_once(&w, 0);
        run_some(&w, 10);
    }
    assert_int_equal(ap_number(w.ledger, 0,
                               "SELECT count(*) FROM work WHERE kind = 3 AND id = 9"
                               " AND cause = 'space-taken'",
                               NULL),
                     1);
    ledger_begin(w.ledger);
    give_space(&w, 9, "u1", CS3_DELETE);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static int folders_busy, folders_gone;

static int
make_folder_with_trouble(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                         const char *name, const struct ap_expect *expect, bool doubtful,
                         struct ap_node *ret, struct ls_err *err)
{
    if (folders_busy > 0 && folders_busy-- > 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "busy", "locked");
    if (folders_gone > 0 && folders_gone-- > 0)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "parent-gone", "no parent for a moment");
    return fake_make_folder(w, space, parent_id, name, expect, doubtful, ret, err);
}

static void
a_parent_is_forgotten_after_three_answers_of_that_kind_only(void **state)
{
    static struct world w;
    struct model_row *folder;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    ops_with_trouble.make_folder = make_folder_with_trouble;
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    finish(&w, 0);
    folders_busy = 6;
    folders_gone = 2;
    model_changed(&w.model, model_add(&w.model, 1, folder->fileid, "e", true));
    finish(&w, 0);
    assert_int_equal(folders_busy + folders_gone, 0);
    assert_int_equal(w.target.makes, 2); /* the parent was not made anew */
    assert_int_equal(w.core->lost, 0);
    assert_equal_trees(&w);
    folders_gone = 3;
    model_changed(&w.model, model_add(&w.model, 1, folder->fileid, "f", true));
    for (int n = 0; n < 100000 && w.core->lost == 0; n++) {
        round_once(&w, 50);
        run_some(&w, 1000);
    }
    assert_int_equal(w.core->lost, 1);
    stop_world(&w);
}

static int
make_folder_where_a_file_is(struct ap_writer *w, const struct ap_space *space,
                            const char *parent_id, const char *name, const struct ap_expect *expect,
                            bool doubtful, struct ap_node *ret, struct ls_err *err)
{
    if (folders_busy == 0)
        return fake_make_folder(w, space, parent_id, name, expect, doubtful, ret, err);
    folders_busy--;
    snprintf(ret->id, sizeof(ret->id), "somebody's-file");
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "taken", "a file has that name");
}

static void
a_file_at_the_target_is_never_taken_for_the_folder_of_that_name(void **state)
{
    static struct world w;
    struct model_row *folder;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    ops_with_trouble.make_folder = make_folder_where_a_file_is;
    folders_busy = 1;
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    finish(&w, 0);
    assert_int_equal(folders_busy, 0);
    assert_int_equal(w.target.makes, 1);
    assert_equal_trees(&w);
    stop_world(&w);
}

static int
make_folder_then_nobody(struct ap_writer *w, const struct ap_space *space, const char *parent_id,
                        const char *name, const struct ap_expect *expect, bool doubtful,
                        struct ap_node *ret, struct ls_err *err)
{
    if (folders_busy == 0)
        return fake_make_folder(w, space, parent_id, name, expect, doubtful, ret, err);
    if (folders_busy-- < 40)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "no-user", "nobody of that name");
    if (fake_make_folder(w, space, parent_id, name, expect, doubtful, ret, err) < 0)
        return -1;
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "timeout", "the answer was lost");
}

static void
what_was_made_is_not_forgotten_while_its_owner_cannot_sign_in(void **state)
{
    static struct world w;
    struct model_row *folder;

    (void)state;
    start_world(&w);
    trouble_on(&w);
    ops_with_trouble.make_folder = make_folder_then_nobody;
    finish(&w, 0);
    folders_busy = 40;
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    while (folders_busy > 30)
        rounds(&w, 1);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT trouble FROM work WHERE cause = 'no-user'", NULL), 1);
    model_purge(&w.model, folder);
    finish(&w, 0);
    assert_int_equal(w.target.makes, 1);
    assert_equal_trees(&w);
    stop_world(&w);
}

/* A world with one folder that nobody has but the ledger, and a target that does not hear. */
static struct model_row *
folder_lost_at_the_target(struct world *w)
{
    struct model_row *folder;

    start_world(w);
    folder = model_add(&w->model, 1, w->model.files[1], "d", true);
    model_changed(&w->model, folder);
    finish(w, 0);
    for (int i = 1; i < w->target.n_nodes; i++)
        w->target.nodes[i].used =
            w->target.nodes[i].used && strcmp(w->target.nodes[i].name, "d") != 0;
    w->target.lost_calls = 1000;
    return folder;
}

/* What was given is called for once, and nobody knows what became of it. */
static void
lose_the_call(struct world *w)
{
    round_once(w, 50);
    run_some(w, 1);
    w->target.lost_calls = 0;
    round_once(w, 0);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM op", NULL), 1);
    w->core->jobs[0]->resend_at = INT64_MAX;
}

/* oCIS takes a parent without an id for the root of the space. */
static void
a_call_below_what_was_forgotten_is_not_sent_again_after_a_kill(void **state)
{
    static struct world w;
    struct model_row *folder;

    (void)state;
    folder = folder_lost_at_the_target(&w);
    add_file(&w, 1, folder->fileid, "a");
    lose_the_call(&w);
    add_file(&w, 1, folder->fileid, "b");
    for (int i = 0; w.core->lost == 0 && i < 100; i++)
        rounds(&w, 1);
    assert_int_equal(w.core->lost, 1);
    close_world(&w);
    open_world(&w);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

/* The folder's number in the ledger must not be that of another one by then. */
static void
a_call_into_a_folder_that_was_forgotten_is_never_made_in_another_one(void **state)
{
    static struct world w;
    struct model_row *folder;

    (void)state;
    folder = folder_lost_at_the_target(&w);
    model_changed(&w.model, model_add(&w.model, 1, folder->fileid, "a", true));
    lose_the_call(&w);
    add_file(&w, 1, folder->fileid, "b");
    for (int n = 0; ap_number(w.ledger, 0, "SELECT max(tries) FROM gone", NULL) != 2; n++) {
        assert_true(n < 100000);
        round_once(&w, 50);
        run_some(&w, 1);
    }
    for (int n = 0; w.core->n_jobs < 2; n++) { /* its third try is out, and the folder is deleted */
        assert_true(n < 100000);
        round_once(&w, 0);
    }
    model_purge(&w.model, folder);
    round_once(&w, 50);
    run_some(&w, 1);
    round_once(&w, 50);
    assert_int_equal(w.core->lost, 1);
    model_changed(&w.model, model_add(&w.model, 1, w.model.files[1], "o", true));
    for (int n = 0; target_has(&w, "o") == 0; n++) {
        assert_true(n < 100000);
        round_once(&w, 50);
        run_some(&w, 1);
    }
    round_once(&w, 50);
    close_world(&w);
    open_world(&w);
    finish(&w, 0);
    assert_int_equal(w.target.makes, 2);
    assert_equal_trees(&w);
    stop_world(&w);
}

/* Its number was the only thing by which somebody could have dropped it. */
static void
the_letter_about_an_old_copy_ends_when_the_folder_around_it_goes(void **state)
{
    static struct world w;
    struct model_row *folder, *file;

    (void)state;
    start_world(&w);
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    file = add_file(&w, 1, folder->fileid, "x");
    finish(&w, 0);
    for (int i = 1; i < w.target.n_nodes; i++)
        if (strcmp(w.target.nodes[i].name, "x") == 0)
            snprintf(w.target.nodes[i].sha1, sizeof(w.target.nodes[i].sha1), "his");
    model_move(&w.model, file, 2, w.model.files[2], "x");
    finish(&w, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM dead WHERE kind = 2", NULL), 1);
    model_purge(&w.model, folder);
    finish(&w, 0); /* dead for the same reason, and then the source shall win */
    ledger_begin(w.ledger);
    ap_drift_allow(w.core, (struct ap_key){AP_NODE, folder->fileid});
    ap_work_open(w.ledger, (struct ap_key){AP_NODE, folder->fileid}, 1, 0);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

static void
more_calls_than_there_is_room_for_by_the_settings_are_found_again(void **state)
{
    static struct world w;

    (void)state;
    start_world(&w);
    finish(&w, 0);
    ledger_begin(w.ledger);
    ap_exec(w.ledger,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
            " INSERT INTO op(kind, entity, call, storage, fileid, node, parent, top, name) SELECT"
            " 1, 100000 + i, ?, 1, 100000 + i, 0, 0, 0, 'f' || i FROM n",
            "i", (int64_t)AP_MAKE_FOLDER);
    ledger_commit(w.ledger);
    close_world(&w);
    open_world(&w);
    assert_int_equal(w.core->n_jobs, 2500);
    stop_world(&w);
}

static void
who_waits_for_a_call_that_met_a_trashed_folder_goes_on(void **state)
{
    static struct world w;
    struct model_row *folder, *trashed, *file;

    (void)state;
    start_world(&w);
    folder = model_add(&w.model, 1, w.model.files[1], "d", true);
    model_changed(&w.model, folder);
    trashed = model_add(&w.model, 1, w.model.files[1], "t", true);
    model_changed(&w.model, trashed);
    file = add_file(&w, 1, folder->fileid, "a");
    finish(&w, 0);
    for (int i = 1; i < w.target.n_nodes; i++)
        if (strcmp(w.target.nodes[i].name, "t") == 0)
            w.target.nodes[i].trashed = true; /* by somebody at the target */
    model_move(&w.model, folder, 1, trashed->fileid, "d");
    model_content(&w.model, file);
    model_changed(&w.model, file);
    rounds(&w, 30);
    assert_true(ap_is_dead(w.ledger, (struct ap_key){AP_NODE, trashed->fileid}));
    assert_int_equal(w.target.puts, 2);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM work", NULL), 1);
    stop_world(&w);
}

static int
calls_of_lane(const struct world *w, int64_t lane)
{
    int n = 0;

    for (int i = 0; i < w->core->n_jobs; i++)
        n += w->core->jobs[i]->lane == lane && w->core->jobs[i]->queued;
    return n;
}

/* No call is answered meanwhile, as when all that are out are of big files. */
static void
a_file_is_planned_while_the_calls_of_somebody_else_fill_all_the_room(void **state)
{
    static struct world w;
    char name[32];
    int planned;

    (void)state;
    start_world(&w);
    finish(&w, 0);
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "big %d", i);
        add_file(&w, 1, w.model.files[1], name);
    }
    for (int i = 0; i < 20; i++)
        round_once(&w, 60);
    planned = calls_of_lane(&w, 1);
    assert_in_range(planned, 8, 59);
    add_file(&w, 2, w.model.files[2], "small");
    for (int i = 0; i < 20; i++)
        round_once(&w, 10);
    assert_int_equal(calls_of_lane(&w, 1), planned);
    assert_int_equal(calls_of_lane(&w, 2), 1);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_into_a_folder_that_was_forgotten_is_never_made_in_another_one),
        cmocka_unit_test(the_letter_about_an_old_copy_ends_when_the_folder_around_it_goes),
        cmocka_unit_test(a_call_below_what_was_forgotten_is_not_sent_again_after_a_kill),
        cmocka_unit_test(more_calls_than_there_is_room_for_by_the_settings_are_found_again),
        cmocka_unit_test(who_waits_for_a_call_that_met_a_trashed_folder_goes_on),
        cmocka_unit_test(the_old_copy_goes_only_when_the_new_one_is_there),
        cmocka_unit_test(content_that_is_away_is_no_dead_letter_however_long_it_is),
        cmocka_unit_test(behind_capture_s_clock_that_was_set_back_no_more_is_believed_to_be_read),
        cmocka_unit_test(a_clock_that_is_set_back_holds_nobody_up),
        cmocka_unit_test(what_another_service_says_at_its_address_ends_nothing_until_it_has_lasted),
        cmocka_unit_test(a_key_that_is_refused_and_what_a_configuration_lacks_are_believed_at_once),
        cmocka_unit_test(a_denial_is_believed_the_tenth_time_one_after_the_other),
        cmocka_unit_test(a_name_held_by_a_dead_letter_is_given_to_who_shall_have_it),
        cmocka_unit_test(a_file_whose_row_becomes_a_folders_is_a_folder),
        cmocka_unit_test(a_folder_whose_row_becomes_a_files_is_a_file_and_what_was_in_it_is_gone),
        cmocka_unit_test(calls_that_are_made_again_are_counted_by_cause),
        cmocka_unit_test(one_who_cannot_sign_in_holds_up_nobody_else),
        cmocka_unit_test(a_file_is_planned_while_the_calls_of_somebody_else_fill_all_the_room),
        cmocka_unit_test(a_first_copy_goes_on_when_the_last_trash_item_is_parked),
        cmocka_unit_test(rows_of_a_deleted_storage_without_a_space_cost_nothing_while_they_wait),
        cmocka_unit_test(
            half_a_move_is_a_dead_letter_once_every_partition_was_read_past_it_and_the_copy_stays),
        cmocka_unit_test(a_loop_is_dead_letters_until_the_record_of_one_of_its_rows_ends_it),
        cmocka_unit_test(encrypted_content_is_a_dead_letter_and_a_newer_row_takes_it_back),
        cmocka_unit_test(a_storage_whose_space_is_taken_is_a_dead_letter),
        cmocka_unit_test(a_space_that_is_taken_until_the_other_storage_goes_is_no_dead_letter),
        cmocka_unit_test(a_parent_is_forgotten_after_three_answers_of_that_kind_only),
        cmocka_unit_test(a_file_at_the_target_is_never_taken_for_the_folder_of_that_name),
        cmocka_unit_test(what_was_made_is_not_forgotten_while_its_owner_cannot_sign_in),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
