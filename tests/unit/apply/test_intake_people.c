/*
 * People and annotations in the ledger: what is kept, and what is counted.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "people_world.h"

/* ---- kept and counted */

static void
local_accounts_and_mappings_are_kept_and_counted_as_left(void **state)
{
    struct world *w = *state;
    struct cs3_person account = {.type = CS3_CREDENTIAL,
                                 .uid = LS_STR("bob"),
                                 .display_name = LS_STR("Bob"),
                                 .password_hash = LS_STR("$2y$10$secret"),
                                 .password_algorithm = LS_STR("bcrypt")};
    struct cs3_person mapping = {.type = CS3_LDAP,
                                 .uid = LS_STR("bob"),
                                 .dn = LS_STR("uid=bob,dc=x"),
                                 .directory_uuid = LS_STR("6a5c")};

    give(w, account);
    give(w, mapping);
    give(w, user("bob"));
    run(w);
    assert_int_equal(counted(w, "in"), 3);
    assert_int_equal(counted(w, "left:credential"), 1);
    assert_int_equal(counted(w, "left:ldap"), 1);
    assert_int_equal(counted(w, "applied"), 1);
    assert_int_equal(ap_balance(w->ledger), 0);
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT 1 FROM credential WHERE uid = 'bob' AND algorithm = 'bcrypt'"
                               " AND display_name = 'Bob' AND reset = 0 AND deleted = 0",
                               NULL),
                     1);
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT 1 FROM ldap WHERE name = 'bob' AND dn = 'uid=bob,dc=x'"
                               " AND directory_uuid = '6a5c' AND deleted = 0",
                               NULL),
                     1);
    /* they are no users: one person, one call */
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM person", NULL), 1);

    account.head.seq = (struct ls_seq){1, 1, 0}; /* the first one again */
    give(w, account);
    mapping.head.seq = (struct ls_seq){1, 2, 0};
    give(w, mapping);
    assert_int_equal(counted(w, "superseded"), 2);
    account.head = (struct cs3_head){.kind = CS3_DELETE};
    give(w, account);
    mapping.head = (struct cs3_head){.kind = CS3_DELETE};
    give(w, mapping);
    assert_int_equal(counted(w, "left:credential"), 2);
    assert_int_equal(counted(w, "left:ldap"), 2);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT deleted FROM credential", NULL), 1);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT deleted FROM ldap", NULL), 1);
    assert_int_equal(ap_balance(w->ledger), 0);
}

static struct cs3_person
ldap_user(const char *uid)
{
    struct cs3_person p = user(uid);

    p.backend = LS_STR("OCA\\User_LDAP\\User_Proxy");
    return p;
}

static void
a_user_of_ldap_is_found_by_the_id_of_his_mapping_and_never_made_or_changed(void **state)
{
    struct world *w = *state;
    struct cs3_person ann = ldap_user("ann"), mapping = {.type = CS3_LDAP,
                                                         .uid = LS_STR("ann"),
                                                         .dn = LS_STR("uid=ann,dc=x"),
                                                         .directory_uuid = LS_STR("UANN")};

    w->core->options.match_ldap = true;
    give(w, user("bob"));
    give(w, ann);
    run(w);
    assert_string_equal(w->target.matched, "bob=by name ann= bob=by name ");
    assert_string_equal(w->target.sought, ""); /* bob's; nobody has looked for ann */
    assert_int_equal(
        ap_number(w->ledger, 0, "SELECT 1 FROM work WHERE cause = 'unmapped' AND state = 1", NULL),
        1);
    give(w, mapping);
    run(w);
    assert_string_equal(w->target.sought, "UANN");
    assert_string_equal(w->target.matched, "bob=by name ann= bob=by name ann=Uann ");
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
    assert_int_equal(counted(w, "applied"), 3);
    assert_int_equal(counted(w, "left:ldap"), 0);
    assert_int_equal(ap_balance(w->ledger), 0);

    snprintf(w->target.named, sizeof(w->target.named), "nobody since");
    ann.display_name = LS_STR("Ann of Cleves");
    ann.enabled = false;
    give(w, ann);
    ann.head.kind = CS3_DELETE;
    ann.head.seq = (struct ls_seq){0};
    give(w, ann);
    mapping.head.kind = CS3_DELETE;
    give(w, mapping);
    run(w);
    assert_string_equal(w->target.named, "nobody since");
    assert_int_equal(w->target.users_off, 0);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
    assert_int_equal(ap_balance(w->ledger), 0);
}

