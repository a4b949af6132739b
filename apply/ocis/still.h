/*
 * Who else writes a share managers' file, and when there is a pause to write in. No I/O, no clock.
 *
 * oCIS's share managers try again when a write of ours has overtaken one of theirs, but the read in
 * between fails while our content is on its way to its place, and with it the call that somebody
 * made. So a file that others are writing is written by us only after it has been still for a
 * while, and seldom; one that nobody else writes at once. What is known of a file is the etag that
 * it had when we last saw or wrote it. Thread-safe.
 */
#ifndef AP_STILL_H
#define AP_STILL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    AP_STILL_MS = 100,              /* so long it has not changed, where nothing is known of it */
    AP_STILL_BUSY_MS = 500,         /* the same, when others have written it lately */
    AP_STILL_LATELY_MS = 10 * 1000, /* so long ago */
    AP_STILL_FILES = 4096           /* the most that are remembered */
};

struct ap_still;
struct ap_still *ap_still_new(void); /* NULL: out of memory */
void ap_still_free(struct ap_still *still);
/* The file has this etag now ("": there is none yet). How long it must keep it before we write:
 * 0 ms, at once. `always`: never at once and twice as long, because every write of ours that meets
 * one of theirs breaks it. */
int64_t ap_still_ms(struct ap_still *still, const char *file, const char *etag, bool always,
                    int64_t now_ms);
/* We wrote it, or have seen that it keeps this etag. "": nobody knows which it has now. */
void ap_still_known(struct ap_still *still, const char *file, const char *etag);
/* Somebody was faster than we. */
void ap_still_overtaken(struct ap_still *still, const char *file, int64_t now_ms);

#endif
