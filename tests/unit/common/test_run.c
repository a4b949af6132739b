/* Back-off, sleeping, stopping. */
#include "tests/unit/common/unit.h"

#include "common/run.h"
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static void
the_back_off_stays_in_its_bounds_and_grows(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct ls_backoff b = {.first_ms = 10, .max_ms = 1000};
        int64_t ceiling = 10;

        for (int i = 0; i < 100; i++) {
            int64_t ms = ls_backoff_next_ms(&b);

            assert_true(ms >= 0 && ms <= ceiling);
            ceiling = ceiling * 2 > 1000 ? 1000 : ceiling * 2;
        }
        ls_backoff_reset(&b);
        assert_true(ls_backoff_next_ms(&b) <= 10);
    }
}

static void
the_back_off_has_full_jitter(void **state)
{
    struct ls_backoff b = {.first_ms = 1000, .max_ms = 1000};
    int low = 0, high = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t ms = ls_backoff_next_ms(&b);

        low += ms < 250;
        high += ms > 750;
    }
    assert_in_range(low, 150, 350);
    assert_in_range(high, 150, 350);
}

/* What is tested ends or stops a process, so each runs in a child; its status. */
static int
in_child(int (*body)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(body());
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int
sleep_and_be_stopped(void)
{
    int64_t start = ls_mono_ms();
    pid_t parent = getpid();

    ls_run_signals();
    if (ls_run_stopping())
        return 1;
    if (fork() == 0) {
        usleep(100000);
        kill(parent, SIGTERM);
        _exit(0);
    }
    ls_run_sleep_ms(20000);
    if (!ls_run_stopping() || ls_mono_ms() - start > 10000)
        return 2;
    /* Later sleeps do not sleep. */
    ls_run_sleep_ms(20000);
    return ls_mono_ms() - start > 10000 ? 3 : 0;
}

static void
a_stop_wakes_a_sleeper(void **state)
{
    int status = in_child(sleep_and_be_stopped);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int
signal_twice(void)
{
    ls_run_signals();
    raise(SIGPIPE);
    raise(SIGTERM);
    if (!ls_run_stopping())
        return 1;
    raise(SIGTERM);
    return 2;
}

static void
the_second_signal_ends_the_process(void **state)
{
    int status = in_child(signal_twice);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
}

static void
a_sleep_lasts_its_time(void **state)
{
    int64_t start = ls_mono_ms();

    (void)state;
    ls_run_sleep_ms(30);
    ls_run_sleep_ms(0);
    ls_run_sleep_ms(-5);
    assert_in_range(ls_mono_ms() - start, 30, 5000);
    assert_true(ls_now_us() > INT64_C(1700000000000000));
}

/* What came on systemd's socket since, one message after another. */
static size_t
heard(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t got;

    while ((got = recv(fd, out + n, size - n - 2, MSG_DONTWAIT)) > 0) {
        n += (size_t)got;
        out[n++] = '\n';
    }
    out[n] = '\0';
    return n;
}

static void *
worker(void *arg)
{
    (void)arg;
    ls_run_sleep_ms(1);
    return NULL;
}

static void
systemd_hears_ready_once_and_of_a_main_thread_that_sleeps_that_it_lives(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[1000];
    pthread_t thread;

    (void)state;
    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/lockstep-unit-%d.sock", getpid());
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    assert_int_equal(pthread_create(&thread, NULL, worker, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(heard(fd, text, sizeof(text)), 0); /* a worker does not speak for the loop */
    ls_run_sleep_ms(1);
    heard(fd, text, sizeof(text));
    assert_string_equal(text, "WATCHDOG=1\n");
    ls_run_sleep_ms(1);
    assert_int_equal(heard(fd, text, sizeof(text)), 0); /* not more than once a second */
    ls_run_notify_ready();
    ls_run_notify_ready();
    ls_run_notify_state("waiting for Kafka\nREADY=0");
    ls_run_notify_state("waiting for Kafka\nREADY=0");
    ls_run_notify_state("ready");
    heard(fd, text, sizeof(text));
    assert_string_equal(text, "READY=1\nSTATUS=waiting for Kafka\nSTATUS=ready\n");
    unsetenv("NOTIFY_SOCKET");
    unlink(address.sun_path);
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(systemd_hears_ready_once_and_of_a_main_thread_that_sleeps_that_it_lives),
        cmocka_unit_test(the_back_off_stays_in_its_bounds_and_grows),
        cmocka_unit_test(the_back_off_has_full_jitter),
        cmocka_unit_test(a_stop_wakes_a_sleeper),
        cmocka_unit_test(the_second_signal_ends_the_process),
        cmocka_unit_test(a_sleep_lasts_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
