/*
 * What the parts of check share.
 */
#ifndef CTL_CHECK_H
#define CTL_CHECK_H

#include "common/config.h"
#include "ctl/lines.h"
#include "ctl/source.h"

struct check {
    const struct ls_config *config;
    struct ctl_source *source; /* NULL: it does not answer */
    struct ctl_lines *lines;
    bool content_asked; /* what check_content_bytes has said */
    long long content_bytes;
};

/* check_source.c: settings, grants, clock, tables; rows that will not simply be carried. */
void check_source(struct check *check);
/* check_owncloud.c: its version, as far as the database tells. `step`: the last migration of its
 * core;
 * "" when there is none. */
void check_owncloud(struct check *check);
void ctl_owncloud_line(const char *step, struct ctl_lines *lines);
/* check_rows.c: names the rows that are carried otherwise than they stand there, the first of each
 * kind. */
void check_source_rows(struct check *check);
/* check_text.c: character sets, collations, sizes that are not known. */
void check_source_text(struct check *check);
/* check_estimate.c: how long a snapshot and the first copy take, whether binlogs are kept for so
 * long, how much Kafka will hold. */
void check_estimates(struct check *check);
/* Bytes of all homes with trash and versions, as ownCloud counts them, asked once; -1: it was not
 * told, with a line. */
long long check_content_bytes(struct check *check);
/* check_kafka.c: brokers, topics, how they are kept and copied. */
void check_kafka(struct check *check);
/* check_versions.c: of this Lockstep, and of those that run. */
void check_versions(struct check *check);
void ctl_versions_line(const json_t *stages, int64_t now_us, struct ctl_lines *lines);
/* check_target.c: oCIS's services, sign-in, settings as far as they can be told. */
void check_target(struct check *check);
/* check_bucket.c: ownCloud's object storage, where apply reads it. */
void check_bucket(struct check *check);
/* check_data.c: homes and content where apply reads them. */
void check_data(struct check *check);

/*
 * A number asked from the source. -1 with a line when the query fails or takes too long: a count
 * is not worth slowing a living ownCloud down.
 */
long long check_count(struct check *check, const char *what, const char *sql);
/* A variable of the source's server: "" when it does not know it. -1 with a line when the query
 * fails. */
int check_variable(struct check *check, const char *name, char *out, size_t size);

/* "90 s", "5 min", "3 h", "4 days"; "1.5 GB". Return `out`. */
const char *ctl_duration(long long seconds, char *out, size_t size);
const char *ctl_bytes(long long bytes, char *out, size_t size);

#endif
