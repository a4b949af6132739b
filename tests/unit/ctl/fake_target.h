/*
 * For the tests of verify: a source made of rows, and a target that answers from tables.
 *
 * fake_target.c defines the functions of ctl/verify/target.h itself, so that ctl's own target.o is
 * not linked: verify compares against what a test put here.
 */
#ifndef FAKE_TARGET_H
#define FAKE_TARGET_H

#include "ctl/verify/target.h"
#include "ctl/verify/verify.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

/* Rows of the target; each table ends with a NULL uid. Ids are unique over all users. */
struct fake_node {
    const char *uid, *parent; /* parent NULL: the root of the space */
    const char *id, *name;
    bool folder;
    int64_t size, mtime;
    const char *sha1;
};
struct fake_trash {
    const char *uid, *parent; /* parent NULL: an item; else the key of the folder it is in */
    const char *key, *name, *where;
    bool folder;
    int64_t size, deleted_at;
};
struct fake_version {
    const char *uid, *node;
    int64_t mtime, size;
};
struct fake_share {
    const char *uid, *node;
    int64_t permissions, expires;
    int state;
    const char *id; /* NULL: "share" */
};
struct fake_grant { /* on a node of that user's, or what its list of shares says */
    const char *uid, *node, *grantee; /* nobody has an id that begins with "nobody" */
    bool group;
    int64_t permissions, expires;
    const char *listed; /* the share's id; NULL: it is the grant */
};
struct fake_link {
    const char *uid, *id, *node, *label;
    int64_t permissions, expires;
    bool has_password;
    const char *token; /* NULL: "token" */
    const char *hash;  /* of its password; NULL: "" */
};
struct fake_content {
    const char *node, *sha1;
    int64_t size;
    const char *fails; /* the cause; NULL: it can be read */
};
struct fake {
    const char *const *users;  /* who can sign in; ends with NULL; NULL: everybody */
    const char *const *served; /* whom only the service account sees; NULL: there is none */
    const struct fake_node *nodes;
    const struct fake_trash *trash;
    const struct fake_version *versions;
    const struct fake_share *shares;
    const struct fake_link *links;
    const struct fake_grant *grants;
    int asked;                          /* how often shares or grants of nodes were asked for */
    int64_t quota;                      /* of everybody; -1: not told */
    bool no_hashes;                     /* nobody there who may read them */
    const struct fake_content *content; /* ends with a NULL node */
    const char *gone;                   /* this node id answers "gone" */
    const char *fails, *cause;          /* what fails ("list", "links"), and with which cause */
    const char *grouped;                /* who is in which group: "uid=id " of each */
    char matched[200];                  /* whom it was told of: "uid=id " of each */
};
extern struct fake fake;

/* One row of a table of side_tables, by the table's number; NULL is SQL's. */
enum {
    T_FOLDER_TYPE,
    T_USER,
    T_STORAGE,
    T_FILE,
    T_MEMBER,
    T_ATTRIBUTES,
    T_SHARE,
    T_TRASH,
    T_LDAP,
    T_MAPPING,
    T_GROUPS,
    T_PREFERENCE
};
struct fake_row {
    int table;
    const char *columns[13];
};

/* The side from rows (ends with table -1), and all of verify over it and `fake`. Free with
 * verify_end. */
struct verify_run {
    struct verify verify;
    struct ls_config *config;
};
void verify_begin(struct verify_run *run, const struct fake_row *rows);
void verify_all(struct verify_run *run);
void verify_end(struct verify_run *run);
/* The n-th difference as "user|what|place|source|target"; "" when there is none. */
const char *verify_difference(const struct verify_run *run, size_t n);

#endif
