/*
 * What shares.c is made of: rows folded, and what only an exact writer keeps.
 */
#ifndef AP_SHARES_PARTS_H
#define AP_SHARES_PARTS_H

#include "apply/core.h"

/* All rows of one (file, grantee) as one. */
struct ap_fold {
    int rows;                     /* 0: there is nothing to be */
    int64_t row, stime;           /* of the oldest */
    int64_t permissions, expires; /* of the rows that count; 0: never */
    int64_t first_end;            /* the first row of them that ends before the others; 0: none */
    char creator[256], mount[2600];
    enum cs3_share_state state;
};

/* fold.c. `member` NULL: the share as such; else what it is to that member of the group. */
void ap_fold_rows(struct ap_core *core, int64_t fileid, int64_t type, const char *grantee,
                  const char *member, struct ap_fold *ret);

/* share_looks.c: what a grant, a link, or a recipient's part of a grant is about. */
struct ap_share_about {
    int64_t fileid, storage, grant;
    char grantee[256];
    bool group, there, wanted; /* at the target, as far as is known; by the source */
};
bool ap_share_about(struct ap_core *core, struct ap_key key, struct ap_share_about *ret);
/* What we took away last is on record again; false: nothing was. */
bool ap_share_revive(struct ap_core *core, struct ap_key key);

/* share_left.c: where the grant of a share is that was taken away, or is to be; where its node was
 * never on record, that is the one that its file has. */
enum ap_left {
    AP_LEFT_NOWHERE, /* its file does not have that node any more */
    AP_LEFT_LIVE,
    AP_LEFT_BUSY, /* the node is being deleted, by the work of `ret_who` */
    AP_LEFT_IN_TRASH,
};
enum ap_left ap_left_where(struct ap_core *core, int64_t grant, struct ap_key *ret_who);
/* It may be that the target keeps it. */
bool ap_left_stays(struct ap_core *core, int64_t grant);
/* This node has come out of the trash with all below it. */
void ap_left_below_node(struct ap_core *core, int64_t node);

/* share_marks.c */
void ap_mark_make(struct ap_core *core, struct ap_job *job);
bool ap_mark_same(struct ap_core *core, const struct ap_job *job, struct ap_key key);
void ap_mark_keep(struct ap_core *core, const struct ap_job *job);
void ap_mark_drop(struct ap_core *core, const struct ap_job *job);
/* What is about to be made, and where; false: nothing that may be there unseen. */
void ap_intent_keep(struct ap_core *core, const struct ap_job *job, struct ap_key key);
bool ap_intent_get(struct ap_core *core, struct ap_key key, int64_t *ret_storage,
                   char ret_id[AP_ID_SIZE]);
/* Over the sharing API: for whom the grant's share was last to be made, while nobody knows whether
 * it was. */
bool ap_intent_grantee(struct ap_core *core, struct ap_key key, char ret_id[AP_ID_SIZE]);
/* What may have been made of a grant was made in another space than this one, or with the number of
 * another row: it goes before a new one comes. */
bool ap_intent_is_other(struct ap_core *core, struct ap_key key, const struct ap_space_row *space,
                        int64_t row);
/* The rows of one file and one grantee. */
struct ap_rows {
    int64_t fileid, type;
    const char *grantee;
};
/* An exact writer's share has the number of a row that it is made of. True when that row is gone
 * while others stay, or have come before we looked (taken back, and shared again): it goes then, so
 * that it is made anew with a number that the source has. */
bool ap_share_number_gone(struct ap_core *core, const struct ap_space *space, const char *share_id,
                          struct ap_rows of);
void ap_secrets_get(struct ap_core *core, int64_t share, struct ap_job *job);

#endif
