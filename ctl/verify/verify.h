/*
 * What the parts of verify share: the findings.
 */
#ifndef CTL_VERIFY_H
#define CTL_VERIFY_H

#include "ctl/verify/side.h"
#include "ctl/verify/target.h"
#include "transform/zone.h"
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

/* What is counted for each user; the columns of the summary. */
enum verify_count {
    VC_FOLDERS,
    VC_FILES,
    VC_TRASH,
    VC_SHARES,
    VC_LINKS,
    VC_DIFFERENT,
    VC_UNSEEN,
    VC_MAX
};

/* What a writer cannot keep by design: counted, apart from the differences. */
enum verify_not_kept {
    VK_FOLDER_MTIMES,
    VK_MTIME_RANGE,
    VK_IDS,
    VK_TRASH_PLACES,
    VK_TRASH_TIMES,
    VK_UNIONS,
    VK_SHARE_IDS,
    VK_LINK_TOKENS,
    VK_LINK_PASSWORDS,
    VK_LINK_RESETS,
    VK_EXPIRIES,
    VK_GROUP_STATES,
    VK_MAX
};

/* What was not compared, and counts as no difference because it has no effect in ownCloud, is not
 * carried by design, or cannot be seen. */
enum verify_left {
    VL_DISABLED,
    VL_RECEIVED_DISABLED,
    VL_LINK_DISABLED,
    VL_TRASH_GONE,
    VL_NO_RECIPIENT,
    VL_CUSTOM_GROUP,
    VL_DIRECTORY_GROUP,
    VL_NO_NODE,
    VL_ELSEWHERE,
    VL_DORMANT,
    VL_NODE_DIFFERS,
    VL_EXPIRED,
    VL_FEDERATED,
    VL_SHARE_TYPE,
    VL_TARGET_ONLY,
    VL_UNPICKED,
    VL_VERSIONS_OFF,
    VL_VERSIONS_UNSEEN,
    VL_VERSIONS_GONE,
    VL_VERSIONS_TRASHED,
    VL_TRASH_CONTENT,
    VL_LINK_PASSWORDS,
    VL_QUOTA_NONE,
    VL_QUOTA_UNSEEN,
    VL_ACCOUNT,
    VL_GRANTS_UNSEEN,
    VL_GRANTS_OF_NOBODY,
    VL_MAX
};

/*
 * One difference, or (VW_UNSEEN) one thing that could not be compared. A row of the source is named
 * by its number, so that it can be sent again: `fileid` of oc_filecache (of a share or a link: the
 * shared node), `share` of oc_share, the first of several that reach the recipient. 0: the source
 * has none, as of what is too much at the target; then `target_id` is the node there. All text is
 * the difference's own, never NULL, and not escaped.
 */
enum verify_kind { VD_USER, VD_NODE, VD_TRASH, VD_SHARE, VD_LINK, VD_KINDS };
enum verify_when {
    VW_UNKNOWN, /* nobody could say how far the stream was */
    VW_REAL,    /* still there when the stream had passed the moment of the comparison */
    VW_CARRIED, /* newer than what the stream was seen to have brought */
    VW_UNSEEN,  /* no difference: trouble of a side, or of ours, kept it from being compared */
};
struct verify_difference {
    enum verify_kind kind;
    enum verify_when when;
    int64_t fileid, share;
    const char *target_id;
    const char *user;  /* "": nobody's. Of a share: the recipient */
    const char *owner; /* of a share: in whose home the node is; else "" */
    const char *what;  /* "missing", "share: state": a fixed word for each kind of difference */
    const char *place; /* path in the user's home, "" where it has none */
    const char *source, *target; /* what each side has, for people */
};
struct verify_list {
    struct verify_difference **each;
    size_t n, size;
};

struct verify_user {
    struct side_user *user;
    bool picked;       /* his tree, trash, links and what he received are compared */
    bool beside;       /* ... but nobody has asked for it: what of his differs is not told */
    bool signs_in;     /* there; else what he received and his links were not looked at */
    bool home_away;    /* his files cannot be read, and that was said */
    bool trash_unseen; /* his trash cannot be listed, and that was said */
    bool links_unseen; /* ... nor his links listed */
    int done; /* 1: tree and trash were compared before this run; 2: and what he received */
    size_t count[VC_MAX], not_kept[VK_MAX], left[VL_MAX];
    size_t n_read; /* files whose content was read on both sides */
    int64_t read_bytes;
    struct verify_list differences; /* until verify_compare puts them into one list */
};

/* A node that is live on both sides, by its id at the target. */
struct verify_live {
    struct side_node *node;
    UT_hash_handle hh;
};

