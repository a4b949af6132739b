/*
 * What a snapshot did not name is deleted behind its end: of everything, of one storage, of people;
 * above the limit only after a word.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/status.h"
#include "world.h"

static void
what_a_later_snapshot_does_not_name_is_swept(void **state)
{
    static struct world w;
    struct model_row *a, *b;
    struct ls_seq first;

    (void)state;
    start_world(&w);
    give_first_snapshot(&w);
    a = model_add(&w.model, 1, w.model.files[1], "a", false);
    model_content(&w.model, a);
    model_changed(&w.model, a);
    b = model_add(&w.model, 1, w.model.files[1], "b", false);
    model_content(&w.model, b);
    model_changed(&w.model, b);
    finish(&w, 0);
    b->deleted = true; /* behind Lockstep's back */
    first = (struct ls_seq){1, ++w.model.counter, 0};
    ledger_begin(w.ledger);
    give_mark(&w, 1, CS3_BEGIN, first, (struct ls_seq){0});
    ledger_commit(w.ledger);
    for (int i = 0; i < w.model.n_rows; i++)
        if (!w.model.rows[i].deleted)
            model_changed(&w.model, &w.model.rows[i]);
    finish(&w, 0);
    ledger_begin(w.ledger);
    give_mark(&w, 1, CS3_END, (struct ls_seq){1, ++w.model.counter, 0}, first);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_equal_trees(&w);
    assert_int_equal(w.target.purges, 1);
    stop_world(&w);
}

static void
a_sweep_above_the_limit_waits_for_a_word(void **state)
{
    static struct world w;
    struct ls_seq first;
    char name[16];

    (void)state;
    start_world(&w);
    give_first_snapshot(&w);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        struct model_row *a = model_add(&w.model, 1, w.model.files[1], name, false);
        model_content(&w.model, a);
        model_changed(&w.model, a);
    }
    finish(&w, 0);
    for (int i = 0; i < w.model.n_rows; i++)
        if (w.model.rows[i].name[0] == 'f' && w.model.rows[i].name[1] != 'i')
            w.model.rows[i].deleted = true;
    w.core->options.sweep_max_percent = 5;
    w.core->options.sweep_max_items = 20;
    first = (struct ls_seq){1, ++w.model.counter, 0};
    ledger_begin(w.ledger);
    give_mark(&w, 1, CS3_BEGIN, first, (struct ls_seq){0});
    ledger_commit(w.ledger);
    for (int i = 0; i < w.model.n_rows; i++)
        if (!w.model.rows[i].deleted)
            model_changed(&w.model, &w.model.rows[i]);
    finish(&w, 0);
    ledger_begin(w.ledger);
    give_mark(&w, 1, CS3_END, (struct ls_seq){1, ++w.model.counter, 0}, first);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(w.target.trashes, 0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT items FROM bracket WHERE state = 3", NULL), 40);
    json_t *sweeps = ap_open_sweeps(w.core), *sweep = json_array_get(sweeps, 0);
    assert_int_equal(json_array_size(sweeps), 1);
    assert_int_equal(json_integer_value(json_object_get(sweep, "items")), 40);
    assert_int_equal(json_array_size(json_object_get(sweep, "examples")), 10);
    sweep = json_array_get(json_object_get(sweep, "examples"), 0);
    assert_memory_equal(json_string_value(json_object_get(sweep, "path")), "files/f", 7);
    assert_true(json_string_length(json_object_get(sweep, "user")) > 0);
    json_decref(sweeps);
    close_world(&w); /* the next start, with a higher limit */
    open_world(&w);
    ledger_begin(w.ledger);
    ap_sweep_waiting(w.core);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_equal_trees(&w);
    stop_world(&w);
}

/* All brackets that the topic keeps come again when it is read from its start. */
static void
an_older_end_that_is_read_once_more_does_not_speak_for_a_sweep_that_waits(void **state)
{
    struct ls_seq first, second, none = {0};
    static struct world w;
    char name[16];

    (void)state;
    start_world(&w);
    w.core->options.sweep_max_percent = 5;
    w.core->options.sweep_max_items = 20;
    first = (struct ls_seq){1, ++w.model.counter, 0};
    ledger_begin(w.ledger);
    give_mark(&w, 1, CS3_BEGIN, first, none);
    give_mark(&w, 1, CS3_END, (struct ls_seq){1, ++w.model.counter, 0}, first);
    ledger_commit(w.ledger);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        add_file(&w, 1, w.model.files[1], name);
    }
    finish(&w, 0);
    second = (struct ls_seq){1, ++w.model.counter, 0};
    for (int n = 0; n < 2; n++) {
        ledger_begin(w.ledger);
        if (n == 1) {
            give_mark(&w, 1, CS3_BEGIN, first, none);
            give_mark(&w, 1, CS3_END, first, first);
        }
        give_mark(&w, 1, CS3_BEGIN, second, none);
        give_mark(&w, 1, CS3_END, (struct ls_seq){1, second.counter + 1, 0}, second);
        ledger_commit(w.ledger);
        assert_int_equal(ap_number(w.ledger, 0,
                                   "SELECT counter FROM bracket WHERE state = 3 AND items > 0",
                                   NULL),
                         second.counter);
    }
    finish(&w, 0);
    assert_int_equal(w.target.trashes, 0);
    stop_world(&w);
}

