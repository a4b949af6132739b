/*
 * Quotas: whose, of which table, and what becomes of who is beyond his.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "people_world.h"

#define GB (1024ll * 1024 * 1024)

static struct cs3_person
with_quota(struct cs3_person p, enum cs3_quota kind, int64_t bytes)
{
    p.quota_kind = kind;
    p.quota_bytes = bytes;
    return p;
}

static void
give_space(struct world *w)
{
    struct cs3_space space = {.head = {.seq = {1, ++w->seq, 0}},
                              .storage = 1,
                              .type = CS3_SPACE_PERSONAL,
                              .owner = LS_STR("bob")};

    ap_take_space(w->core, &spaces, &space);
}

static void
assert_done(struct world *w)
{
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
    assert_int_equal(ap_balance(w->ledger), 0);
}

static void
a_quota_is_set_once_the_space_is_there(void **state)
{
    struct world *w = *state;

    give(w, with_quota(user("bob"), CS3_QUOTA_BYTES, 5 * GB));
    run(w);
    assert_int_equal(w->target.quota_sets, 0); /* he never signed in: he has no space */
    assert_done(w);
    give_space(w);
    run(w);
    assert_int_equal(w->target.quota_sets, 1);
    assert_int_equal(w->target.quota, 5 * GB);
    give(w, with_quota(user("bob"), CS3_QUOTA_BYTES, 5 * GB)); /* nothing new */
    run(w);
    assert_int_equal(w->target.quota_sets, 1);
    assert_int_equal(counted(w, "equal"), 1);
    give(w, with_quota(user("bob"), CS3_QUOTA_BYTES, 0));
    run(w);
    assert_int_equal(w->target.quota, 0);
    give(w, with_quota(user("bob"), CS3_QUOTA_NONE, 0));
    run(w);
    assert_int_equal(w->target.quota, -1);
    assert_int_equal(w->target.quota_sets, 3);
    assert_done(w);
}

static void
who_has_no_quota_gets_the_default_one_where_that_is_configured(void **state)
{
    struct world *w = *state;

    w->core->options.default_quota = GB;
    give_space(w);
    give(w, with_quota(user("bob"), CS3_QUOTA_UNSET, 0));
    run(w);
    assert_int_equal(w->target.quota, GB);
    give(w, with_quota(user("bob"), CS3_QUOTA_BYTES, 2 * GB));
    run(w);
    assert_int_equal(w->target.quota, 2 * GB);
    give(w, with_quota(user("bob"), CS3_QUOTA_DEFAULT, 0));
    run(w);
    assert_int_equal(w->target.quota, GB);
    give(w, with_quota(user("bob"), CS3_QUOTA_NONE, 0));
    run(w);
    assert_int_equal(w->target.quota, -1);
    assert_done(w);
}

static void
who_has_no_quota_keeps_what_the_target_gave_him(void **state)
{
    static const enum cs3_quota kinds[] = {CS3_QUOTA_UNSET, CS3_QUOTA_DEFAULT, CS3_QUOTA_NONE};
    struct world *w = *state;

    give_space(w);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        give(w, with_quota(user("bob"), kinds[i], 0));
        run(w);
    }
    assert_int_equal(w->target.quota_sets, 0);
    assert_done(w);
}

static void
the_preference_counts_where_the_account_says_nothing(void **state)
{
    struct cs3_person preference = {.type = CS3_QUOTA, .uid = LS_STR("bob"), .enabled = true};
    struct world *w = *state;

    give_space(w);
    give(w, user("bob"));
    run(w);
    give(w, with_quota(preference, CS3_QUOTA_BYTES, 2 * GB));
    run(w);
    assert_int_equal(w->target.quota, 2 * GB);
    assert_int_equal(counted(w, "applied"), 3); /* space, user, preference */
    give(w, with_quota(user("bob"), CS3_QUOTA_BYTES, 3 * GB));
    run(w);
    assert_int_equal(w->target.quota, 3 * GB);
    give(w, with_quota(preference, CS3_QUOTA_BYTES, 4 * GB)); /* ownCloud checks the account */
    run(w);
    assert_int_equal(w->target.quota, 3 * GB);
    give(w, user("bob"));
    run(w);
    assert_int_equal(w->target.quota, 4 * GB);
    preference.head.kind = CS3_DELETE;
    give(w, preference);
    run(w);
    assert_int_equal(w->target.quota, -1);
    assert_done(w);
    /* of somebody who is not there, or has no space, nothing is to be done */
    give(w, with_quota((struct cs3_person){.type = CS3_QUOTA, .uid = LS_STR("eve")},
                       CS3_QUOTA_BYTES, GB));
    run(w);
    assert_done(w);
}