struct verify {
    const struct ls_config *config;
    bool some;                  /* not all are picked: the trees of the others are not walked */
    bool deep;                  /* content is read on both sides */
    double sample;              /* in percent, of the files that are read; 0: all */
    uint64_t seed;              /* of any sample */
    struct verify_state *state; /* NULL: nothing is kept for another run */
    struct ctl_source *source;
    struct side *side;
    struct tf_zone zone; /* of the source's DATETIME columns */
    struct target *target;
    struct ap_objects *objects;     /* ownCloud's bucket; NULL: there is none */
    bool exact_shares, exact_links; /* the writer keeps ids of shares; ids and tokens of links */
    int64_t now;                    /* seconds: what expired before it has no effect */
    int64_t patience_ms;            /* a data directory or bucket that is away is waited for */
    int64_t marker_us;              /* what was committed at the source before it was seen */
    pthread_mutex_t lock;           /* of all below */
    bool impatient; /* for a disk or bucket that is away was waited as long as may be */
    struct verify_list differences;
    struct verify_user *users; /* by name */
    size_t n_users, next_user;
    size_t not_kept[VK_MAX], left[VL_MAX]; /* nobody's; see verify_sum_up */
    struct verify_live *live;
    struct ls_err err; /* the first failure that ended the work */
    bool failed;
};

/*
 * All of it, for the commands: reads the source, frozen at one moment, and signs in at the target;
 * all users are picked. -1: *ret_status is what to exit with. Then verify_pick (-1: the source has
 * no such user), verify_compare and the list of differences; verify_close in any case.
 */
int verify_open(const struct ls_config *config, struct verify *verify, int *ret_status,
                struct ls_err *err);
/* Tells the target who is who there; by verify_open. */
int verify_match(const struct verify *verify, struct ls_err *err);
int verify_pick(struct verify *verify, const char *uid);
/* Those of a group at the source; -1: nobody is in it. */
int verify_pick_group(struct verify *verify, const char *gid);
/* So many percent of the picked, the same ones for the same seed; at least one of them. */
void verify_pick_sample(struct verify *verify, double percent);
/* Is that one in a sample? */
bool verify_sampled(uint64_t seed, double percent, const void *name, size_t n);
void verify_close(struct verify *verify);

/*
 * The comparison: verify_users once config, side, zone, target and now are there and `lock` is
 * initialised; then `picked` and `some` may be changed; then verify_compare. -1: a side could not
 * be read, and nothing may be said. verify_free frees what they made, the differences included.
 */
int verify_users(struct verify *verify, struct ls_err *err);
int verify_compare(struct verify *verify, struct ls_err *err);
void verify_free(struct verify *verify);

/* Names one difference of the user (NULL: nobody's); the text is copied, NULL is "". Thread-safe,
 * as are the two that count. */
void verify_differ(struct verify *verify, struct verify_user *user,
                   const struct verify_difference *difference);
void verify_not_kept(struct verify *verify, struct verify_user *user, enum verify_not_kept what);
void verify_left(struct verify *verify, struct verify_user *user, enum verify_left what);
/* Those of all. */
void verify_sum_up(const struct verify *verify, size_t not_kept[VK_MAX], size_t left[VL_MAX]);

/* verify_list.c: lists of differences. -1: out of memory. */
int verify_list_add(struct verify_list *list, const struct verify_difference *difference);
/* By user, place and what: threads find them in any order. */
void verify_list_sort(struct verify_list *list);
/* Moves all of them. -1: out of memory, nothing is moved. */
int verify_list_move(struct verify_list *from, struct verify_list *to);
/* The same difference, whatever is at the target by now. */
bool verify_same(const struct verify_difference *a, const struct verify_difference *b);
void verify_list_free(struct verify_list *list);
/* "user", "node", "trash", "share", "link". */
const char *verify_kind_name(enum verify_kind kind);

/* The target failed. -1 with *err: that ends the comparison. 0 where it failed for one thing alone:
 * that was not compared, and is told as VW_UNSEEN ("shares: cannot be listed"), of which `d` has
 * all but why, for one broken folder must not hide what millions of others are. What is "gone" by
 * now is a difference. */
int verify_unseen(struct verify *verify, struct verify_user *user, struct verify_difference d,
                  const struct ls_err *why, struct ls_err *err);

/* After all trees: the node that was found under that id, or NULL. */
struct side_node *verify_live(const struct verify *verify, const char *target_id);
struct verify_user *verify_user_of(struct verify *verify, const struct side_user *user);

/* verify_tree.c: live tree of one user. */
int verify_tree(struct verify *verify, struct verify_user *user, struct ls_err *err);
/* How many rows there are below a folder, those of doubled places left out. */
size_t verify_below(const struct side_node *folder);
/* SHA1 (may be NULL) and size of what the source's disk or bucket holds; -1 when it cannot be read.
 */
int verify_on_disk(struct verify *verify, const struct verify_user *user,
                   const struct side_node *node, const char *place, char sha1[41],
                   int64_t *ret_size, struct ls_err *err);
/* Can the source's content be read at all, so that what is not there is not there? */
bool verify_can_read(const struct verify *verify, const struct verify_user *user);
/* The source's content could not be read (`why`, of verify_on_disk). -1 with *err (cause "data"):
 * nobody's can, which ends the comparison. 0: told as `d`, a difference where the content is not
 * what the row says, VW_UNSEEN where it may be; once where all of the user's is away. */
