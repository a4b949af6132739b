/*
 * What a dead letter is called, and the word that it is none any more.
 */
#ifndef AP_LETTERS_H
#define AP_LETTERS_H

#include "apply/ledger/ledger.h"
#include "common/replay.h"

#define AP_LEFTOVER_KEY 'n' /* before the node's number: a node whose file lives elsewhere */

/* The key of its records, or "n<node>"; false for what has no letter of its own. */
bool ap_letter_key(struct ap_ledger *ledger, struct ap_key key, char *out, size_t size);
/* It is at work again: said in <p>.dlq, so that who looks at its letter knows. */
void ap_letter_alive(struct ap_ledger *ledger, struct ap_key key);
void ap_record_alive(struct ap_ledger *ledger, const char *topic, struct ls_str key);
/* A letter was given up: said there too, with who, when and why. */
void ap_letter_dropped(struct ap_ledger *ledger, const struct ls_replay *replay);

/* "u:<uid>", "g:<gid>", "m:<gid>/<uid>", "q:<uid>" of a record, as table person has it. False for
 * what is not in that table. */
bool ap_person_key_read(struct ls_str key, char *out, size_t size);

#endif