static void
a_user_who_is_deleted_loses_his_rows_in_any_order_without_a_quota_call(void **state)
{
    struct world *w = *state;
    struct cs3_person rows[4] = {{.type = CS3_QUOTA, .uid = LS_STR("bob"), .enabled = true},
                                 user("bob"),
                                 {.type = CS3_CREDENTIAL, .uid = LS_STR("bob")},
                                 {.type = CS3_LDAP, .uid = LS_STR("bob")}};
    struct cs3_space gone = {.storage = 1, .type = CS3_SPACE_PERSONAL, .owner = LS_STR("bob")};

    give_space(w);
    rows[0] = with_quota(rows[0], CS3_QUOTA_BYTES, GB);
    for (int i = 0; i < 4; i++)
        give(w, rows[i]);
    run(w);
    assert_int_equal(w->target.quota_sets, 1);
    /* preferences, storages, accounts, users: as ownCloud deletes him */
    rows[0].head.kind = CS3_DELETE;
    give(w, rows[0]);
    gone.head = (struct cs3_head){.kind = CS3_DELETE, .seq = {1, ++w->seq, 0}};
    ap_take_space(w->core, &spaces, &gone);
    for (int i = 1; i < 4; i++) {
        rows[i].head.kind = CS3_DELETE;
        give(w, rows[i]);
    }
    run(w);
    assert_int_equal(w->target.quota_sets, 1);
    assert_int_equal(w->target.users_off, 1); /* people.on_delete = disable */
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT (SELECT count(*) FROM person WHERE deleted = 0)"
                               " + (SELECT count(*) FROM credential WHERE deleted = 0)"
                               " + (SELECT count(*) FROM ldap WHERE deleted = 0)",
                               NULL),
                     0);
    assert_done(w);
}

static int full_answers; /* files that are refused for want of room, while a limit is set */

static int
put_where_is_room(struct ap_writer *w, const struct ap_space *space, const char *node_id,
                  const char *parent_id, const char *name, const struct ap_blob_want *blob,
                  int64_t mtime, uint32_t ns, const struct ap_expect *expect, bool doubtful,
                  struct ap_node *ret, struct ls_err *err)
{
    if (fake_of(w)->quota >= 0) {
        full_answers++;
        return ls_fail_cause(err, LS_ERR_RETRY, 507, "quota", "full");
    }
    return fake_put_file(w, space, node_id, parent_id, name, blob, mtime, ns, expect, doubtful, ret,
                         err);
}

static const char *
content(void *arg, const char *home_owner, const char *relative)
{
    (void)arg;
    (void)home_owner;
    (void)relative;
    return "hello";
}

static void
give_node(struct world *w, int64_t fileid, int64_t parent, const char *name, bool folder)
{
    struct cs3_resource r = {.head = {.seq = {1, ++w->seq, 0}},
                             .storage = 1,
                             .fileid = fileid,
                             .parent = parent,
                             .folder = folder,
                             .name = ls_str_of(name),
                             .size = folder ? 0 : 5,
                             .moved_from = LS_NO_STORAGE,
                             .moved_to = LS_NO_STORAGE};

    ap_take_resource(w->core, &files, &r);
}

static void
who_is_over_his_quota_gets_all_his_files_and_then_his_quota_back(void **state)
{
    struct world *w = *state;
    struct ap_writer_ops ops = *w->target.writer.ops;

    ops.put_file = put_where_is_room;
    w->target.writer.ops = &ops;
    w->target.content = content;
    full_answers = 0;
    give(w, with_quota(user("bob"), CS3_QUOTA_BYTES, 1));
    give_space(w);
    run(w);
    assert_int_equal(w->target.quota, 1);
    give_node(w, 1, -1, "", true);
    give_node(w, 2, 1, "files", true);
    give_node(w, 3, 2, "a.txt", false);
    give_node(w, 4, 2, "b.txt", false);
    for (int i = 0; i < 200 && (w->target.puts < 2 || w->target.quota != 1); i++) {
        run(w);
        /* what is looked at again after a while is looked at now */
        ap_exec(w->ledger, "UPDATE work SET ready_at = 0 WHERE state = 0", NULL);
    }
    assert_true(full_answers > 0);
    assert_int_equal(w->target.puts, 2);
    assert_int_equal(w->target.quota, 1);
    run(w);
    assert_done(w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_quota_is_set_once_the_space_is_there),
        T(who_has_no_quota_keeps_what_the_target_gave_him),
        T(who_has_no_quota_gets_the_default_one_where_that_is_configured),
        T(the_preference_counts_where_the_account_says_nothing),
        T(a_user_who_is_deleted_loses_his_rows_in_any_order_without_a_quota_call),
        T(who_is_over_his_quota_gets_all_his_files_and_then_his_quota_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