int verify_unread(struct verify *verify, struct verify_user *user, struct verify_difference d,
                  const struct ls_err *why, struct ls_err *err);
/* The mtime that the target can hold. */
int64_t verify_mtime(int64_t mtime);

/* verify_deep.c: the content of a file that is equal otherwise, read on both sides. -1: the target
 * cannot be asked at all; a file that cannot be read on either side is a difference. */
int verify_content(struct verify *verify, struct verify_user *user, const struct side_node *node,
                   const char *place, struct ls_err *err);

/*
 * verify_state.c: what is compared, kept in a file, so that a run that was killed goes on. `about`
 * names the command's choices; a file of others is refused (FATAL, cause "other-run"). Users that
 * were done are marked so, with what was found of them. *ret_seed: that of the first run, else 0.
 */
struct verify_state;
int verify_state_open(struct verify *verify, const char *path, const char *about,
                      struct verify_state **ret, uint64_t *ret_seed, struct ls_err *err);
/* After the phase (1: tree and trash, 2: received) of a user. Thread-safe. Of whom something could
 * not be compared nothing is kept, and what cannot be written is logged once: then the next run
 * compares it again. */
void verify_state_save(struct verify *verify, struct verify_user *user, int phase);
/* `finished`: the file is deleted. NULL is fine. */
void verify_state_close(struct verify_state *state, bool finished);

/*
 * verify_again.c: tells real differences from what the stream still carries. Waits until apply has
 * passed the moment of the comparison, and compares those again who have differences, until all
 * that is left was there twice, at most wait_s seconds. `why` says what kept it from telling, a
 * side that could not be read again too, or "".
 */
void verify_again(struct verify *verify, int wait_s, char *why, size_t size);
/* How far a wait for the stream has come; begins with the marker alone. */
struct verify_passing {
    int64_t marker_us;  /* raised to capture's clock, once that was told after the comparison */
    int64_t capture_us; /* what it told first */
    bool clocked;
    int64_t passed_us; /* when apply had passed the marker; 0: not yet */
    int64_t silent_ms; /* since when no apply is seen to speak, by now_ms; 0: one does */
};
/* From the stages' documents (ctl/status.h), again and again: 1 when apply has done all up to the
 * marker, and what followed from that; 0 when not yet, with why, -1 when it will not come to it: no
 * apply, or it has not spoken for half a minute. now_ms: ls_mono_ms(). */
int verify_stream_passed(json_t *stages, struct verify_passing *passing, int64_t now_ms, char *why,
                         size_t size);

/* verify_versions.c: the old contents of a file that was found as `target_id`, with that content
 * now. */
int verify_versions(struct verify *verify, struct verify_user *user, const struct side_node *file,
                    const char *place, int64_t mtime, int64_t size, struct ls_err *err);

/* verify_trash.c */
int verify_trash(struct verify *verify, struct verify_user *user, struct ls_err *err);
/* Length of the base name of a trash entry, and its time: "a.txt.d1700000000" -> 5, 1700000000;
 * 0 where it has none. */
size_t verify_trash_name(const char *name, int64_t *ret_time);

/* verify_grants.c: what opens the shared nodes of one user, after his tree and verify_effective. */
int verify_grants(struct verify *verify, struct verify_user *user, struct ls_err *err);

/* verify_shares.c. First, before any tree, which rows have an effect: sets side_share.node and
 * side_node.shared. */
void verify_effective(struct verify *verify);
/* The number of ownCloud's row in the id of a share that an exact writer made; else -1. */
int64_t verify_row_of(const char *share_id);
/* After all trees. */
int verify_received(struct verify *verify, struct verify_user *user, struct ls_err *err);
/* The last second the row is valid; 0: for ever. */
int64_t verify_expires(const struct verify *verify, const struct side_share *share);
/* Names of CS3_PERM_* bits, for a person. Returns `out`. */
const char *verify_permissions(int64_t bits, char *out, size_t size);
/* verify_links.c */
int verify_links(struct verify *verify, struct ls_err *err);

/* verify_report.c */
struct verify_told {
    const char *sample; /* in words; NULL: none */
    const char *why;    /* why the stream could not be told apart, "": it could; NULL: not asked */
};
void verify_print(const struct verify *verify, const struct verify_told *told, bool json,
                  FILE *out);
size_t verify_count_when(const struct verify *verify, enum verify_when when);
/* What a run that came to its end exits with. */
int verify_verdict(const struct verify *verify);
/* "real", "carried", "unknown", "unseen". */
const char *verify_when_name(enum verify_when when);
/* What is not kept, and what not compared: in words, and why ("" for the latter). */
const char *verify_not_kept_text(enum verify_not_kept what, const char **ret_why);
const char *verify_left_text(enum verify_left what);
/* verify_html.c: one page that needs nothing else. */
int verify_html(const struct verify *verify, const struct verify_told *told, const char *path,
                struct ls_err *err);

#endif
