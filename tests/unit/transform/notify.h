/*
 * What systemd would hear of us: whether the stage is ready, and else why not.
 */
#ifndef TEST_NOTIFY_H
#define TEST_NOTIFY_H

#include "common/run.h"
#include "tests/unit/common/unit.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct {
    int socket;
    pthread_mutex_t lock;
    char told[16384]; /* the states since they were asked for, a line each */
} notify = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Who tells would wait for room, so all is taken at once. */
static void *
notify_take(void *arg)
{
    char text[600];
    ssize_t n;

    (void)arg;
    while ((n = recv(notify.socket, text, sizeof(text) - 1, 0)) > 0) {
        size_t used;

        text[n] = '\0';
        pthread_mutex_lock(&notify.lock);
        used = strlen(notify.told);
        if (strncmp(text, "STATUS=", 7) == 0)
            (void)snprintf(notify.told + used, sizeof(notify.told) - used, "%s\n", text);
        pthread_mutex_unlock(&notify.lock);
    }
    return NULL;
}

/* To be called before anything is told. */
static inline void
notify_listen(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    char name[64];
    int n = snprintf(name, sizeof(name), "@lockstep-unit-%d", (int)getpid());

    memcpy(address.sun_path + 1, name + 1, (size_t)n - 1);
    notify.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(notify.socket >= 0);
    assert_int_equal(bind(notify.socket, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(pthread_create(&thread, NULL, notify_take, NULL), 0);
    (void)pthread_detach(thread);
}

/* Whether a state with `word` in it was told since this was last true, or is within so long. */
static inline bool
notify_says(const char *word, int64_t within_ms)
{
    int64_t passed_ms = 0;
    const char *at;

    for (;;) {
        pthread_mutex_lock(&notify.lock);
        at = strstr(notify.told, word);
        if (at)
            memmove(notify.told, at + strlen(word), strlen(at + strlen(word)) + 1);
        pthread_mutex_unlock(&notify.lock);
        if (at || passed_ms >= within_ms)
            return at != NULL;
        usleep(10000);
        passed_ms += 10;
    }
}

#endif
