/* Other servers: federated shares out and in, trusted servers, their brackets and tombstones. */
#include "tests/unit/transform/rows.h"

static struct ls_envelope *
received_row(struct site *s, int64_t id)
{
    struct ls_envelope *e = row(s, LS_T_SHARE_EXTERNAL, LS_OP_CREATE);

    number(e, SX_ID, id);
    text(e, SX_REMOTE, "https://far.example/oc");
    text(e, SX_REMOTE_ID, "5");
    text(e, SX_SHARE_TOKEN, "abcDEF1234567");
    text(e, SX_PASSWORD, "");
    text(e, SX_NAME, "/Papers");
    text(e, SX_OWNER, "zoe");
    text(e, SX_USER, "erin");
    text(e, SX_MOUNTPOINT, "{{TemporaryMountPointName#/Papers}}");
    number(e, SX_ACCEPTED, 0);
    return e;
}

static void
a_share_with_another_server_names_who_and_where(void **state)
{
    static const struct {
        const char *with, *user, *remote;
    } rows[] = {
        {"zoe@far.example", "zoe", "far.example"},
        {"zoe@far.example/oc/", "zoe", "far.example/oc"},
        {"zoe@https://far.example:8443/oc", "zoe", "https://far.example:8443/oc"},
        {"zoe@home@far.example", "zoe@home", "far.example"},
        {"z@far.example/a@b", "z", "far.example/a@b"},
        {"zoe@", NULL, NULL},
        {"zoe@/", NULL, NULL},
        {"@far.example", NULL, NULL},
        {"far.example/zoe@x", NULL, NULL},
        {"zoe", NULL, NULL},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = share_row(s, 6, 19);
        const struct cs3_share *r;

        text(e, SH_SHARE_WITH, rows[i].with);
        text(e, SH_TOKEN, "tOkEn");
        text(e, SH_FILE_TARGET, "");
        r = record(s, e);
        assert_int_equal(r->type, CS3_SHARE_FEDERATED);
        assert_str(r->grantee, rows[i].with);
        assert_true(ls_str_eq(r->remote_user, ls_str_of(rows[i].user)));
        assert_true(ls_str_eq(r->remote, ls_str_of(rows[i].remote)));
        assert_int_equal((int)s->result.n_warnings, rows[i].user == NULL);
        assert_int_equal(r->fileid, 44);
        assert_str(r->token, "tOkEn");
        assert_str(s->result.emits[0].key, "7");
    }
}

static void
a_received_share_waits_until_it_is_accepted_the_other_way_round_than_here(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = received_row(s, 3);
    const struct cs3_share *r = record(s, e);

    assert_int_equal(r->type, CS3_SHARE_RECEIVED);
    assert_int_equal(r->id, 3);
    assert_int_equal(r->state, CS3_SHARE_PENDING);
    assert_str(r->mount_point, "/Papers");
    assert_str(r->grantee, "erin");
    assert_str(r->remote, "https://far.example/oc");
    assert_str(r->remote_user, "zoe");
    assert_str(r->remote_id, "5");
    assert_str(r->name, "/Papers");
    assert_str(r->token, "abcDEF1234567");
    assert_null(r->shared_secret.p);
    assert_int_equal(r->fileid, 0);
    assert_int_equal(r->permissions, 0);
    assert_str(s->result.emits[0].key, "x3");
    assert_int_equal(s->result.emits[0].topic, TF_SHARE);

    number(e, SX_ACCEPTED, 1);
    text(e, SX_MOUNTPOINT, "/Papers");
    r = record(s, e);
    assert_int_equal(r->state, CS3_SHARE_ACCEPTED);
    number(e, SX_ACCEPTED, 2);
    assert_poison(s, e, "share-state");
}

static void
a_mount_point_loses_the_wrapping_of_what_is_pending(void **state)
{
    static const char *const rows[][2] = {
        {"{{TemporaryMountPointName#/Papers}}", "/Papers"},
        {"{{TemporaryMountPointName#/Papers}}-1", "/Papers"},
        {"{{TemporaryMountPointName#/Papers}}-12", "/Papers"},
        {"{{TemporaryMountPointName#/a}}b-1}}", "/a}}b-1"},
        {"{{TemporaryMountPointName#}}", ""},
        {"{{TemporaryMountPointName#/Papers", "{{TemporaryMountPointName#/Papers"},
        {"{{TemporaryMountPointName#", "{{TemporaryMountPointName#"},
        {"/Papers-1", "/Papers-1"},
        {"", ""},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = received_row(s, 3);
        const struct cs3_share *r;

        text(e, SX_MOUNTPOINT, rows[i][0]);
        r = record(s, e);
        assert_str(r->mount_point, rows[i][1]);
    }
}