static void
what_an_older_end_says_is_done_in_a_ledger_made_anew(void **state)
{
    struct ls_seq first, second, none = {0};
    static struct world w;

    (void)state;
    start_world(&w);
    give_first_snapshot(&w);
    finish(&w, 0);
    add_file(&w, 1, w.model.files[1], "a");
    finish(&w, 0);
    first = (struct ls_seq){1, ++w.model.counter, 0};
    second = (struct ls_seq){1, ++w.model.counter, 0};
    ledger_begin(w.ledger);
    give_mark(&w, 1, CS3_BEGIN, second, none); /* of the mirror */
    give_mark(&w, 1, CS3_END, first, first);
    ledger_commit(w.ledger);
    finish(&w, 0);
    assert_int_equal(w.target.trashes, 1);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT state FROM bracket WHERE counter = ?", "i", second.counter),
        1);
    stop_world(&w);
}

static void
give_file(struct world *w, int64_t storage, int64_t fileid)
{
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1};
    struct cs3_resource r = {.head = {.seq = {1, ++w->model.counter, 0}},
                             .storage = storage,
                             .fileid = fileid,
                             .parent = fileid + 1,
                             .name = LS_STR("x"),
                             .moved_from = LS_NO_STORAGE,
                             .moved_to = LS_NO_STORAGE};

    ap_take_resource(w->core, &at, &r);
}

/* Returns the seq; `from` is that of the begin. */
static struct ls_seq
give_storage_mark(struct world *w, int64_t storage, enum cs3_kind kind, struct ls_seq from)
{
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1};
    struct cs3_resource r = {
        .head = {.kind = kind, .seq = {1, ++w->model.counter, 0}, .begin = from},
        .storage = storage,
        .name = LS_STR("")};

    ap_take_resource(w->core, &at, &r);
    return r.head.seq;
}

static int64_t
alive(struct world *w, int64_t storage)
{
    return ap_number(w->ledger, -1,
                     "SELECT count(*) FROM desired WHERE storage = ? AND deleted = 0", "i",
                     storage);
}

static void
the_snapshot_of_a_storage_sweeps_that_storage_alone(void **state)
{
    static struct world w;
    struct ls_seq first, none = {0};
    struct ap_origin at = {.topic = "cs3.resource", .partition = 1};
    struct cs3_resource leaving = {.head = {.kind = CS3_DELETE},
                                   .storage = 101,
                                   .fileid = 90003,
                                   .moved_to = 999,
                                   .moved_from = LS_NO_STORAGE};

    (void)state;
    start_world(&w);
    ledger_begin(w.ledger);
    for (int64_t id = 90000; id < 90004; id++) {
        give_file(&w, 101, id);
        give_file(&w, 201, id + 1000); /* of the same partition */
    }
    leaving.head.seq = (struct ls_seq){1, ++w.model.counter, 0};
    ap_take_resource(w.core, &at, &leaving);
    first = give_storage_mark(&w, 101, CS3_BEGIN, none);
    give_file(&w, 101, 90000);
    ledger_commit(w.ledger);
    assert_int_equal(alive(&w, 101), 3);
    ledger_begin(w.ledger);
    give_storage_mark(&w, 101, CS3_END, first);
    ledger_commit(w.ledger);
    assert_int_equal(alive(&w, 101), 1);
    assert_int_equal(alive(&w, 201), 4);
    /* the half that waits for its other one waits on */
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT moved_to FROM desired WHERE fileid = 90003", NULL), 999);
    /* brackets of the whole partition know nothing of it */
    assert_int_equal(ap_number(w.ledger, 0,
                               "SELECT count(*) FROM bracket WHERE epoch = 1 AND counter = ?", "i",
                               first.counter),
                     0);
    stop_world(&w);
}

static void
a_begin_without_an_end_sweeps_nothing_and_the_next_one_counts(void **state)
{
    static struct world w;
    struct ls_seq first, second, none = {0};

    (void)state;
    start_world(&w);
    ledger_begin(w.ledger);
    give_file(&w, 101, 90000);
    first = give_storage_mark(&w, 101, CS3_BEGIN, none); /* cancelled */
    give_file(&w, 101, 90001);
    second = give_storage_mark(&w, 101, CS3_BEGIN, none);
    give_file(&w, 101, 90002);
    ledger_commit(w.ledger);
    assert_int_equal(alive(&w, 101), 3);
    ledger_begin(w.ledger);
    give_storage_mark(&w, 101, CS3_END, first); /* read once more */
    ledger_commit(w.ledger);
    assert_int_equal(alive(&w, 101), 3);
    ledger_begin(w.ledger);
    give_storage_mark(&w, 101, CS3_END, second);
    ledger_commit(w.ledger);
    assert_int_equal(alive(&w, 101), 1);
    stop_world(&w);
}