/* He is found as "Uann" again, which the fake target makes of his name. */
static void
a_user_whose_mapping_names_another_id_is_nobody_until_that_one_is_found(void **state)
{
    struct world *w = *state;
    struct cs3_person ann = ldap_user("ann"), mapping = {.type = CS3_LDAP,
                                                         .uid = LS_STR("ann"),
                                                         .directory_uuid = LS_STR("uANN")};

    w->core->options.match_ldap = true;
    give(w, mapping);
    give(w, ann);
    run(w);
    mapping.directory_uuid = LS_STR("6b7d");
    mapping.head.seq = ann.head.seq = (struct ls_seq){0};
    w->target.matched[0] = '\0';
    give(w, mapping);
    run(w);
    assert_string_equal(w->target.sought, "6b7d");
    assert_string_equal(w->target.matched, "ann= ann=Uann ");
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
    assert_int_equal(ap_balance(w->ledger), 0);
}

/* He has been deleted, and comes back under another name. */
static void
who_is_nobody_any_more_at_the_source_takes_nobodys_place(void **state)
{
    struct world *w = *state;
    struct cs3_person ann = user("ann");

    give(w, ann);
    run(w);
    ap_exec(w->ledger, "UPDATE person SET uid = 'old', key = 'u:old', deleted = 1", NULL);
    give(w, ann);
    run(w);
    assert_int_equal(
        ap_number(w->ledger, 0, "SELECT count(*) FROM person WHERE target = 'Uann'", NULL), 2);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
}

/* oCIS knows "Ann" and "ann" as one: what the fake target makes of one name is another's here. */
static void
known_as(struct world *w, const char *uid, const char *now)
{
    char key[64];

    snprintf(key, sizeof(key), "u:%s", now);
    ap_exec(w->ledger, "UPDATE person SET uid = ?, key = ? WHERE uid = ?", "sss", now, key, uid);
}

static void
who_takes_a_deleted_users_place_can_sign_in_also_when_the_other_is_disabled_last(void **state)
{
    struct world *w = *state;
    struct cs3_person ann = user("ann"), old = user("old"), older = user("older");

    give(w, ann);
    run(w);
    known_as(w, "ann", "older");
    older.head.kind = CS3_DELETE;
    give(w, older);
    run(w);
    assert_false(fake_said(&w->target, "user Uann", true));
    give(w, ann); /* he is disabled when he is found */
    run(w);
    assert_true(fake_said(&w->target, "user Uann", true));

    known_as(w, "ann", "old");
    old.head.kind = CS3_DELETE;
    give(w, old);
    ann.head = (struct cs3_head){0};
    give(w, ann); /* both at once */
    run(w);
    assert_true(fake_said(&w->target, "user Uann", true));
    give(w, older); /* once more: nothing is his any longer */
    run(w);
    assert_true(fake_said(&w->target, "user Uann", true));

    ann.head = (struct cs3_head){.kind = CS3_DELETE};
    give(w, ann);
    run(w);
    assert_false(fake_said(&w->target, "user Uann", true));
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
    assert_int_equal(ap_balance(w->ledger), 0);
}

static void
after_a_start_the_writer_is_told_of_everybody(void **state)
{
    struct world *w = *state;
    char uid[16];

    w->core->options.match_ldap = true;
    for (int i = 0; i < 130; i++) {
        snprintf(uid, sizeof(uid), "u%d", i);
        give(w, i == 128 ? ldap_user(uid) : user(uid));
    }
    w->target.matched[0] = '\0';
    ap_people_match(w->core);
    assert_memory_equal(w->target.matched, "u0=by name u1=by name ", 22);
    w->target.matched[0] = '\0';
    ap_exec(w->ledger, "DELETE FROM person WHERE uid NOT IN ('u0', 'u70', 'u128', 'u129')", NULL);
    ap_people_match(w->core);
    assert_string_equal(w->target.matched, "u0=by name u70=by name u128= u129=by name ");
}

