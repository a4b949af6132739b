/* The position record, and the questions about row images. */
#include "tests/unit/capture/events.h"

#include "capture/publish/images.h"
#include "capture/publish/position.h"

static void
a_position_survives_print_and_parse(void **state)
{
    struct cap_position *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
    struct ls_err err = {0};
    char *json;

    (void)state;
    cap_position_first(a);
    assert_true(a->epoch > 200000000);
    a->counter = 9007199254740993;
    assert_int_equal(cap_gtid_set_parse(str("0-1-7,2-2-8"), &a->gtids, &err), 0);
    snprintf(a->file, sizeof(a->file), "mysql-bin.000042");
    a->pos = 5000000000;
    a->row = 3;
    a->lost = a->whole = true;
    snprintf(a->row_gtid, sizeof(a->row_gtid), "0-1-8");
    a->snapshot.phase = CAP_SNAPSHOT_RUNNING;
    a->snapshot.begin = (struct ls_seq){a->epoch, 17, 0};
    a->snapshot.step = 3;
    a->snapshot.n_key = 2;
    snprintf(a->snapshot.key[0], CAP_KEY_TEXT, "it's \"ü\"");
    snprintf(a->snapshot.key[1], CAP_KEY_TEXT, "-5");
    a->snapshot.chosen.n_storages = 2;
    a->snapshot.chosen.storages[0] = 5;
    a->snapshot.chosen.storages[1] = -7;
    a->snapshot.chosen.n_users = 1;
    snprintf(a->snapshot.chosen.users[0], CAP_USER_TEXT, "zo\xc3\xab");
    a->snapshot.storage = 1;
    a->snapshot.begun = true;
    a->control.next = 12;
    a->control.seen.floor_us = 3;
    a->control.seen.n = 1;
    snprintf(a->control.seen.taken[0].id, LS_CONTROL_ID, "0123abcd");
    a->control.seen.taken[0].issued_us = 99;
    a->control.n_answers = 1;
    snprintf(a->control.answers[0].id, LS_CONTROL_ID, "0123abcd");
    snprintf(a->control.answers[0].command, 32, "snapshot-start");
    snprintf(a->control.answers[0].cause, 32, "busy");
    snprintf(a->control.answers[0].why, 240, "the snapshot is: running");
    a->control.answers[0].time_us = 100;
    a->counters.watched = 10;
    a->counters.published = 6;
    a->counters.dead[CAP_DEAD_UTF8] = 1;
    a->counters.filtered[CAP_FILTER_PREFERENCES] = 3;
    a->counters.tables[LS_T_SHARE] = 10;
    json = cap_position_print(a, "h:1");
    assert_non_null(json);
    if (cap_position_parse(str(json), b, &err) < 0)
        fail_msg("%s", err.msg);
    assert_memory_equal(a, b, sizeof(*a));
    assert_int_equal(cap_counters_balance(&b->counters), 0);
    free(json);
    free(a);
    free(b);
}

static void
a_record_that_is_not_whole_is_fatal_and_changes_nothing(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "nonsense",
        "{\"seq\":{\"epoch\":5,\"counter\":1},\"gtid\":\"0-1-1\"}",
        "{\"seq\":{\"epoch\":0,\"counter\":1},\"gtid\":\"\",\"file\":\"a\"}",
        "{\"seq\":{\"epoch\":5,\"counter\":1},\"gtid\":\"x\",\"file\":\"a\"}"};
    struct cap_position *p = calloc(1, sizeof(*p));

    (void)state;
    p->counter = 77;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ls_err err = {0};
        assert_int_equal(cap_position_parse(str(bad[i]), p, &err), -1);
        assert_int_equal(err.kind, LS_ERR_FATAL);
        assert_int_equal(p->counter, 77);
    }
    free(p);
}

/* A record of the longest selection is read back, one beyond the bounds is not. */
static void
a_selection_is_bounded(void **state)
{
    struct cap_position *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
    struct ls_err err = {0};
    char *json, *at;

    (void)state;
    cap_position_first(a);
    a->snapshot.phase = CAP_SNAPSHOT_PAUSED;
    a->snapshot.chosen.n_storages = CAP_CHOSEN_STORAGES;
    a->snapshot.chosen.n_users = CAP_CHOSEN_USERS;
    for (int i = 0; i < CAP_CHOSEN_USERS; i++)
        memset(a->snapshot.chosen.users[i], 'u', CAP_USER_TEXT - 1);
    a->snapshot.storage = CAP_CHOSEN_STORAGES;
    json = cap_position_print(a, "h:1");
    assert_int_equal(cap_position_parse(str(json), b, &err), 0);
    assert_memory_equal(a, b, sizeof(*a));
    at = strstr(json, "\"at\":256");
    assert_non_null(at);
    at[7] = '7';
    assert_int_equal(cap_position_parse(str(json), b, &err), -1);
    assert_string_equal(err.cause, "position");
    free(json);
    free(a);
    free(b);
}

static struct ls_value
text(const char *s)
{
    return (struct ls_value){.kind = LS_V_TEXT, .s = str(s)};
}

static struct ls_value
number(int64_t i)
{
    return (struct ls_value){.kind = LS_V_INT, .i = i};
}

