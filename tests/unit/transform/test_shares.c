/* oc_share: types, permissions against oCIS's role sets, states, dates, links. */
#include "tests/unit/transform/rows.h"

/* What oCIS 7 grants with its roles. */
enum {
    VIEWER = CS3_PERM_GET_PATH | CS3_PERM_GET_QUOTA | CS3_PERM_INITIATE_FILE_DOWNLOAD |
             CS3_PERM_LIST_CONTAINER | CS3_PERM_LIST_RECYCLE | CS3_PERM_STAT,
    EDITOR = VIEWER | CS3_PERM_CREATE_CONTAINER | CS3_PERM_DELETE | CS3_PERM_INITIATE_FILE_UPLOAD |
             CS3_PERM_MOVE | CS3_PERM_RESTORE_RECYCLE_ITEM,
    FILE_EDITOR = VIEWER | CS3_PERM_INITIATE_FILE_UPLOAD | CS3_PERM_RESTORE_RECYCLE_ITEM,
    UPLOADER = CS3_PERM_STAT | CS3_PERM_GET_PATH | CS3_PERM_CREATE_CONTAINER |
               CS3_PERM_INITIATE_FILE_UPLOAD,
    SECURE_VIEWER = CS3_PERM_GET_PATH | CS3_PERM_LIST_CONTAINER | CS3_PERM_STAT,
};

static void
the_usual_bits_are_exactly_the_roles_of_ocis(void **state)
{
    (void)state;
    assert_int_equal(cs3_permissions(31, true, true), EDITOR);
    assert_int_equal(cs3_permissions(15, true, true), EDITOR);
    assert_int_equal(cs3_permissions(1, true, true), VIEWER);
    assert_int_equal(cs3_permissions(17, true, true), VIEWER);
    assert_int_equal(cs3_permissions(1, false, true), VIEWER);
    assert_int_equal(cs3_permissions(19, false, true), FILE_EDITOR);
    assert_int_equal(cs3_permissions(3, false, true), FILE_EDITOR);
    assert_int_equal(cs3_permissions(31, false, true), FILE_EDITOR);
    assert_int_equal(cs3_permissions(4, true, true), UPLOADER);
}

static void
mixed_bits_grant_the_union_and_no_more(void **state)
{
    (void)state;
    assert_int_equal(cs3_permissions(5, true, true), VIEWER | UPLOADER);
    assert_int_equal(cs3_permissions(7, true, true), VIEWER | UPLOADER | FILE_EDITOR);
    assert_int_equal(cs3_permissions(9, true, true), VIEWER | CS3_PERM_DELETE);
    assert_int_equal(cs3_permissions(3, true, true), FILE_EDITOR);
    for (int64_t bits = 0; bits < 32; bits++) {
        /* Every set of bits stays inside the editor, grows with its bits, and never purges. */
        assert_int_equal(cs3_permissions(bits, true, true) & ~(int64_t)EDITOR, 0);
        assert_int_equal(cs3_permissions(bits, false, true) & ~(int64_t)FILE_EDITOR, 0);
        assert_int_equal(cs3_permissions(bits, true, true), cs3_permissions(bits | 16, true, true));
        for (int64_t more = 0; more < 32; more++)
            assert_int_equal(
                cs3_permissions(bits, true, true) & ~cs3_permissions(bits | more, true, true), 0);
        /* A rename needs all three. */
        assert_int_equal((cs3_permissions(bits, true, true) & CS3_PERM_MOVE) != 0,
                         (bits & 14) == 14);
    }
}