static void
by_name_nobody_is_told_of_and_a_mapping_changes_nothing(void **state)
{
    struct world *w = *state;

    give(w, ldap_user("ann"));
    give(w, (struct cs3_person){
                .type = CS3_LDAP, .uid = LS_STR("ann"), .directory_uuid = LS_STR("6a5c")});
    ap_people_match(w->core);
    run(w);
    assert_string_equal(w->target.matched, "");
    assert_string_equal(w->target.sought, "");
    assert_int_equal(
        ap_number(w->ledger, 0, "SELECT 1 FROM person WHERE uid = 'ann' AND target = 'Uann'", NULL),
        1);
}

static void
no_password_hash_is_in_the_ledger(void **state)
{
    struct world *w = *state;
    char bytes[65536];
    size_t n;
    FILE *f;

    give(w, (struct cs3_person){.type = CS3_CREDENTIAL,
                                .uid = LS_STR("bob"),
                                .password_hash = LS_STR("$2y$10$neverkept"),
                                .password_algorithm = LS_STR("bcrypt")});
    run(w);
    for (int i = 0; i < 2; i++) {
        char name[160];

        snprintf(name, sizeof(name), "%s%s", w->path, i == 0 ? "" : "-wal");
        f = fopen(name, "re");
        assert_non_null(f);
        while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
            assert_null(memmem(bytes, n, "neverkept", 9));
        fclose(f);
    }
}

static void
annotations_are_counted_by_what_they_are(void **state)
{
    struct world *w = *state;
    struct cs3_annotation property = {.type = CS3_PROPERTY,
                                      .id = 3,
                                      .fileid = 44,
                                      .name = LS_STR("{urn:x}a"),
                                      .value = LS_STR("b"),
                                      .value_type = 1};
    struct cs3_annotation tag = {.type = CS3_CATEGORY,
                                 .id = 8,
                                 .fileid = LS_NO_STORAGE,
                                 .uid = LS_STR("alice"),
                                 .object_type = LS_STR("files"),
                                 .name = LS_STR("holidays")};
    struct cs3_annotation tagged = {
        .type = CS3_TAGGED, .id = 8, .fileid = 44, .object_type = LS_STR("files")};

    give_note(w, property);
    give_note(w, tag);
    give_note(w, tagged);
    assert_int_equal(counted(w, "left:property"), 1);
    assert_int_equal(counted(w, "left:tag"), 2);
    /* tags of everybody's have numbers of their own */
    tag.type = CS3_SYSTEMTAG;
    tagged.type = CS3_SYSTEMTAGGED;
    give_note(w, tagged);
    give_note(w, tag);
    assert_int_equal(counted(w, "left:tag"), 4);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM annotation", NULL), 5);
    tagged.head.kind = CS3_DELETE;
    give_note(w, tagged);
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT fileid FROM annotation WHERE deleted = 1 AND type = 4",
                               NULL),
                     44);
    assert_int_equal(counted(w, "left:tag"), 5);
    assert_int_equal(ap_balance(w->ledger), 0);
    property.head.seq = (struct ls_seq){1, 1, 0};
    give_note(w, property);
    assert_int_equal(counted(w, "superseded"), 1);
    /* deleted by its key alone */
    give_note(w, (struct cs3_annotation){.head = {.kind = CS3_DELETE},
                                         .type = CS3_PROPERTY,
                                         .id = 3,
                                         .fileid = LS_NO_STORAGE});
    assert_int_equal(counted(w, "left:property"), 2);
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT fileid FROM annotation WHERE key = 'p:3' AND deleted = 1",
                               NULL),
                     44);
    assert_int_equal(ap_balance(w->ledger), 0);
}

static void
favourites_are_counted_the_same_in_any_order(void **state)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct world *w = *state;

    for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
        int64_t category = 100 + (int64_t)o;
        struct cs3_annotation records[3] = {
            {.type = CS3_CATEGORY,
             .id = category,
             .fileid = LS_NO_STORAGE,
             .object_type = LS_STR("files"),
             .name = LS_STR("_$!<Favorite>!$_"),
             .favorite = true},
            {.type = CS3_TAGGED, .id = category, .fileid = 1, .object_type = LS_STR("files")},
            {.type = CS3_TAGGED, .id = category, .fileid = 2, .object_type = LS_STR("files")}};

        for (int i = 0; i < 3; i++)
            give_note(w, records[orders[o][i]]);
        /* taken away and given again, and the category gone by its key alone */
        records[1].head.kind = CS3_DELETE;
        give_note(w, records[1]);
        give_note(w, (struct cs3_annotation){
                         .head = {.kind = CS3_DELETE}, .type = CS3_CATEGORY, .id = category});
        assert_int_equal(counted(w, "left:favorite"), 5 * ((int64_t)o + 1));
        assert_int_equal(counted(w, "left:tag"), 0);
        assert_int_equal(ap_balance(w->ledger), 0);
    }
}

