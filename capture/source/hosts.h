/*
 * The source's hosts: a list, and which one is in use.
 */
#ifndef CAP_HOSTS_H
#define CAP_HOSTS_H

#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>

#define CAP_HOSTS 16
struct cap_host {
    char name[256]; /* a name or an address, without brackets */
    unsigned port;
};
struct cap_hosts {
    size_t n;
    struct cap_host host[CAP_HOSTS];
};

/*
 * "db1:3306,db2,[::1]:3307": `port` is that of a host without one. FATAL cause "usage" for an empty
 * list, an empty name, a port that is none, too many.
 */
int cap_hosts_parse(const char *text, unsigned port, struct cap_hosts *ret, struct ls_err *err);

/*
 * The one that this process uses now: all its connections go there, so that what they see belongs
 * together. The first at the start. Safe in any thread.
 */
int cap_hosts_current(const struct ls_config *config, struct cap_host *ret, struct ls_err *err);
size_t cap_hosts_count(const struct ls_config *config); /* 0: not a list */
/* How many others were not yet in use since the last one that served. */
size_t cap_hosts_left(const struct ls_config *config);
/* From now on the next one; after the last the first again. */
void cap_hosts_next(void);
/* The current one serves. */
void cap_hosts_good(void);

#endif