static void
a_share_row_becomes_its_whole_desired_state(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = share_row(s, 0, 31);
    const struct cs3_share *r;

    text(e, SH_UID_INITIATOR, "carol");
    text(e, SH_ATTRIBUTES, "[[\"richdocuments\",\"watermark\",true]]");
    text(e, SH_SHARE_NAME, "");
    number(e, SH_MAIL_SEND, 1);
    r = record(s, e);
    assert_int_equal(r->head.kind, CS3_UPSERT);
    assert_int_equal(r->id, 7);
    assert_int_equal(r->type, CS3_SHARE_USER);
    assert_int_equal(r->fileid, 44);
    assert_true(r->folder);
    assert_str(r->owner, "alice");
    assert_str(r->creator, "carol");
    assert_str(r->grantee, "bob");
    assert_int_equal(r->permissions, EDITOR);
    assert_int_equal(r->source_permissions, 31);
    assert_int_equal(r->stime, 1600000000);
    assert_int_equal(r->state, CS3_SHARE_ACCEPTED);
    assert_str(r->mount_point, "/Papers");
    assert_int_equal(r->expires, 0);
    assert_false(r->has_password);
    assert_null(r->label.p);
    assert_true(r->mail_send);
    assert_str(r->attributes, "[[\"richdocuments\",\"watermark\",true]]");
    assert_int_equal(r->download, CS3_DOWNLOAD_UNSET);
    assert_int_equal(s->result.n_warnings, 0);
    assert_str(s->result.emits[0].key, "7");
    assert_int_equal(s->result.emits[0].topic, TF_SHARE);
    assert_int_equal(s->result.emits[0].partition, 0);
}

static void
share_types_have_their_counterparts(void **state)
{
    static const struct {
        int64_t type;
        enum cs3_share_type expected;
    } rows[] = {{0, CS3_SHARE_USER},     {1, CS3_SHARE_GROUP}, {2, CS3_SHARE_MEMBER},
                {3, CS3_SHARE_LINK},     {4, CS3_SHARE_USER},  {6, CS3_SHARE_FEDERATED},
                {7, CS3_SHARE_FEDERATED}};
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = share_row(s, rows[i].type, 1);
        const struct cs3_share *r;

        number(e, SH_PARENT, 3);
        r = record(s, e);
        assert_int_equal(r->type, rows[i].expected);
        assert_int_equal(r->parent, rows[i].type == 2 ? 3 : 0);
    }
}