/* ---- addresses */

static void
give_mail(struct world *w, const char *mail)
{
    struct cs3_person ann = user("ann");

    ann.mail = ls_str_of(mail);
    give(w, ann);
    snprintf(w->target.mailed, sizeof(w->target.mailed), "not called");
    run(w);
}

static void
an_address_that_changes_is_changed_at_the_target(void **state)
{
    struct world *w = *state;
    struct cs3_person ann = user("ann");

    give_mail(w, "ann@example.org");
    assert_string_equal(w->target.mailed, "ann@example.org");
    give_mail(w, "ann@example.org");
    assert_string_equal(w->target.mailed, "not called");
    give_mail(w, "ann@example.com");
    assert_string_equal(w->target.mailed, "ann@example.com");
    ann.mail = LS_STR("ann@example.com");
    ann.display_name = LS_STR("Ann of Cleves");
    give(w, ann);
    run(w);
    assert_string_equal(w->target.named, "Ann of Cleves");
    assert_string_equal(w->target.mailed, "kept");
    give_mail(w, "");
    assert_string_equal(w->target.mailed, ""); /* the writer has one that leads nowhere */
    give_mail(w, "");
    assert_string_equal(w->target.mailed, "not called");
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
    assert_int_equal(ap_balance(w->ledger), 0);
}

static void
who_loses_his_name_is_called_by_his_uid_and_who_never_had_one_is_left(void **state)
{
    struct world *w = *state;
    struct cs3_person ann = user("ann"), bob = user("bob");

    ann.display_name = LS_STR("Ann of Cleves");
    give(w, ann);
    run(w);
    ann.display_name = bob.display_name = LS_STR_NULL;
    give(w, ann);
    run(w);
    assert_string_equal(w->target.named, "ann");
    give(w, bob);
    run(w);
    assert_string_equal(w->target.named, ""); /* as the target has it, or his uid when he is made */
    snprintf(w->target.named, sizeof(w->target.named), "nobody since");
    give(w, ann);
    give(w, bob);
    run(w);
    assert_string_equal(w->target.named, "nobody since");
    ann.display_name = LS_STR("Anne");
    give(w, ann);
    run(w);
    assert_string_equal(w->target.named, "Anne");
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
}

static void
who_never_had_an_address_is_called_for_once(void **state)
{
    struct world *w = *state;

    give_mail(w, "");
    assert_string_equal(w->target.mailed, "");
    give_mail(w, "");
    assert_string_equal(w->target.mailed, "not called");
}

/* ---- names */

static void
names_that_differ_in_anything_are_different_people(void **state)
{
    static const char *const uids[] = {"alice", "Alice", "alice ", "12345",    "a/b",      "a%2Fb",
                                       "50%",   "'q\"",  " ",      "\xc3\xa9", "e\xcc\x81"};
    struct world *w = *state;
    int64_t n = sizeof(uids) / sizeof(uids[0]);

    for (int64_t i = 0; i < n; i++) {
        give(w, user(uids[i]));
        give(w, (struct cs3_person){.type = CS3_CREDENTIAL, .uid = ls_str_of(uids[i])});
        give(w, (struct cs3_person){.type = CS3_LDAP, .uid = ls_str_of(uids[i])});
        give(w, (struct cs3_person){.type = CS3_QUOTA, .uid = ls_str_of(uids[i])});
        give(w, (struct cs3_person){.type = CS3_GROUP, .gid = ls_str_of(uids[i])});
        give(w, (struct cs3_person){
                    .type = CS3_MEMBER, .gid = LS_STR("R&D/50%"), .uid = ls_str_of(uids[i])});
    }
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM person", NULL), 4 * n);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM credential", NULL), n);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM ldap", NULL), n);
    assert_int_equal(ap_balance(w->ledger), 0);
}

