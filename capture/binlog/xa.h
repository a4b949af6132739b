/*
 * XA transactions: what is prepared in one transaction and committed, or not, in a later one.
 */
#ifndef CAP_XA_H
#define CAP_XA_H

#include "capture/binlog/decode.h"

#define CAP_XID_DATA 128
struct cap_xid {
    uint32_t format;
    uint8_t n_gtrid, n_bqual;
    uint8_t data[CAP_XID_DATA];
};

enum cap_xa_verb { CAP_XA_NONE, CAP_XA_START, CAP_XA_COMMIT, CAP_XA_ROLLBACK, CAP_XA_OTHER };
/* The statement as the binlog has it: XA COMMIT X'hex',X'hex',format. An xid in another form gives
 * *ret_known false. */
enum cap_xa_verb cap_xa_look(struct ls_str text, struct cap_xid *ret, bool *ret_known);
/* The event that ends a prepared transaction; *ret_one_phase: it is committed with that. */
int cap_xa_decode(const struct cap_event *event, struct cap_xid *ret, bool *ret_one_phase,
                  struct ls_err *err);

/*
 * Xids that are prepared and not yet committed or rolled back, by a hash of theirs. When there are
 * too many the oldest is forgotten: an xid that is not known counts as one whose rows nobody saw,
 * so forgetting costs a snapshot, never a row.
 */
#define CAP_XA_OPEN 64
struct cap_xa_open {
    size_t n;
    struct {
        uint64_t hash;
        bool watched;    /* it holds rows of watched tables */
    } xids[CAP_XA_OPEN]; /* oldest first */
};
void cap_xa_remember(struct cap_xa_open *open, const struct cap_xid *xid, bool watched);
/* Takes it out. True when its rows may be of watched tables, as far as anybody knows. */
bool cap_xa_forget(struct cap_xa_open *open, const struct cap_xid *xid);

/* "1f00..:w,22..": for the position. */
#define CAP_XA_OPEN_TEXT (CAP_XA_OPEN * 19 + 1)
void cap_xa_open_print(const struct cap_xa_open *open, char out[CAP_XA_OPEN_TEXT]);
int cap_xa_open_parse(struct ls_str text, struct cap_xa_open *ret);

#endif