static void
a_row_without_a_server_or_a_recipient_is_a_dead_letter(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = received_row(s, 3);

    text(e, SX_USER, "");
    assert_poison(s, e, "share-with");
    e = received_row(s, 3);
    text(e, SX_REMOTE, NULL);
    assert_poison(s, e, "remote");
    assert_poison(s, received_row(s, 0), "share-id");
    e = row(s, LS_T_TRUSTED_SERVERS, LS_OP_CREATE);
    number(e, TS_ID, 1);
    assert_poison(s, e, "remote");
}

static void
without_the_option_no_secret_is_carried(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = received_row(s, 3);
    const struct cs3_share *r;

    column(e, SX_SHARE_TOKEN)->kind = column(e, SX_PASSWORD)->kind = LS_V_ABSENT;
    r = record(s, e);
    assert_null(r->token.p);
    assert_null(r->shared_secret.p);
    e = row(s, LS_T_TRUSTED_SERVERS, LS_OP_CREATE);
    number(e, TS_ID, 1);
    text(e, TS_URL, "https://far.example");
    number(e, TS_STATUS, 1);
    r = record(s, e);
    assert_null(r->token.p);
    assert_null(r->shared_secret.p);
}

static void
a_trusted_server_has_an_address_and_a_state(void **state)
{
    static const struct {
        int64_t status;
        enum cs3_share_state expected;
    } rows[] = {{1, CS3_SHARE_ACCEPTED},
                {2, CS3_SHARE_PENDING},
                {3, CS3_SHARE_PENDING},
                {4, CS3_SHARE_REJECTED},
                {9, CS3_SHARE_PENDING}};
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = row(s, LS_T_TRUSTED_SERVERS, LS_OP_CREATE);
        const struct cs3_share *r;

        number(e, TS_ID, 2);
        text(e, TS_URL, "https://far.example");
        number(e, TS_STATUS, rows[i].status);
        text(e, TS_TOKEN, "t");
        text(e, TS_SHARED_SECRET, "secret");
        r = record(s, e);
        assert_int_equal(r->type, CS3_SHARE_TRUSTED);
        assert_int_equal(r->id, 2);
        assert_str(r->remote, "https://far.example");
        assert_int_equal(r->status, rows[i].status);
        assert_int_equal(r->state, rows[i].expected);
        assert_str(r->token, "t");
        assert_str(r->shared_secret, "secret");
        assert_str(s->result.emits[0].key, "s2");
    }
}

static void
deletes_brackets_and_tombstones_keep_the_three_tables_apart(void **state)
{
    static const struct {
        enum ls_table_id table;
        const char *key, *begin, *end;
        enum cs3_share_type type;
    } rows[] = {
        {LS_T_SHARE, "3", "!begin", "!end", CS3_SHARE_USER},
        {LS_T_SHARE_EXTERNAL, "x3", "!begin:share_external", "!end:share_external",
         CS3_SHARE_RECEIVED},
        {LS_T_TRUSTED_SERVERS, "s3", "!begin:trusted_servers", "!end:trusted_servers",
         CS3_SHARE_TRUSTED},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = row(s, rows[i].table, LS_OP_DELETE);
        const struct cs3_share *r;

        number(e, 0, 3);
        r = record(s, e);
        assert_int_equal(r->head.kind, CS3_DELETE);
        assert_int_equal(r->type, rows[i].type);
        assert_str(s->result.emits[0].key, rows[i].key);
        assert_int_equal(tf_route_tombstone(&s->world, &s->state, &ls_tables[rows[i].table],
                                            LS_STR("3"), s->arena, &s->result, &s->err),
                         0);
        assert_int_equal(s->result.n, 1);
        assert_str(s->result.emits[0].key, rows[i].key);
        r = record(s, row(s, rows[i].table, LS_OP_BEGIN));
        assert_int_equal(r->head.kind, CS3_BEGIN);
        assert_int_equal(r->type, rows[i].type);
        assert_str(s->result.emits[0].key, rows[i].begin);
        assert_false(s->result.emits[0].counted);
        r = record(s, row(s, rows[i].table, LS_OP_END));
        assert_int_equal(r->head.kind, CS3_END);
        assert_str(s->result.emits[0].key, rows[i].end);
    }
    /* and who has no heartbeats holds up nobody's */
    assert_int_equal(route(s, row(s, LS_T_SHARE, LS_OP_HEARTBEAT)), 0);
    assert_int_equal(s->result.n, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_share_with_another_server_names_who_and_where),
        SITE_TEST(a_received_share_waits_until_it_is_accepted_the_other_way_round_than_here),
        SITE_TEST(a_mount_point_loses_the_wrapping_of_what_is_pending),
        SITE_TEST(a_row_without_a_server_or_a_recipient_is_a_dead_letter),
        SITE_TEST(without_the_option_no_secret_is_carried),
        SITE_TEST(a_trusted_server_has_an_address_and_a_state),
        SITE_TEST(deletes_brackets_and_tombstones_keep_the_three_tables_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