static void
an_unknown_share_type_is_poison_and_the_output_is_untouched(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = share_row(s, 5, 1);
    struct tf_result result = {.filtered = "before"};
    struct ls_err err = {0};

    assert_int_equal(tf_share_map(&s->world, e, s->arena, &result, &err), -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_string_equal(err.cause, "share-type");
    assert_int_equal(result.n, 0);
    assert_string_equal(result.filtered, "before");
    assert_poison(s, share_row(s, 99, 1), "share-type");
}

static void
rows_that_would_grant_the_wrong_thing_are_dead_letters(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = share_row(s, 0, 16);

    assert_poison(s, e, "share-permissions"); /* share alone: an empty grant would deny */
    number(e, SH_PERMISSIONS, 0);
    assert_poison(s, e, "share-permissions");
    number(e, SH_PERMISSIONS, 32);
    assert_poison(s, e, "share-permissions");
    column(e, SH_PERMISSIONS)->kind = LS_V_NULL;
    assert_poison(s, e, "share-permissions");
    e = share_row(s, 3, 4);
    text(e, SH_ITEM_TYPE, "file"); /* no file drop on a file */
    assert_poison(s, e, "share-permissions");
    e = share_row(s, 0, 1);
    text(e, SH_ITEM_TYPE, "calendar");
    assert_poison(s, e, "item-type");
    e = share_row(s, 0, 1);
    column(e, SH_FILE_SOURCE)->kind = LS_V_NULL;
    assert_poison(s, e, "file-source");
    e = share_row(s, 0, 1);
    text(e, SH_SHARE_WITH, NULL);
    assert_poison(s, e, "share-with");
    e = share_row(s, 2, 1);
    assert_poison(s, e, "share-parent");
    number(e, SH_PARENT, 7); /* itself */
    assert_poison(s, e, "share-parent");
    e = share_row(s, 0, 1);
    text(e, SH_UID_OWNER, NULL);
    assert_poison(s, e, "share-owner");
    text(e, SH_UID_OWNER, "");
    assert_poison(s, e, "share-owner");
    e = share_row(s, 0, 1);
    text(e, SH_EXPIRATION, "tomorrow");
    assert_poison(s, e, "expiration");
}

static void
file_source_wins_over_item_source_and_the_difference_is_counted(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = share_row(s, 0, 1);
    const struct cs3_share *r;

    text(e, SH_ITEM_SOURCE, "abc");
    r = record(s, e);
    assert_int_equal(r->fileid, 44);
    assert_string_equal(s->result.warnings[0], "item-source");
}

static void
accepted_0_1_2_are_accepted_pending_rejected(void **state)
{
    static const enum cs3_share_state states[] = {CS3_SHARE_ACCEPTED, CS3_SHARE_PENDING,
                                                  CS3_SHARE_REJECTED};
    struct site *s = *state;
    struct ls_envelope *e = share_row(s, 0, 1);

    for (int64_t i = 0; i < 3; i++) {
        const struct cs3_share *r;

        number(e, SH_ACCEPTED, i);
        r = record(s, e);
        assert_int_equal(r->state, states[i]);
    }
    number(e, SH_ACCEPTED, 3);
    assert_poison(s, e, "share-state");
}

static void
a_members_row_without_permissions_is_a_rejection_as_before_10_0_9(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = share_row(s, 2, 0);
    const struct cs3_share *r;

    number(e, SH_PARENT, 3);
    r = record(s, e);
    assert_int_equal(r->state, CS3_SHARE_REJECTED);
    assert_int_equal(r->permissions, 0);
}

static void
a_mount_point_loses_only_its_trailing_slash(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = share_row(s, 0, 1);
    const struct cs3_share *r;

    text(e, SH_FILE_TARGET, "/Box2/Recv/");
    r = record(s, e);
    assert_str(r->mount_point, "/Box2/Recv");
    text(e, SH_FILE_TARGET, "/a/b/c");
    r = record(s, e);
    assert_str(r->mount_point, "/a/b/c");
    text(e, SH_FILE_TARGET, "/Papers (2)");
    r = record(s, e);
    assert_str(r->mount_point, "/Papers (2)");
    text(e, SH_FILE_TARGET, "/");
    r = record(s, e);
    assert_str(r->mount_point, "/");
    text(e, SH_FILE_TARGET, "");
    r = record(s, e);
    assert_str(r->mount_point, "");
    text(e, SH_FILE_TARGET, NULL);
    r = record(s, e);
    assert_null(r->mount_point.p);
}

#define BCRYPT "$2y$10$4/Fk.rhIgsi/cyTHF8B17euMLdj6Vz5QH2eIubFOw/JSj1JnyNn0K"
#define SHA1_HASH "da39a3ee5e6b4b0d3255bfef95601890afd80709"

static void
a_links_password_is_kept_only_where_ocis_can_check_its_hash(void **state)
{
    static const struct {
        const char *with;
        bool has;
        const char *hash;
        bool reset;
    } rows[] = {
        {NULL, false, NULL, false},
        {"", false, NULL, false},
        {LS_MASKED, true, NULL, false}, /* not carried: of what kind it is nobody knows */
        {"1|" BCRYPT, true, BCRYPT, false},
        {BCRYPT, true, NULL, true}, /* from before "1|": of the password and the server's salt */
        {"$2a$08$" SHA1_HASH "0123456789abc", true, NULL, true},
        {SHA1_HASH, true, NULL, true},
        {"1|$argon2id$v=19$m=65536,t=4,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", true, NULL, true},
        {"1|$2y$10$cut-off", true, NULL, true},
        {"2|" BCRYPT, true, NULL, true},
        {"1|", true, NULL, true},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = share_row(s, 3, 1);
        const struct cs3_share *r;

        text(e, SH_SHARE_WITH, rows[i].with);
        r = record(s, e);
        assert_int_equal(r->has_password, rows[i].has);
        assert_true(ls_str_eq(r->password_hash, ls_str_of(rows[i].hash)));
        assert_int_equal(r->password_reset, rows[i].reset);
        assert_null(r->grantee.p);
    }
}

static void
a_token_is_text_of_any_length_and_its_case_counts(void **state)
{
    static const char *const tokens[] = {"AbCdEfGhIjKlMnO", "abCdEfGhIjKlMnO",
                                         "0123456789abcdef0123456789abcdef"};
    struct site *s = *state;
    struct ls_envelope *e = share_row(s, 3, 1);
    const struct cs3_share *r;

    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        text(e, SH_TOKEN, tokens[i]);
        r = record(s, e);
        assert_str(r->token, tokens[i]);
    }
    column(e, SH_TOKEN)->kind = LS_V_ABSENT; /* without the option */
    r = record(s, e);
    assert_null(r->token.p);
    number(e, SH_SHARE_TYPE, 0); /* a user's share has none */
    text(e, SH_SHARE_WITH, "bob");
    text(e, SH_TOKEN, "x");
    r = record(s, e);
    assert_null(r->token.p);
}

