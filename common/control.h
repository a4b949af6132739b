/*
 * Commands to a running stage, through <p>.control: JSON, signed, fresh, and each taken once.
 *
 * A record's key is the stage, its value {"id", "stage", "command", "args", "issued_us"}, its
 * header `signature` the HMAC-SHA256, in hex, of the prefix, a blank, and the value. Whoever may
 * write to the topic but does not have the key gets nothing done; a record that is sent again, or
 * kept back and sent later, or comes from the topic of another prefix with the same key, neither.
 */
#ifndef LS_CONTROL_H
#define LS_CONTROL_H

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include <jansson.h>

#define LS_CONTROL_TOPIC "control"
#define LS_CONTROL_SIGNATURE "signature" /* the header */
#define LS_CONTROL_HEX 65                /* a signature's text with its NUL */
#define LS_CONTROL_ID 64                 /* an id's text with its NUL */
#define LS_CONTROL_SEEN 32

struct ls_command {
    char id[LS_CONTROL_ID]; /* letters, digits and '-', 8 at least */
    char stage[32];
    char name[32];
    int64_t issued_us;
    json_t *args; /* an object */
};
void ls_command_free(struct ls_command *command); /* what it holds; NULL is fine */

/* The key, borrowed from the config; null when none is set: commands are off. FATAL cause
 * "control-key" when it is shorter than 32 characters. */
int ls_control_key(const struct ls_config *config, struct ls_str *ret, struct ls_err *err);

/* A new command with an id nobody can guess; takes `args`, also when it fails. */
int ls_command_new(const char *stage, const char *name, json_t *args, struct ls_command *ret,
                   struct ls_err *err);
/* The record's value, malloc'ed, and its signature for the control topic of `prefix`. */
int ls_control_write(struct ls_str key, struct ls_str prefix, const struct ls_command *command,
                     char **ret_value, char ret_signature[LS_CONTROL_HEX], struct ls_err *err);
/*
 * The command in a record; `signature` is the header or NULL. POISON: "unsigned",
 * "wrong-signature", "malformed-command" (only of one that is signed: nothing else is looked into).
 */
int ls_control_read(struct ls_str key, struct ls_str prefix, struct ls_str value,
                    const struct ls_str *signature, struct ls_command *ret, struct ls_err *err);

/*
 * The ids that were taken. A plain value, kept with the stage's position. When it is full the
 * oldest goes and its time becomes the floor: what was issued up to there counts as taken.
 */
struct ls_control_seen {
    int64_t floor_us;
    int n;
    struct {
        char id[LS_CONTROL_ID];
        int64_t issued_us;
    } taken[LS_CONTROL_SEEN];
};
/* POISON: "stale" (issued more than max_age_s ago, or that far in the future), "repeated". */
int ls_control_check(const struct ls_control_seen *seen, const struct ls_command *command,
                     int64_t now_us, int64_t max_age_s, struct ls_err *err);
void ls_control_note(struct ls_control_seen *seen, const struct ls_command *command);
/* Those that would be stale by now go; the floor rises to them. */
void ls_control_forget(struct ls_control_seen *seen, int64_t now_us, int64_t max_age_s);
json_t *ls_control_seen_json(const struct ls_control_seen *seen); /* NULL without memory */
int ls_control_seen_parse(const json_t *json, struct ls_control_seen *ret);

#endif