static void
only_a_links_share_with_is_masked(void **state)
{
    const struct ls_table *table = &ls_tables[LS_T_SHARE];
    struct ls_value row[LS_MAX_COLUMNS] = {0};

    (void)state;
    row[SH_SHARE_TYPE] = number(3);
    row[SH_SHARE_WITH] = text("1|$2y$10$hash");
    cap_image_mask(table, row);
    assert_true(ls_str_is(row[SH_SHARE_WITH].s, LS_MASKED));
    row[SH_SHARE_WITH] = (struct ls_value){.kind = LS_V_NULL};
    cap_image_mask(table, row);
    assert_int_equal(row[SH_SHARE_WITH].kind, LS_V_NULL);
    row[SH_SHARE_TYPE] = number(0);
    row[SH_SHARE_WITH] = text("bob");
    cap_image_mask(table, row);
    assert_true(ls_str_is(row[SH_SHARE_WITH].s, "bob"));
    /* a type we cannot read: rather masked than told */
    row[SH_SHARE_TYPE] = (struct ls_value){.kind = LS_V_ABSENT};
    cap_image_mask(table, row);
    assert_true(ls_str_is(row[SH_SHARE_WITH].s, LS_MASKED));
}

static void
a_token_is_carried_only_with_the_option_of_its_kind(void **state)
{
    const struct ls_table *table = &ls_tables[LS_T_SHARE];
    static const struct {
        int64_t type; /* -1: not there */
        bool links, federated, shown;
    } cases[] = {
        {3, true, false, true},   {3, false, true, false}, {3, false, false, false},
        {6, true, false, false},  {6, false, true, true},  {7, false, true, true},
        {7, true, false, false},  {0, true, false, true},  {0, false, true, false},
        {-1, true, false, false}, {-1, true, true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ls_value row[LS_MAX_COLUMNS] = {0};

        if (cases[i].type >= 0)
            row[SH_SHARE_TYPE] = number(cases[i].type);
        row[SH_TOKEN] = text("secret");
        cap_image_hide_token(table, row, cases[i].links, cases[i].federated);
        assert_int_equal(row[SH_TOKEN].kind, cases[i].shown ? LS_V_TEXT : LS_V_ABSENT);
    }
}

static void
a_change_of_any_carried_column_is_a_change(void **state)
{
    const struct ls_table *table = &ls_tables[LS_T_FILECACHE];

    (void)state;
    for (size_t i = 0; i < table->n_columns; i++) {
        struct ls_value a[LS_MAX_COLUMNS] = {0}, b[LS_MAX_COLUMNS] = {0};
        for (size_t k = 0; k < table->n_columns; k++)
            a[k] = b[k] = table->columns[k].type == LS_V_INT ? number(1) : text("x");
        assert_int_equal(cap_image_changes(table, a, b), 0);
        b[i] = table->columns[i].type == LS_V_INT ? number(2) : text("");
        assert_int_equal(cap_image_changes(table, a, b), 1U << i);
        b[i] = (struct ls_value){.kind = LS_V_NULL};
        assert_int_equal(cap_image_changes(table, a, b), 1U << i);
        assert_int_equal(cap_image_key_changes(table, 1U << i), table->columns[i].key);
    }
}

static void
before_keeps_keys_and_what_changed(void **state)
{
    const struct ls_table *table = &ls_tables[LS_T_STORAGES];
    struct ls_value out[LS_MAX_COLUMNS] = {0};

    (void)state;
    out[ST_NUMERIC_ID] = number(5);
    out[ST_ID] = text("home::a");
    cap_image_take_changed(table, 1U << ST_ID, out, out);
    assert_int_equal(out[ST_NUMERIC_ID].kind, LS_V_INT);
    assert_true(ls_str_is(out[ST_ID].s, "home::a"));
    cap_image_take_changed(table, 0, out, out);
    assert_int_equal(out[ST_NUMERIC_ID].kind, LS_V_INT);
    assert_int_equal(out[ST_ID].kind, LS_V_ABSENT);
}

static void
text_that_is_not_utf8_is_poison_and_can_be_shown_escaped(void **state)
{
    const struct ls_table *table = &ls_tables[LS_T_STORAGES];
    struct ls_value row[LS_MAX_COLUMNS] = {0};
    struct ls_arena *arena = ls_arena_new(1 << 16);
    struct ls_err err = {0};

    (void)state;
    row[ST_ID] = text("home::\xff\xc3(ü");
    assert_int_equal(cap_image_check_text(table, row, &err), -1);
    assert_int_equal(err.kind, LS_ERR_POISON);
    assert_string_equal(err.cause, "invalid-utf8");
    assert_int_equal(cap_image_escape(table, row, arena), 0);
    assert_true(ls_str_is(row[ST_ID].s, "home::\\xff\\xc3(ü"));
    assert_int_equal(cap_image_check_text(table, row, &err), 0);
    ls_arena_free(arena);
}

static void
of_the_preferences_only_the_quota_is_watched(void **state)
{
    struct cap_image *image = calloc(1, sizeof(*image));

    (void)state;
    image->values[PF_APPID] = text("files");
    image->values[PF_CONFIGKEY] = text("quota");
    assert_true(cap_preference_watched(image));
    image->values[PF_CONFIGKEY] = text("quota2");
    assert_false(cap_preference_watched(image));
    assert_false(cap_preference_watched(NULL));
    free(image);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_position_survives_print_and_parse),
        cmocka_unit_test(a_record_that_is_not_whole_is_fatal_and_changes_nothing),
        cmocka_unit_test(a_selection_is_bounded),
        cmocka_unit_test(only_a_links_share_with_is_masked),
        cmocka_unit_test(a_token_is_carried_only_with_the_option_of_its_kind),
        cmocka_unit_test(a_change_of_any_carried_column_is_a_change),
        cmocka_unit_test(before_keeps_keys_and_what_changed),
        cmocka_unit_test(text_that_is_not_utf8_is_poison_and_can_be_shown_escaped),
        cmocka_unit_test(of_the_preferences_only_the_quota_is_watched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