static void
the_sweep_of_a_storage_above_the_limit_waits_for_a_word(void **state)
{
    static struct world w;
    struct ls_seq first, none = {0};

    (void)state;
    start_world(&w);
    w.core->options.sweep_max_percent = 5;
    w.core->options.sweep_max_items = 1;
    ledger_begin(w.ledger);
    for (int64_t id = 90000; id < 90010; id++)
        give_file(&w, 101, id);
    for (int64_t id = 91000; id < 91090; id++)
        give_file(&w, 201, id); /* others do not make it less */
    first = give_storage_mark(&w, 101, CS3_BEGIN, none);
    for (int64_t id = 90002; id < 90010; id++)
        give_file(&w, 101, id);
    give_storage_mark(&w, 101, CS3_END, first);
    ledger_commit(w.ledger);
    assert_int_equal(alive(&w, 101), 10);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT items FROM bracket_storage WHERE state = 3", NULL), 2);
    ledger_begin(w.ledger);
    give_storage_mark(&w, 101, CS3_END, (struct ls_seq){1, 1, 0}); /* an older one, once more */
    ledger_commit(w.ledger);
    assert_int_equal(
        ap_number(w.ledger, 0, "SELECT items FROM bracket_storage WHERE state = 3", NULL), 2);
    json_t *sweeps = ap_open_sweeps(w.core), *sweep = json_array_get(sweeps, 0);
    assert_int_equal(json_array_size(sweeps), 1);
    assert_int_equal(json_integer_value(json_object_get(sweep, "storage")), 101);
    /* 90000 lies below 90001 */
    assert_int_equal(json_array_size(json_object_get(sweep, "examples")), 1);
    sweep = json_array_get(json_object_get(sweep, "examples"), 0);
    assert_int_equal(json_integer_value(json_object_get(sweep, "fileid")), 90001);
    json_decref(sweeps);
    w.core->options.sweep_max_items = 2;
    ledger_begin(w.ledger);
    ap_sweep_waiting(w.core);
    ledger_commit(w.ledger);
    assert_int_equal(alive(&w, 101), 8);
    /* a ledger made anew, from the start of the topic: it had its word */
    w.core->options.sweep_max_items = 1;
    ledger_begin(w.ledger);
    ap_exec(w.ledger,
            "UPDATE desired SET deleted = 0, counter = 1 WHERE fileid < 90002"
            " AND storage = 101",
            NULL);
    assert_int_equal(alive(&w, 101), 10);
    give_storage_mark(&w, 101, CS3_END, first);
    ledger_commit(w.ledger);
    assert_int_equal(alive(&w, 101), 8);
    stop_world(&w);
}

static void
a_sweep_of_people_above_the_limit_waits(void **state)
{
    static struct world w;
    struct cs3_head head = {.kind = CS3_BEGIN, .seq = {2, 1, 0}};

    (void)state;
    start_world(&w);
    finish(&w, 0);
    w.core->options.sweep_max_percent = 5;
    w.core->options.sweep_max_items = 1;
    ledger_begin(w.ledger);
    assert_true(ap_take_mark(w.core, &person_origin, &head, 0));
    head = (struct cs3_head){.kind = CS3_END, .seq = {2, 2, 0}, .begin = {2, 1, 0}};
    assert_true(ap_take_mark(w.core, &person_origin, &head, 0));
    ledger_commit(w.ledger);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT count(*) FROM person WHERE deleted = 1", NULL),
                     0);
    assert_int_equal(ap_number(w.ledger, 0, "SELECT items FROM bracket WHERE state = 3", NULL),
                     MODEL_USERS);
    stop_world(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_later_snapshot_does_not_name_is_swept),
        cmocka_unit_test(a_sweep_above_the_limit_waits_for_a_word),
        cmocka_unit_test(an_older_end_that_is_read_once_more_does_not_speak_for_a_sweep_that_waits),
        cmocka_unit_test(what_an_older_end_says_is_done_in_a_ledger_made_anew),
        cmocka_unit_test(the_snapshot_of_a_storage_sweeps_that_storage_alone),
        cmocka_unit_test(a_begin_without_an_end_sweeps_nothing_and_the_next_one_counts),
        cmocka_unit_test(the_sweep_of_a_storage_above_the_limit_waits_for_a_word),
        cmocka_unit_test(a_sweep_of_people_above_the_limit_waits),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