static void
the_space_of_who_was_taken_for_a_user_is_not_his(void **state)
{
    struct world *w = *state;
    struct cs3_space space = {.head = {.seq = {1, ++w->seq, 0}},
                              .storage = 5,
                              .type = CS3_SPACE_PERSONAL,
                              .owner = LS_STR("ann")};
    struct ap_job *job;

    give(w, user("ann"));
    run(w);
    ap_take_space(w->core, &spaces, &space);
    ap_plan(w->core);
    ledger_commit(w->ledger);
    ap_send(w->core);
    job = ap_job_next(w->core);
    assert_non_null(job);
    assert_int_equal(job->call, AP_SPACE_ENSURE);
    ap_job_run(&w->target.writer, job);
    ap_job_back(w->core, job);
    ledger_begin(w->ledger);
    ap_exec(w->ledger, "UPDATE person SET target = 'somebody else' WHERE key = 'u:ann'", NULL);
    ap_settle(w->core);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT ready FROM space WHERE storage = 5", NULL), 0);
    run(w);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT ready FROM space WHERE storage = 5", NULL), 1);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM work", NULL), 0);
}

static int
group_of_any_case(struct ap_writer *w, const struct cs3_person *group, struct ap_person_id *ret,
                  struct ls_err *err)
{
    int r = fake_group_ensure(w, group, ret, err);

    for (char *p = ret->id; r == 0 && *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    return r;
}

/* oCIS compares names without case. */
static void
two_groups_that_are_one_at_the_target_do_not_become_one(void **state)
{
    static struct ap_writer_ops ops;
    struct world *w = *state;
    struct cs3_person upper = {.type = CS3_GROUP, .gid = LS_STR("Staff")};
    struct cs3_person lower = {.type = CS3_GROUP, .gid = LS_STR("staff")};
    struct cs3_person member = {.type = CS3_MEMBER, .gid = LS_STR("staff"), .uid = LS_STR("ann")};

    ops = *w->target.writer.ops;
    ops.group_ensure = group_of_any_case;
    w->target.writer.ops = &ops;
    give(w, upper);
    run(w);
    give(w, lower);
    give(w, user("ann"));
    give(w, member);
    run(w);
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT count(*) FROM person p JOIN dead d ON d.kind = 4 AND"
                               " d.id = p.id WHERE p.key = 'g:staff' AND d.cause = 'group-taken'"
                               " AND p.target IS NULL",
                               NULL),
                     1);
    assert_false(fake_said(&w->target, "member gstaff Uann", false));
    upper.head.kind = CS3_DELETE;
    give(w, upper);
    give(w, lower); /* while that one is still there */
    run(w);
    assert_int_equal(w->target.groups_removed, 1);
    assert_int_equal(ap_number(w->ledger, 0, "SELECT count(*) FROM dead", NULL), 0);
    assert_int_equal(ap_number(w->ledger, 0,
                               "SELECT count(*) FROM person WHERE key = 'g:staff' AND target IS NOT"
                               " NULL",
                               NULL),
                     1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(local_accounts_and_mappings_are_kept_and_counted_as_left),
        T(a_user_of_ldap_is_found_by_the_id_of_his_mapping_and_never_made_or_changed),
        T(a_user_whose_mapping_names_another_id_is_nobody_until_that_one_is_found),
        T(who_is_nobody_any_more_at_the_source_takes_nobodys_place),
        T(who_takes_a_deleted_users_place_can_sign_in_also_when_the_other_is_disabled_last),
        T(after_a_start_the_writer_is_told_of_everybody),
        T(by_name_nobody_is_told_of_and_a_mapping_changes_nothing),
        T(no_password_hash_is_in_the_ledger),
        T(annotations_are_counted_by_what_they_are),
        T(favourites_are_counted_the_same_in_any_order),
        T(names_that_differ_in_anything_are_different_people),
        T(the_space_of_who_was_taken_for_a_user_is_not_his),
        T(two_groups_that_are_one_at_the_target_do_not_become_one),
        T(an_address_that_changes_is_changed_at_the_target),
        T(who_loses_his_name_is_called_by_his_uid_and_who_never_had_one_is_left),
        T(who_never_had_an_address_is_called_for_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
