/*
 * Dead letters as an admin sees them: what <p>.dlq holds, and what was done with each since.
 */
#ifndef CTL_LETTERS_H
#define CTL_LETTERS_H

#include "common/arena.h"
#include "common/config.h"
#include "common/kafka.h"
#include "common/replay.h"
#include <jansson.h>
#include <stdbool.h>

/* What is known of a letter, the strongest last. */
enum letter_state {
    LETTER_OPEN,
    LETTER_RETRIED, /* sent again; what came of it is not known yet */
    LETTER_ALIVE,   /* back in work: a newer record came, or the retry; or a later letter tells */
    LETTER_DROPPED, /* for good, with a reason */
    LETTER_STATES,
};
extern const char *const letter_states[LETTER_STATES]; /* "open", ... */

struct letter {
    int32_t partition; /* in <p>.dlq; its offset there is the letter's name */
    int64_t offset;
    char *stage, *cause, *message, *attempts, *seq, *time;
    char *topic;          /* where the record was, without the prefix */
    int32_t at_partition; /* ... -1: not known */
    int64_t at_offset;
    struct ls_str key, value; /* value: only while it is given to a letter_fn */
    char *user;               /* whose, "" when it cannot be known */
    size_t bytes;
    enum letter_state state;
    char *run, *reason, *by; /* of the retry or drop */
    int64_t state_us;        /* when it was retried or dropped */
};

struct letter_entity;
struct letters {
    struct letter *letter;
    size_t n, size;
    struct letter_entity *entities;
};
void letters_free(struct letters *letters); /* what it holds */

/* Which letters; NULL and -1: any. */
struct letter_filter {
    const char *cause, *user, *stage, *topic;
    int state;    /* enum letter_state */
    int64_t *ids; /* offsets */
    size_t n_ids;
};
/* How many of the ids are of no letter. */
size_t letters_absent(const struct letters *letters, const struct letter_filter *filter);
bool letter_matches(const struct letter_filter *filter, const struct letter *letter);

/* All letters, oldest first, with their states. `key` may be null: then states stand unproven.
 * users: it is an error when nobody can tell just now whose they are. */
int letters_read(const struct ls_config *config, struct ls_str key, bool users, struct letters *ret,
                 struct ls_err *err);
/* Once more through the topic: `each` for the chosen letters, with their bytes. */
typedef int letter_fn(void *arg, const struct letter *letter, struct ls_err *err);
int letters_each(const struct ls_config *config, const struct letters *letters,
                 const struct letter_filter *filter, letter_fn *each, void *arg,
                 struct ls_err *err);

/* ls_topic_read of a name without prefix; a topic that is not there yet has nothing to tell. */
int ctl_topic_read(const struct ls_config *config, const char *name,
                   int (*each)(void *arg, const struct ls_message *message, struct ls_err *err),
                   void *arg, struct ls_err *err);

/* ---- pure, for tests */
int letters_add(struct letters *letters, struct ls_str prefix, const struct ls_message *message,
                struct ls_err *err);
/* What a record of <p>.replay says was done with a letter. */
void letters_note(struct letters *letters, const struct ls_replay *replay);

/* What the record says, secrets masked unless asked for; null for no value, or of no topic of ours.
 * -1 when it cannot be read: never (POISON), or not now. The other: null then, too. */
int letter_record_read(const char *topic, struct ls_str value, bool secrets, struct ls_arena *arena,
                       json_t **ret, struct ls_err *err);
/* `user`: of the record itself (not of the storage that it names), else "". */
json_t *letter_record_json(const char *topic, struct ls_str value, bool secrets,
                           struct ls_arena *arena);
void letter_user(const char *topic, const json_t *record, char *out, size_t size,
                 int64_t *ret_storage);

#endif
