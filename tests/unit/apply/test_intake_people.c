/*
 * People and annotations in the ledger: what is kept, what is counted, and that the end of a
 * snapshot of one table says nothing of another.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/core.h"
#include "common/run.h"
#include "fake_target.h"
#include "steps.h"
#include <unistd.h>

struct world {
    struct fake_target target;
    struct ap_ledger *ledger;
    struct ap_core *core;
    char path[128];
    int64_t seq;
};

static const struct ap_options options = {
    .drift_stop = true,
    .workers = 4,
    .retry_first_ms = 1,
    .retry_max_ms = 2,
    .content_tries = 3,
    .content_margin_us = 1000,
    .sweep_max_percent = 100,
    .sweep_max_items = 1000,
    .disable_deleted = true,
};
static const struct ap_origin people = {.topic = "cs3.person"}, notes = {.topic = "cs3.annotation"},
                              spaces = {.topic = "cs3.space"}, files = {.topic = "cs3.resource"};

static int
setup(void **state)
{
    static int n;
    struct world *w = calloc(1, sizeof(*w));
    struct ls_err err = {0};

    fake_init(&w->target);
    snprintf(w->path, sizeof(w->path), "%s/apply-people-%d-%d.db",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid(), n++);
    if (ap_ledger_open(w->path, &w->ledger, &err) < 0 ||
        ap_core_new(w->ledger, &w->target.writer, NULL, &options, &w->core, &err) < 0)
        return -1;
    ledger_begin(w->ledger);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    struct world *w = *state;
    char name[160];

    ledger_commit(w->ledger);
    ap_core_free(w->core);
    ap_ledger_close(w->ledger);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", w->path, ends[i]);
        unlink(name);
    }
    fake_free(&w->target);
    free(w);
    return 0;
}

/* Everything that can be done is done; the transaction of the test goes on. */
static void
run(struct world *w)
{
    struct ap_job *job;

    for (int round = 0; round < 50; round++) {
        ap_settle(w->core);
        ap_plan(w->core);
        ledger_commit(w->ledger);
        ap_send(w->core);
        while ((job = ap_job_next(w->core)) != NULL) {
            ap_job_run(&w->target.writer, job);
            ap_job_back(w->core, job);
        }
        ledger_begin(w->ledger);
    }
}

static void
give(struct world *w, struct cs3_person p)
{
    if (p.head.kind != CS3_END && p.head.seq.counter == 0)
        p.head.seq = (struct ls_seq){1, ++w->seq, 0};
    ap_take_person(w->core, &people, &p);
}

static void
give_note(struct world *w, struct cs3_annotation a)
{
    if (a.head.kind != CS3_END && a.head.seq.counter == 0)
        a.head.seq = (struct ls_seq){1, ++w->seq, 0};
    ap_take_annotation(w->core, &notes, &a);
}

static int64_t
counted(struct world *w, const char *name)
{
    return ap_counted(w->ledger, name);
}

static struct cs3_person
user(const char *uid)
{
    return (struct cs3_person){
        .type = CS3_USER, .uid = ls_str_of(uid), .display_name = ls_str_of(uid), .enabled = true};
}

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

/* ---- quotas */

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

/* ---- sweeps */

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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(local_accounts_and_mappings_are_kept_and_counted_as_left),
        T(a_user_of_ldap_is_found_by_the_id_of_his_mapping_and_never_made_or_changed),
        T(a_user_whose_mapping_names_another_id_is_nobody_until_that_one_is_found),
        T(who_is_nobody_any_more_at_the_source_takes_nobodys_place),
        T(after_a_start_the_writer_is_told_of_everybody),
        T(by_name_nobody_is_told_of_and_a_mapping_changes_nothing),
        T(no_password_hash_is_in_the_ledger),
        T(annotations_are_counted_by_what_they_are),
        T(favourites_are_counted_the_same_in_any_order),
        T(a_quota_is_set_once_the_space_is_there),
        T(who_has_no_quota_keeps_what_the_target_gave_him),
        T(who_has_no_quota_gets_the_default_one_where_that_is_configured),
        T(the_preference_counts_where_the_account_says_nothing),
        T(a_user_who_is_deleted_loses_his_rows_in_any_order_without_a_quota_call),
        T(who_is_over_his_quota_gets_all_his_files_and_then_his_quota_back),
        T(names_that_differ_in_anything_are_different_people),
        T(the_space_of_who_was_taken_for_a_user_is_not_his),
        T(two_groups_that_are_one_at_the_target_do_not_become_one),
        T(an_address_that_changes_is_changed_at_the_target),
        T(who_loses_his_name_is_called_by_his_uid_and_who_never_had_one_is_left),
        T(who_never_had_an_address_is_called_for_once),
        T(the_end_of_one_table_sweeps_nothing_of_another),
        T(annotations_are_swept_table_by_table),
        T(the_end_of_the_trash_entries_sweeps_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
