/*
 * A property: whatever happened to the rows of shares before, and in whatever order, what is at the
 * target at last is what a snapshot of the table as it is then would make there.
 */
#include "tests/unit/flow/flow.h"

#define ROUNDS 12
#define IDS 9

/* One row at random; its kind goes with its number, as numbers do not change theirs. */
static void
random_row(char *out, size_t size, int id, char op)
{
    static const char *const users[] = {"alice", "bob", "carol", "dave"};
    static const char *const attributes[] = {"NULL", "'[[\"permissions\",\"download\",false]]'",
                                             "'[[\"permissions\",\"download\",true]]'"};
    static const char *const expirations[] = {"NULL", "NULL", "'2099-01-01'", "'2001-01-01'"};
    static const int bits[] = {1, 3, 5, 13, 15, 17, 31};
    int type = id <= 4 ? 0 : id <= 6 ? 1 : id <= 8 ? 2 : 3;
    char with[40];

    if (type == 3)
        snprintf(with, sizeof(with), "%s", random() % 2 ? "'*'" : "NULL");
    else
        snprintf(with, sizeof(with), "'%s'", type == 1 ? "staff" : users[random() % 4]);
    snprintf(out, size,
             "%c oc_share id=%d share_type=%d share_with=%s parent=%s uid_owner='%s' file_source=%d"
             " permissions=%d accepted=%d stime=%d file_target='/t%d' attributes=%s expiration=%s",
             op, id, type, with, type == 2 ? (random() % 2 ? "5" : "6") : "NULL",
             users[random() % 8 == 0 ? random() % 4 : 0], random() % 4 ? 44 : 46,
             bits[random() % 7], (int)(random() % 3), 1600000000 + (int)(random() % 3),
             (int)(random() % 3), attributes[random() % 6 < 4 ? 0 : random() % 3],
             expirations[random() % 4]);
}

static bool
there(const struct flow *f, int id)
{
    for (int i = 0; i < f->n_rows; i++)
        if (f->rows[i].table == &ls_tables[LS_T_SHARE] && f->rows[i].values[SH_ID].i == id)
            return true;
    return false;
}

/* The rows as they are now, given anew to a site that has seen none of them. */
static void
copy_rows(const struct flow *from, struct flow *to)
{
    for (int i = 0; i < from->n_rows; i++) {
        struct ls_envelope *e;

        if (from->rows[i].table != &ls_tables[LS_T_SHARE])
            continue;
        e = flow_envelope(to, from->rows[i].table, LS_OP_READ);
        e->has_after = true;
        memcpy(e->after, from->rows[i].values, sizeof(from->rows[i].values));
        flow_give(to, e);
    }
}

static void
without_open(char *lines)
{
    char *at = lines[0] == 's' ? lines : strstr(lines, "\nshare ");

    if (at)
        at[at == lines ? 0 : 1] =
            '\0'; /* they come last: names of folders here begin with capitals */
}

static void
any_history_of_shares_ends_as_a_snapshot_of_its_end_would(void **state)
{
    char line[700], member[60], *lines, *now;

    for (long seed = 1; seed <= ROUNDS; seed++) {
        struct flow *f = *state;
        void *fresh = NULL;
        int seen = 0;

        srandom((unsigned)seed);
        for (int step = 0; step < 60; step++) {
            int id = 1 + (int)(random() % IDS);

            if (random() % 12 == 0) { /* carol leaves, or comes back */
                bool is = ap_number(f->ledger, 0,
                                    "SELECT 1 FROM person WHERE type = 2 AND"
                                    " uid = 'carol' AND deleted = 0",
                                    NULL) == 1;
                snprintf(member, sizeof(member), "%c oc_group_user gid='staff' uid='carol'",
                         is ? 'D' : 'I');
                flow_row(f, member);
            }
            if (there(f, id) && random() % 4 == 0)
                snprintf(line, sizeof(line), "D oc_share id=%d", id);
            else
                random_row(line, sizeof(line), id, there(f, id) ? 'U' : 'I');
            flow_row(f, line);
            seen += f->dead[0] == '\0';
            if (random() % 5 == 0)
                flow_settle(f);
        }
        assert_true(seen > 30);
        if (ap_number(f->ledger, 0,
                      "SELECT 1 FROM person WHERE type = 2 AND uid = 'carol' AND"
                      " deleted = 0",
                      NULL) == 0)
            flow_row(f, "I oc_group_user gid='staff' uid='carol'");
        flow_settle(f);
        assert_int_equal(flow_setup(&fresh), 0);
        copy_rows(f, fresh);
        lines = strdup(flow_text(fresh));
        /* a member's row whose group share has gone waits where that was never seen */
        without_open(lines);
        snprintf(line, sizeof(line), "seed %ld", seed);
        now = strdup(flow_text(f));
        without_open(now);
        if (strcmp(now, lines) != 0)
            fail_msg("%s\n-- is\n%s-- shall be\n%s", line, now, lines);
        free(now);
        free(lines);
        assert_int_equal(flow_teardown(&fresh), 0);
        assert_int_equal(flow_teardown(state), 0);
        assert_int_equal(flow_setup(state), 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FLOW_TEST(any_history_of_shares_ends_as_a_snapshot_of_its_end_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
