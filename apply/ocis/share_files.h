/*
 * The shapes of the share managers' files: JSON documents in, changes on them. No I/O.
 *
 *   storages/<storage>/<space>.json   {"Shares": {id: share}, "Etag": text}
 *   users/<uid>/created.json          {"UserShares": {"<storage>:<space>": {"IDs": {id: {}}}},
 * "Etag"} groups/<gid>/received.json        the same users/<uid>/received.json         {"Spaces":
 * {"<storage>:<space>": {"States": {id: state}}}} publicshares.json                 {id: {"share":
 * a message as JSON text, "password": bcrypt}}
 *
 * Shares are as Go's encoding/json writes them (snake case, numbers), links as protobuf's JSON
 * (camel case, 64 bit numbers as text). What we do not know in them stays as it is. Every function
 * says 1 when it has changed the document, 0 when that is right as it is, and -1 (document
 * untouched) when it has not the shape above, or memory is out.
 */
#ifndef AP_SHARE_FILES_H
#define AP_SHARE_FILES_H

#include "apply/writer.h"
#include <jansson.h>

/* "<storage>:<space>:<number>": what a share is called whose row has that id. */
int ap_share_id_of(const char *storage_id, const char *space_id, int64_t row, char ret[AP_ID_SIZE]);
/* "<storage>:<space>" of a share's id; -1 when it has not this form. */
int ap_share_id_split(const char *share_id, char ret_storage[AP_ID_SIZE],
                      char ret_space[AP_ID_SIZE]);

struct ap_share_record {
    char id[AP_ID_SIZE];
    char storage_id[AP_ID_SIZE], space_id[AP_ID_SIZE], node_id[AP_ID_SIZE];
    bool group;
    char grantee_id[AP_ID_SIZE], owner_id[AP_ID_SIZE], creator_id[AP_ID_SIZE];
    char idp[256];                       /* of all users in it */
    int64_t permissions, expires, ctime; /* ctime 0: not known */
};
/* By id; or, with id NULL, the share of that node with that grantee. 1 and *ret, or 0. */
int ap_share_file_get(const json_t *doc, const char *id, const struct ap_share_record *like,
                      struct ap_share_record *ret);
/* Makes it, or changes permissions, expiry, creation and creator of the one with that id. */
int ap_share_file_put(json_t *doc, const struct ap_share_record *share, int64_t now_us);
int ap_share_file_drop(json_t *doc, const char *id);
/* The ids of all shares of the node that the one with that id is of, as the keys of a new object;
 * empty where there is none with that id. NULL: memory is out. */
json_t *ap_share_file_same(const json_t *doc, const char *id);
/* A time as the target can hold it; before 1970: 0. One of before then in a file makes the whole of
 * it unreadable to the target; what shows one after the year 9999 fails; and a grant's end is kept
 * in nanoseconds there: one that has no room in these is another time, mostly long ago, and the
 * grant opens nothing. */
#define AP_SHARE_TIME_MAX (INT64_MAX / 1000000000) /* 2262-04-11 */
int64_t ap_share_time(int64_t seconds);

/* Lists of created shares, and of those that a group received. ssid: "<storage>:<space>". */
int ap_list_file_put(json_t *doc, const char *ssid, const char *id);
int ap_list_file_drop(json_t *doc, const char *ssid, const char *id);

/* What a user made of a share. */
struct ap_received_record {
    enum cs3_share_state state;
    const char *mount;  /* a name; NULL or "": as it is */
    bool only_new;      /* not when there is something already */
    const json_t *same; /* of ap_share_file_same; NULL: not asked yet */
};
/* No two accepted ones have one name, but for those of one node: the target would take either for
 * the other. The later one gets a number, "a (1).txt". *ret_ask: nothing was changed, because it
 * has to be known first which other shares are of the same node (same), or, where `mount` is empty
 * and it has none yet, what it is called: the target cannot list what has no name. */
int ap_received_file_put(json_t *doc, const char *ssid, const char *id,
                         const struct ap_received_record *want, bool *ret_ask);
/* The name wanted, or with the lowest number that is free, as the target counts: "a (1).txt" of
 * "a.txt". Free it; NULL: memory is out. */
char *ap_name_free(const char *wanted, bool (*taken)(void *arg, const char *name), void *arg);
int ap_received_file_drop(json_t *doc, const char *ssid, const char *id);

struct ap_link_record {
    const char *id, *token, *password_hash; /* token NULL: any; hash NULL: one nobody knows */
    const char *storage_id, *space_id, *node_id;
    const char *owner_id, *creator_id, *idp;
    const char *label; /* NULL or "": as it is, or the token */
    bool has_password;
    int64_t permissions, expires, ctime; /* ctime 0: not known */
};
/* Besides: -2, the token is another link's. */
int ap_link_file_put(json_t *doc, const struct ap_link_record *link, int64_t now_us);
int ap_link_file_drop(json_t *doc, const char *id);
/* Can the target check a password against that text? */
bool ap_password_hash_ok(const char *hash);

#endif
