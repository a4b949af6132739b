/*
 * The end of a snapshot of one table says nothing of another.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "people_world.h"

static void
mark(struct world *w, const struct ap_origin *at, int sort, enum cs3_kind kind, int64_t counter)
{
    struct cs3_head head = {.kind = kind, .seq = {2, counter, 0}, .begin = {2, counter - 100, 0}};

    assert_true(ap_take_mark(w->core, at, &head, sort));
}

static int64_t
alive(struct world *w, enum cs3_person_type type)
{
    return ap_number(w->ledger, 0, "SELECT count(*) FROM person WHERE deleted = 0 AND type = ?",
                     "i", (int64_t)type);
}

static void
the_end_of_one_table_sweeps_nothing_of_another(void **state)
{
    struct world *w = *state;

    give(w, user("bob"));
    give(w, (struct cs3_person){.type = CS3_GROUP, .gid = LS_STR("staff"), .enabled = true});
    give(w, (struct cs3_person){
                .type = CS3_MEMBER, .gid = LS_STR("staff"), .uid = LS_STR("bob"), .enabled = true});
    give(w, (struct cs3_person){.type = CS3_QUOTA, .uid = LS_STR("bob")});
    give(w, (struct cs3_person){.type = CS3_CREDENTIAL, .uid = LS_STR("bob")});
    give(w, (struct cs3_person){.type = CS3_LDAP, .uid = LS_STR("bob")});
    run(w);
    /* a later snapshot: all its begins come first, then the tables one after another */
    for (int type = CS3_USER; type <= CS3_QUOTA; type++)
        mark(w, &people, type, CS3_BEGIN, 100 + type);
    mark(w, &people, CS3_USER, CS3_END, 200);
    assert_int_equal(alive(w, CS3_USER), 0);
    assert_int_equal(alive(w, CS3_GROUP), 1);
    assert_int_equal(alive(w, CS3_MEMBER), 1);
    assert_int_equal(alive(w, CS3_QUOTA), 1);
    mark(w, &people, CS3_MEMBER, CS3_END, 202);
    assert_int_equal(alive(w, CS3_MEMBER), 0);
    assert_int_equal(alive(w, CS3_GROUP), 1);
    mark(w, &people, CS3_QUOTA, CS3_END, 205);
    assert_int_equal(alive(w, CS3_QUOTA), 0);
    mark(w, &people, CS3_CREDENTIAL, CS3_END, 203);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT deleted FROM credential", NULL), 1);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT deleted FROM ldap", NULL), 0);
    mark(w, &people, CS3_LDAP, CS3_END, 204);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT deleted FROM ldap", NULL), 1);
    assert_int_equal(alive(w, CS3_GROUP), 1);
    mark(w, &people, CS3_GROUP, CS3_END, 201);
    assert_int_equal(alive(w, CS3_GROUP), 0);
    run(w);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
    assert_int_equal(ap_balance(w->ledger), 0);
    /* what an older record says comes too late */
    give(w, user("bob"));
    assert_int_equal(alive(w, CS3_USER), 0);
}

static void
annotations_are_swept_table_by_table(void **state)
{
    struct world *w = *state;

    for (int64_t i = 1; i <= 2; i++) {
        give_note(w, (struct cs3_annotation){.type = CS3_CATEGORY, .id = i});
        give_note(w, (struct cs3_annotation){.type = CS3_TAGGED, .id = i, .fileid = i});
        give_note(w, (struct cs3_annotation){.type = CS3_PROPERTY, .id = i, .fileid = i});
        give_note(w, (struct cs3_annotation){.type = CS3_SYSTEMTAG, .id = i});
        give_note(w, (struct cs3_annotation){.type = CS3_SYSTEMTAGGED, .id = i, .fileid = i});
    }
    for (int type = CS3_CATEGORY; type <= CS3_SYSTEMTAGGED; type++)
        mark(w, &notes, type, CS3_BEGIN, 100 + type);
    give_note(w, (struct cs3_annotation){
                     .head = {.seq = {2, 150, 0}}, .type = CS3_TAGGED, .id = 2, .fileid = 2});
    mark(w, &notes, CS3_TAGGED, CS3_END, 201);
    assert_int_equal(
        ap_number(w->ledger, 0, "SELECT count(*) FROM annotation WHERE deleted = 1", NULL), 1);
    assert_int_equal(
        ap_number(w->ledger, 0, "SELECT id FROM annotation WHERE deleted = 1 AND type = 1", NULL),
        1);
    mark(w, &notes, CS3_PROPERTY, CS3_END, 202);
    mark(w, &notes, CS3_CATEGORY, CS3_END, 200);
    assert_int_equal(
        ap_number(w->ledger, 0, "SELECT count(*) FROM annotation WHERE deleted = 1", NULL), 5);
    mark(w, &notes, CS3_SYSTEMTAGGED, CS3_END, 204);
    mark(w, &notes, CS3_SYSTEMTAG, CS3_END, 203);
    assert_int_equal(
        ap_number(w->ledger, 0, "SELECT count(*) FROM annotation WHERE deleted = 1", NULL), 9);
    assert_int_equal(ap_balance(w->ledger), 0);
}

static void
the_end_of_the_trash_entries_sweeps_no_file(void **state)
{
    struct world *w = *state;
    struct cs3_space space = {.head = {.seq = {1, 1, 0}},
                              .storage = 1,
                              .type = CS3_SPACE_PERSONAL,
                              .owner = LS_STR("bob")};
    struct cs3_resource node = {.head = {.seq = {1, 2, 0}},
                                .storage = 1,
                                .fileid = 7,
                                .parent = -1,
                                .folder = true,
                                .name = LS_STR(""),
                                .moved_from = LS_NO_STORAGE,
                                .moved_to = LS_NO_STORAGE};
    struct cs3_resource entry = node;

    ap_take_space(w->core, &spaces, &space);
    ap_take_resource(w->core, &files, &node);
    entry.what = CS3_TRASH_INFO;
    entry.name = LS_STR("a.txt");
    entry.trash_user = LS_STR("bob");
    entry.trash_location = LS_STR(".");
    ap_take_resource(w->core, &files, &entry);
    /* oc_files_trash was read to its end, oc_filecache not even begun */
    mark(w, &files, CS3_TRASH_INFO, CS3_BEGIN, 100);
    mark(w, &files, CS3_NODE, CS3_BEGIN, 101);
    mark(w, &files, CS3_TRASH_INFO, CS3_END, 200);
    assert_int_equal(ap_number(w->ledger, -1, "SELECT deleted FROM desired WHERE fileid = 7", NULL),
                     0);
    assert_int_equal(ap_number(w->ledger, -1, "SELECT deleted FROM trashinfo", NULL), 1);
    mark(w, &files, CS3_NODE, CS3_END, 201);
    assert_int_equal(ap_number(w->ledger, -1, "SELECT deleted FROM desired WHERE fileid = 7", NULL),
                     1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_end_of_one_table_sweeps_nothing_of_another),
        T(annotations_are_swept_table_by_table),
        T(the_end_of_the_trash_entries_sweeps_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
