/*
 * check: is there room at the target?
 *
 * Each user's files against the quota that he will have: ownCloud lets stay what is beyond one, and
 * apply lifts it while it copies, but when it is set he can upload nothing. oCIS may hold all
 * spaces to a limit of its own (capabilities, spaces.max_quota): beyond that uploads and quotas are
 * refused.
 *
 * How much the target's storage has left is told by drivers that count it; decomposedfs, which is
 * what oCIS uses unless told otherwise, says of a space without a quota that it has all the room
 * there is. Then what is to come is said, and the admin looks.
 */
#include "ctl/check/check_room.h"
#include "transform/map.h"
#include <stdio.h>
#include <string.h>

#define NAMED_MOST 10
#define UNKNOWN ((int64_t)1 << 60) /* more than any storage has: not told */

struct quotas {
    struct check *check;
    int64_t normal; /* of who has none of his own; 0: what oCIS gives */
    int64_t most;   /* that oCIS allows; 0: any, -1: not told */
    size_t n, full, refused, larger;
};

/* Bytes; -1: no limit. False for a text that says nothing. */
static bool
quota_bytes(const struct quotas *quotas, struct ls_str text, int64_t *ret)
{
    enum cs3_quota kind = CS3_QUOTA_UNSET;
    int64_t bytes = 0;

    *ret = quotas->normal > 0 ? quotas->normal : -1;
    if (!text.p || !tf_quota_parse(text, &kind, &bytes) || kind == CS3_QUOTA_UNSET)
        return false;
    if (kind != CS3_QUOTA_DEFAULT)
        *ret = kind == CS3_QUOTA_BYTES ? bytes : -1;
    return true;
}

/* user, quota of his account, quota of his preferences, bytes of his files */
static int
take_user(void *arg, const struct ls_str *c, size_t n)
{
    struct quotas *quotas = arg;
    struct ctl_lines *lines = quotas->check->lines;
    int64_t used = ctl_int(c[3]), quota;
    char has[32], may[32];

    (void)n;
    quotas->n++;
    /* what ownCloud goes by stands in the account; apply reads the two in this order */
    if (!quota_bytes(quotas, c[1], &quota))
        quota_bytes(quotas, c[2], &quota);
    ctl_bytes(used, has, sizeof has);
    if (quotas->most > 0 && used > quotas->most) {
        if (quotas->refused++ < NAMED_MOST)
            ctl_line(lines, CTL_FAIL, "target",
                     "raise OCIS_SPACES_MAX_QUOTA, or set it to 0: what is beyond it is refused",
                     "%.*s has %s, oCIS allows %s to a space", (int)c[0].n, c[0].p ? c[0].p : "",
                     has, ctl_bytes(quotas->most, may, sizeof may));
    } else if (quota >= 0 && used > quota) {
        if (quotas->full++ < NAMED_MOST)
            ctl_line(lines, CTL_WARN, "target",
                     "raise it before the switch: all is carried, but then he can upload nothing",
                     "%.*s has %s, his quota is %s", (int)c[0].n, c[0].p ? c[0].p : "", has,
                     ctl_bytes(quota, may, sizeof may));
    } else if (quotas->most > 0 && quota > quotas->most) {
        quotas->larger++;
    }
    return 0;
}

static void
check_quotas(struct check *check, int64_t most)
{
    struct quotas quotas = {.check = check, .most = most};
    struct ls_err err = {0};
    char may[32];

    quotas.normal = ls_config_int(check->config, "people", "default_quota");
    /* by the index on (storage, path_hash); names too long for a storage's id are left out */
    if (ctl_source_each(
            check->source,
            "SELECT a.user_id, a.quota, (SELECT MAX(p.configvalue) FROM {p}preferences p "
            "WHERE p.userid=a.user_id AND p.appid='files' AND p.configkey='quota'), "
            "f.size FROM {p}accounts a JOIN {p}storages s ON s.id IN (CONCAT('home::', "
            "a.user_id), CONCAT('object::user:', a.user_id)) JOIN {p}filecache f ON "
            "f.storage=s.numeric_id AND f.path_hash=MD5('files') WHERE a.state<>3 AND "
            "f.size>0 ORDER BY f.size DESC",
            take_user, &quotas, &err) < 0) {
        ctl_line(check->lines, CTL_NOTE, "target", NULL, "quotas were not compared: %s",
                 strcmp(err.cause, "too-slow") == 0 ? "it takes too long" : err.msg);
        return;
    }
    if (quotas.full > NAMED_MOST || quotas.refused > NAMED_MOST)
        ctl_line(check->lines, CTL_NOTE, "target", NULL,
                 "%zu users are beyond their quota, %zu beyond oCIS's (the first ones are named)",
                 quotas.full, quotas.refused);
    if (quotas.larger > 0)
        ctl_line(
            check->lines, CTL_WARN, "target",
            "raise OCIS_SPACES_MAX_QUOTA, or set it to 0: until then those users stay parked as "
            "quota-refused",
            "%zu users have a larger quota than oCIS allows (%s)", quotas.larger,
            ctl_bytes(most, may, sizeof may));
    if (quotas.full + quotas.refused == 0)
        ctl_line(check->lines, CTL_PASS, "target", NULL, "what %zu users have fits their quotas%s",
                 quotas.n, most < 0 ? "; whether oCIS limits all spaces cannot be read here" : "");
}

static void
check_free(struct check *check, int64_t room)
{
    long long size = check_content_bytes(check);
    char come[32], left[32];

    if (size < 0)
        return;
    ctl_bytes(size, come, sizeof come);
    if (room < 0 || room >= UNKNOWN)
        ctl_line(check->lines, CTL_NOTE, "target",
                 "look on its machine: at the volume of STORAGE_USERS_OCIS_ROOT, and at the bucket "
                 "where there is one",
                 "oCIS does not tell how much room its storage has; %s are to come", come);
    else
        ctl_line(check->lines,
                 room < size              ? CTL_FAIL
                 : room < size + size / 5 ? CTL_WARN
                                          : CTL_PASS,
                 "target",
                 room < size + size / 5
                     ? "give the target more room: what people add meanwhile comes on top, and is "
                       "parked when it is full"
                     : NULL,
                 "the target's storage has room for %s, %s are to come",
                 ctl_bytes(room, left, sizeof left), come);
}

void
check_room(struct check *check, int64_t most, int64_t room)
{
    if (!check->source) {
        ctl_line(check->lines, CTL_NOTE, "target", "the source must answer first",
                 "quotas and room were not compared");
        return;
    }
    check_quotas(check, most);
    check_free(check, room);
}
