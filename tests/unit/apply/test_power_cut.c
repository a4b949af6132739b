/*
 * The ledger's host loses its power: what was not made sure on the disk is gone, calls that were
 * sent have happened, the mirror (Kafka, on other hosts) has what it was given. At the end both
 * trees are equal, as after a kill.
 *
 * The disk is what fsync and fdatasync were last told of: they are ours in this program, SQLite's
 * calls included, and put the ledger's files aside each time.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "apply/ledger/mirror_rows.h"
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct world world; /* whose ledger is on that disk */
static bool powered;
static int syncs, to_fail;
static int next_on_disk[MODEL_PARTITIONS]; /* Kafka gives again what the ledger's offsets forget */

static void
name_of(char *out, size_t size, const char *aside, const char *end)
{
    snprintf(out, size, "%s%s%s", world.path, aside, end);
}

static void
copy(const char *from, const char *to)
{
    char bytes[65536];
    FILE *in = fopen(from, "rb"), *out;
    size_t n;

    unlink(to);
    if (!in)
        return;
    out = fopen(to, "wb");
    assert_non_null(out);
    while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(in);
    fclose(out);
}

static void
copy_both(const char *from, const char *to)
{
    static const char *const ends[] = {"", "-wal"};
    char a[200], b[200];

    for (int i = 0; i < 2; i++) {
        name_of(a, sizeof(a), from, ends[i]);
        name_of(b, sizeof(b), to, ends[i]);
        copy(a, b);
    }
}

static int
sync_of(int fd)
{
    char place[64], file[200] = "";
    ssize_t n;

    snprintf(place, sizeof(place), "/proc/self/fd/%d", fd);
    n = readlink(place, file, sizeof(file) - 1);
    if (n < 0 || !powered || strncmp(file, world.path, strlen(world.path)) != 0)
        return 0;
    if (to_fail > 0 && --to_fail == 0)
        return -1;
    syncs++;
    copy_both("", ".disk");
    memcpy(next_on_disk, world.next, sizeof(next_on_disk));
    return 0;
}

int
fsync(int fd)
{
    return sync_of(fd);
}

int
fdatasync(int fildes)
{
    return sync_of(fildes);
}

static void
power_on(void)
{
    powered = true;
    start_world(&world);
    mirror_begin(&world);
}

static void
power_cut(void)
{
    powered = false; /* what closing writes is not written */
    close_world(&world);
    copy_both(".disk", "");
    powered = true;
    memcpy(world.next, next_on_disk, sizeof(world.next));
    open_world(&world);
    assert_true(ap_mirror_last(world.ledger) >= world.mirrored); /* else it would be another's */
}

static void
power_off(void)
{
    char name[200];

    powered = false;
    stop_world(&world);
    name_of(name, sizeof(name), ".disk", "");
    unlink(name);
    name_of(name, sizeof(name), ".disk", "-wal");
    unlink(name);
}

static void
power_cuts_at_any_moment_change_nothing_in_the_end(void **state)
{
    int n = env_number("LOCKSTEP_HISTORIES", 40);
    unsigned seed = 12000 + (unsigned)env_number("LOCKSTEP_SEED", 0);

    (void)state;
    for (int i = 0; i < n; i++, seed++) {
        if (getenv("LOCKSTEP_SEED"))
            print_message("seed %u\n", seed);
        srandom(seed);
        power_on();
        trouble_target(&world);
        for (int a = 0, actions = 20 + (int)(random() % 120); a < actions; a++) {
            model_act(&world.model);
            if (random() % 3 == 0) {
                round_once(&world, (int)(random() % 12));
                run_some(&world, (int)(random() % 6));
            }
            if (random() % 12 == 0)
                power_cut();
        }
        finish(&world, 0);
        assert_equal_trees(&world);
        assert_replay_is_silent(&world);
        power_off();
    }
}

static void
a_commit_does_not_wait_for_the_disk_and_the_mirror_is_told_of_what_is_on_it(void **state)
{
    int before;

    (void)state;
    srandom(5);
    power_on();
    mirror_follow(&world);
    before = syncs;
    for (int i = 0; i < 20; i++) {
        ledger_begin(world.ledger);
        ap_mirror_change(world.ledger, LS_STR("node:17"));
        ledger_commit(world.ledger);
    }
    assert_int_equal(syncs, before);
    mirror_follow(&world);
    assert_true(syncs > before);
    power_cut();
    assert_true(world.mirrored > 0);
    power_off();
}

static int
give_nobody(void *arg, struct ls_str key, struct ls_str value, struct ls_err *err)
{
    (void)arg, (void)key, (void)value, (void)err;
    return 0;
}

static void
a_disk_that_takes_nothing_more_ends_the_mirror(void **state)
{
    struct ap_mirror_reader *reader = NULL;
    struct ls_err err = {0};
    int64_t upto = 0;
    bool whole;

    (void)state;
    power_on();
    assert_int_equal(ap_mirror_reader_new(world.path, &reader, &err), 0);
    to_fail = 1;
    assert_int_equal(ap_mirror_read(reader, 0, 100, give_nobody, NULL, &upto, &whole, &err), -1);
    assert_int_equal(err.kind, LS_ERR_FATAL);
    assert_string_equal(err.cause, "ledger");
    to_fail = 0;
    ap_mirror_reader_free(reader);
    power_off();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts_at_any_moment_change_nothing_in_the_end),
        cmocka_unit_test(
            a_commit_does_not_wait_for_the_disk_and_the_mirror_is_told_of_what_is_on_it),
        cmocka_unit_test(a_disk_that_takes_nothing_more_ends_the_mirror),
    };
    cmocka_set_test_filter(getenv("LOCKSTEP_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
