/*
 * The one way to fail.
 *
 * A function that may fail returns 0 or -1 and fills a `struct ls_err`; its
 * outputs are then untouched. The kind says what the caller should DO; only a
 * stage's loop decides policy. A failure is logged once, where it is handled.
 */
#ifndef LS_ERR_H
#define LS_ERR_H

enum ls_err_kind {
    LS_ERR_NONE = 0,
    LS_ERR_RETRY,  /* the same thing may succeed after a back-off */
    LS_ERR_POISON, /* this record can never succeed: dead-letter it */
    LS_ERR_FATAL,  /* this process cannot go on: log, keep the position, exit */
};

struct ls_err {
    enum ls_err_kind kind;
    int code;       /* errno, HTTP, gRPC, MySQL or Kafka code */
    char cause[32]; /* short stable word for metrics and dead letters, e.g. "share-type" */
    char msg[240];  /* for a person; no secrets, no file content */
};

/* Process exit statuses, documented in docs/operations.md. */
enum ls_exit {
    LS_EXIT_OK = 0,
    LS_EXIT_FAILURE = 1,   /* FATAL while running */
    LS_EXIT_USAGE = 2,     /* wrong option, wrong configuration */
    LS_EXIT_DIFFERENT = 3, /* lockstep verify: the sides differ; check: something failed */
    LS_EXIT_SOURCE = 4,    /* the source refuses: sign-in, grants, settings */
    LS_EXIT_PURGED = 5,    /* the position is no longer in the source's binlogs */
    LS_EXIT_TARGET = 6,    /* the target refuses: sign-in, version */
    LS_EXIT_KAFKA = 7,     /* Kafka refuses: authorization, topics' shape */
    LS_EXIT_FENCED = 8,    /* another instance took over */
    LS_EXIT_DATA = 9,      /* the data directory is missing or unreadable */
    LS_EXIT_CARRIED = 10,  /* lockstep verify: nothing differs but what the stream still carries */
    LS_EXIT_UNSEEN = 11,   /* lockstep verify: nothing differs, but not all could be compared */
};

/* Both always return -1, so that failing reads `return ls_fail(err, ...)`. `err` may be NULL. */
int ls_fail(struct ls_err *err, enum ls_err_kind kind, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same, with the stable cause word. */
int ls_fail_cause(struct ls_err *err, enum ls_err_kind kind, int code, const char *cause,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* "none", "retry", "poison", "fatal". */
const char *ls_err_kind_name(enum ls_err_kind kind);

#endif