/* ---- the forms of links */

static int64_t
link_permissions(struct site *s, int64_t bits, const char *item_type)
{
    struct ls_envelope *e = share_row(s, 3, bits);
    const struct cs3_share *r;

    text(e, SH_ITEM_TYPE, item_type);
    r = record(s, e);
    assert_int_equal(r->source_permissions, bits);
    return r->permissions;
}

static void
a_link_of_1_is_for_reading(void **state)
{
    assert_int_equal(link_permissions(*state, 1, "folder"), VIEWER);
    assert_int_equal(link_permissions(*state, 1, "file"), VIEWER);
}

static void
a_link_of_4_is_a_file_drop(void **state)
{
    assert_int_equal(link_permissions(*state, 4, "folder"), UPLOADER);
}

static void
a_link_of_5_is_for_reading_and_uploading(void **state)
{
    assert_int_equal(link_permissions(*state, 5, "folder"), VIEWER | UPLOADER);
}

static void
a_link_of_7_uploads_and_overwrites_but_does_not_delete(void **state)
{
    assert_int_equal(link_permissions(*state, 7, "folder"), VIEWER | UPLOADER | FILE_EDITOR);
}

static void
a_link_of_15_is_for_reading_and_writing(void **state)
{
    assert_int_equal(link_permissions(*state, 15, "folder"), EDITOR);
    assert_int_equal(link_permissions(*state, 31, "folder"), EDITOR);
}

static void
a_link_of_0_is_a_dead_letter(void **state)
{
    struct site *s = *state;

    assert_poison(s, share_row(s, 3, 0), "share-permissions");
}

/* ---- attributes */

static void
attributes_say_whether_downloads_are_denied_and_nothing_else(void **state)
{
    static const struct {
        const char *text;
        enum cs3_download download;
        bool odd;
    } rows[] = {
        {NULL, CS3_DOWNLOAD_UNSET, false},
        {"", CS3_DOWNLOAD_UNSET, false},
        {"[]", CS3_DOWNLOAD_UNSET, false},
        {"[[\"permissions\",\"download\",false]]", CS3_DOWNLOAD_DENIED, false},
        {"[[\"permissions\",\"download\",true]]", CS3_DOWNLOAD_ALLOWED, false},
        {"[[\"permissions\",\"download\",null]]", CS3_DOWNLOAD_UNSET, false},
        {"[[\"permissions\",\"download\",0]]", CS3_DOWNLOAD_DENIED, false},
        {"[[\"permissions\",\"download\",\"no\"]]", CS3_DOWNLOAD_UNSET, true},
        {"[[\"files_view_secure\",\"download\",false]]", CS3_DOWNLOAD_UNSET, false},
        {"[[\"permissions\",\"print\",false]]", CS3_DOWNLOAD_UNSET, false},
        {"[[\"x\",\"y\",true],[\"permissions\",\"download\",false]]", CS3_DOWNLOAD_DENIED, false},
        {"[[\"permissions\",\"download\",true],[\"permissions\",\"download\",false]]",
         CS3_DOWNLOAD_DENIED, false},
        {"[[\"x\",\"y\",\"\\u0000\"],[\"permissions\",\"download\",false]]", CS3_DOWNLOAD_DENIED,
         false},
        {"[[\"x\",\"y\",99999999999999999999],[\"permissions\",\"download\",false]]",
         CS3_DOWNLOAD_DENIED, false},
        {"[[\"permissions\",\"download\",fal", CS3_DOWNLOAD_UNSET, true},
        {"[[\"permissions\",\"download\"]]", CS3_DOWNLOAD_UNSET, true},
        {"[[]]", CS3_DOWNLOAD_UNSET, true},
        {"[7]", CS3_DOWNLOAD_UNSET, true},
        {"{\"scope\":\"permissions\",\"key\":\"download\",\"enabled\":false}", CS3_DOWNLOAD_UNSET,
         true},
        {"null", CS3_DOWNLOAD_UNSET, true},
        {"\"", CS3_DOWNLOAD_UNSET, true},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = share_row(s, 0, 17);
        const struct cs3_share *r;

        text(e, SH_ATTRIBUTES, rows[i].text);
        r = record(s, e);
        assert_int_equal(r->download, rows[i].download);
        assert_int_equal(r->permissions,
                         rows[i].download == CS3_DOWNLOAD_DENIED ? SECURE_VIEWER : VIEWER);
        /* always carried as it is */
        assert_true(ls_str_eq(r->attributes,
                              tf_or_null(rows[i].text ? ls_str_of(rows[i].text) : LS_STR_NULL)));
        if (rows[i].odd)
            assert_string_equal(s->result.warnings[0], "attributes");
        else
            assert_int_equal(s->result.n_warnings, 0);
    }
}

static void
without_download_nothing_that_brings_the_content_is_granted(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = share_row(s, 3, 1);
    const struct cs3_share *r;

    for (int64_t bits = 0; bits < 32; bits++)
        for (int folder = 0; folder < 2; folder++) {
            int64_t full = cs3_permissions(bits, folder, true),
                    secure = cs3_permissions(bits, folder, false);
            assert_int_equal(secure & ~full, 0);
            assert_int_equal(full & ~secure & ~(VIEWER & ~SECURE_VIEWER), 0);
            assert_int_equal(secure & CS3_PERM_INITIATE_FILE_DOWNLOAD, 0);
        }
    assert_int_equal(cs3_permissions(1, false, false), SECURE_VIEWER);
    assert_int_equal(cs3_permissions(17, true, false), SECURE_VIEWER);
    /* a link: oC10 does not look at it there */
    text(e, SH_ATTRIBUTES, "[[\"permissions\",\"download\",false]]");
    r = record(s, e);
    assert_int_equal(r->permissions, VIEWER);
}

/* ---- names and places */

static void
long_names_and_odd_ones_are_carried_as_they_are(void **state)
{
    static const char *const groups[] = {
        "R&D/50%", " a b ", "Gruppe Süd",
        "0123456789012345678901234567890123456789012345678901234567890123"};
    struct site *s = *state;
    char target[4 * 512 + 1], label[4 * 64 + 1];
    struct ls_envelope *e = share_row(s, 1, 1);
    const struct cs3_share *r;

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        text(e, SH_SHARE_WITH, groups[i]);
        r = record(s, e);
        assert_str(r->grantee, groups[i]);
    }
    for (size_t i = 0; i < sizeof(target) - 1; i += 4)
        memcpy(target + i, i == 0 ? "/aaa" : "\xf0\x9f\x98\x80", 4);
    target[sizeof(target) - 1] = '\0';
    for (size_t i = 0; i < sizeof(label) - 1; i += 4)
        memcpy(label + i, "\xf0\x9f\x98\x80", 4);
    label[sizeof(label) - 1] = '\0';
    text(e, SH_FILE_TARGET, target);
    text(e, SH_SHARE_NAME, label);
    r = record(s, e);
    assert_str(r->mount_point, target);
    assert_str(r->label, label);
}

static void
an_expiration_is_the_last_second_of_its_day_in_the_sources_zone(void **state)
{
    static const struct {
        const char *zone, *text;
        int64_t expected;
    } rows[] = {
        {"UTC", "2024-02-29 00:00:00", 1709251199},
        {"UTC", "2024-02-29", 1709251199},
        {"UTC", "2024-02-29 00:00:00.000000", 1709251199},
        {"+02:00", "2024-02-29 00:00:00", 1709251199 - 7200},
        {"-0330", "2024-02-29 00:00:00", 1709251199 + 12600},
        {"Europe/Berlin", "2024-03-31 00:00:00", 1711922399}, /* 23 hours long, +02:00 at its end */
        {"Europe/Berlin", "2024-10-27 00:00:00", 1730069999}, /* 25 hours long, +01:00 at its end */
        {"UTC", "2024-02-29 00:00:00.999999", 1709251199},
        {"UTC", "9999-12-31 00:00:00", 253402300799},
        {"-0330", "9999-12-31 00:00:00", 253402300799}, /* a later second is none in oCIS */
        {"America/New_York", "9999-12-31 00:00:00", 253402300799},
        {"UTC", "1970-01-01 00:00:00", 86399}, /* long over, but not "never" */
        {"UTC", "0000-00-00 00:00:00", 1},     /* so is this one, for oC10 and its daily job */
        {"+02:00", "0000-00-00", 1},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = share_row(s, 3, 1);
        const struct cs3_share *r;

        assert_int_equal(tf_zone_set(rows[i].zone, &s->zone, &s->err), 0);
        text(e, SH_EXPIRATION, rows[i].text);
        r = record(s, e);
        assert_int_equal(r->expires, rows[i].expected);
    }
    unsetenv("TZ");
}

static void
dates_that_are_none_and_zones_that_are_none_are_refused(void **state)
{
    static const char *const dates[] = {"2024-02-30", "2024-13-01",  "2024-1-1", "20240101",
                                        "2024-00-10", "2024-01-01x", "",         "2024-01-00"};
    static const char *const zones[] = {"Nowhere/City", "../../etc/passwd", "+99:00", "+2", "/etc"};
    struct site *s = *state;
    int64_t t = 7;

    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        assert_int_equal(tf_zone_end_of_day(&s->zone, ls_str_of(dates[i]), &t, &s->err), -1);
        assert_int_equal(s->err.kind, LS_ERR_POISON);
        assert_int_equal(t, 7);
    }
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        assert_int_equal(tf_zone_set(zones[i], &s->zone, &s->err), -1);
        assert_int_equal(s->err.kind, LS_ERR_FATAL);
    }
}

static void
a_deleted_share_needs_only_its_number(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = row(s, LS_T_SHARE, LS_OP_DELETE);
    const struct cs3_share *r;

    number(e, SH_ID, 7);
    r = record(s, e);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_int_equal(r->id, 7);
    number(e, SH_SHARE_TYPE, 6);
    r = record(s, e);
    assert_int_equal(r->type, CS3_SHARE_FEDERATED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_bits_are_exactly_the_roles_of_ocis),
        cmocka_unit_test(mixed_bits_grant_the_union_and_no_more),
        SITE_TEST(a_share_row_becomes_its_whole_desired_state),
        SITE_TEST(share_types_have_their_counterparts),
        SITE_TEST(an_unknown_share_type_is_poison_and_the_output_is_untouched),
        SITE_TEST(rows_that_would_grant_the_wrong_thing_are_dead_letters),
        SITE_TEST(file_source_wins_over_item_source_and_the_difference_is_counted),
        SITE_TEST(accepted_0_1_2_are_accepted_pending_rejected),
        SITE_TEST(a_members_row_without_permissions_is_a_rejection_as_before_10_0_9),
        SITE_TEST(a_mount_point_loses_only_its_trailing_slash),
        SITE_TEST(a_links_password_is_kept_only_where_ocis_can_check_its_hash),
        SITE_TEST(a_token_is_text_of_any_length_and_its_case_counts),
        SITE_TEST(a_link_of_1_is_for_reading),
        SITE_TEST(a_link_of_4_is_a_file_drop),
        SITE_TEST(a_link_of_5_is_for_reading_and_uploading),
        SITE_TEST(a_link_of_7_uploads_and_overwrites_but_does_not_delete),
        SITE_TEST(a_link_of_15_is_for_reading_and_writing),
        SITE_TEST(a_link_of_0_is_a_dead_letter),
        SITE_TEST(attributes_say_whether_downloads_are_denied_and_nothing_else),
        SITE_TEST(without_download_nothing_that_brings_the_content_is_granted),
        SITE_TEST(long_names_and_odd_ones_are_carried_as_they_are),
        SITE_TEST(an_expiration_is_the_last_second_of_its_day_in_the_sources_zone),
        SITE_TEST(dates_that_are_none_and_zones_that_are_none_are_refused),
        SITE_TEST(a_deleted_share_needs_only_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
