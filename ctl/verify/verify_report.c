/*
 * What verify prints: a table of users, each difference by name, and apart from both what is not
 * kept by design and what was not compared. Names come from users: control characters are shown
 * as \xNN, so that a name cannot draw on the admin's terminal.
 */
#include "ctl/lines.h"
#include "ctl/verify/verify.h"
#include <inttypes.h>
#include <jansson.h>

static const struct {
    const char *name, *why;
} not_kept[VK_MAX] = {
    [VK_FOLDER_MTIMES] = {"folder mtimes", "oCIS propagates its own"},
    [VK_MTIME_RANGE] = {"mtimes beyond the target's range", "the nearest it can hold"},
    [VK_IDS] = {"file ids", "oCIS makes its own; the ledger maps them"},
    [VK_TRASH_PLACES] = {"places of trash items", "their folder is gone, or the name was taken"},
    [VK_TRASH_TIMES] = {"times of deletion", "oCIS writes its own"},
    [VK_UNIONS] = {"permissions to rename that two shares give together", "oCIS keeps each share"},
    [VK_SHARE_IDS] = {"share ids", "the sharing API makes its own"},
    [VK_LINK_TOKENS] = {"link tokens", "the sharing API takes none"},
    [VK_LINK_PASSWORDS] = {"link passwords", "the sharing API takes no hash: a random one closes "
                                             "the link"},
    [VK_LINK_RESETS] = {"link passwords to be set anew",
                        "ownCloud's hash is of a kind that oCIS cannot check"},
    [VK_EXPIRIES] = {"versions that ownCloud has not, or no longer",
                     "oCIS keeps what it was written over, and deletes no single one"},
    [VK_GROUP_STATES] = {"states of shares with groups of a directory",
                         "no row of the member's own says one, and oCIS has chosen"},
};

static const char *const left[VL_MAX] = {
    [VL_DISABLED] = "disabled users without files",
    [VL_RECEIVED_DISABLED] = "users who cannot sign in, and what they received",
    [VL_LINK_DISABLED] = "links of users who cannot sign in",
    [VL_TRASH_GONE] = "trash items whose content ownCloud itself has erased",
    [VL_NO_RECIPIENT] = "shares with somebody who does not exist",
    [VL_CUSTOM_GROUP] = "shares with groups of the app customgroups (not carried)",
    [VL_DIRECTORY_GROUP] = "shares with groups of LDAP by name (nobody tells who is in them)",
    [VL_NO_NODE] = "shares of files that do not exist",
    [VL_ELSEWHERE] = "shares on external, federated and other storages",
    [VL_DORMANT] = "shares of trashed files (dormant in ownCloud)",
    [VL_NODE_DIFFERS] = "shares of files that are named as different themselves",
    [VL_EXPIRED] = "expired shares",
    [VL_FEDERATED] = "federated shares",
    [VL_SHARE_TYPE] = "shares of an unknown type",
    [VL_UNPICKED] = "shares at the target of files that were not looked at",
    [VL_TARGET_ONLY] = "shares at the target of files that are not live in ownCloud",
    [VL_VERSIONS_OFF] = "versions ([apply] versions = false)",
    [VL_VERSIONS_UNSEEN] = "versions of users who cannot sign in",
    [VL_VERSIONS_TRASHED] = "versions of trashed files (oCIS shows none of them)",
    [VL_TRASH_CONTENT] = "contents of trashed files (oCIS shows none in its trash, nor checksums)",
    [VL_LINK_PASSWORDS] = "link passwords ([target] system_user_id and its key are not set)",
    [VL_QUOTA_NONE] = "users without a quota of their own, and how much oCIS gives them",
    [VL_QUOTA_UNSEEN] = "quotas (Graph does not tell them to [target] graph_user)",
    [VL_ACCOUNT] = "users' names, addresses and groups (but what is shared with these)",
    [VL_GRANTS_UNSEEN] = "files whose grants only their owner could list, who cannot sign in",
    [VL_GRANTS_OF_NOBODY] = "grants of somebody whom oCIS does not have (federated, or deleted)",
    [VL_VERSIONS_GONE] = "versions whose content ownCloud itself has erased",
};

static const char *const columns[VC_MAX] = {"folders", "files",     "trash", "shares",
                                            "links",   "different", "unseen"};

const char *
verify_not_kept_text(enum verify_not_kept what, const char **ret_why)
{
    *ret_why = not_kept[what].why;
    return not_kept[what].name;
}

const char *
verify_left_text(enum verify_left what)
{
    return left[what];
}

const char *
verify_when_name(enum verify_when when)
{
    static const char *const names[] = {[VW_UNKNOWN] = "unknown",
                                        [VW_REAL] = "real",
                                        [VW_CARRIED] = "carried",
                                        [VW_UNSEEN] = "unseen"};

    return names[when];
}

size_t
verify_count_when(const struct verify *verify, enum verify_when when)
{
    size_t n = 0;

    for (size_t i = 0; i < verify->differences.n; i++)
        n += verify->differences.each[i]->when == when;
    return n;
}

int
verify_verdict(const struct verify *verify)
{
    size_t carried = verify_count_when(verify, VW_CARRIED);
    size_t unseen = verify_count_when(verify, VW_UNSEEN);

    if (verify->differences.n > carried + unseen)
        return LS_EXIT_DIFFERENT;
    return unseen > 0 ? LS_EXIT_UNSEEN : carried > 0 ? LS_EXIT_CARRIED : LS_EXIT_OK;
}

static void
set_text(json_t *object, const char *key, const char *text)
{
    json_object_set_new(object, key, ctl_json_text(text));
}

static json_t *
difference_json(const struct verify_difference *d)
{
    json_t *row = json_object();

    set_text(row, "kind", verify_kind_name(d->kind));
    set_text(row, "state", verify_when_name(d->when));
    if (d->fileid != 0)
        json_object_set_new(row, "fileid", json_integer(d->fileid));
    if (d->share != 0)
        json_object_set_new(row, "share", json_integer(d->share));
    if (*d->target_id)
        set_text(row, "target_id", d->target_id);
    if (*d->owner)
        set_text(row, "owner", d->owner);
    set_text(row, "user", d->user);
    set_text(row, "what", d->what);
    set_text(row, "place", d->place);
    set_text(row, "source", d->source);
    set_text(row, "target", d->target);
    return row;
}

static void
print_json(const struct verify *verify, const struct verify_told *told, FILE *out)
{
    json_t *document = json_object(), *users = json_object(), *kept = json_object();
    json_t *rest = json_object(), *differences = json_array();
    size_t kept_n[VK_MAX], left_n[VL_MAX];

    verify_sum_up(verify, kept_n, left_n);
    for (size_t i = 0; i < verify->n_users; i++) {
        json_t *row = verify->users[i].picked ? json_object() : NULL;
        for (size_t c = 0; row && c < VC_MAX; c++)
            json_object_set_new(row, columns[c],
                                json_integer((json_int_t)verify->users[i].count[c]));
        if (row)
            json_object_set_new(row, "read", json_integer((json_int_t)verify->users[i].n_read));
        if (row)
            json_object_set_new(users, verify->users[i].user->uid, row);
    }
    for (size_t i = 0; i < VK_MAX; i++)
        json_object_set_new(kept, not_kept[i].name, json_integer((json_int_t)kept_n[i]));
    for (size_t i = 0; i < VL_MAX; i++)
        json_object_set_new(rest, left[i], json_integer((json_int_t)left_n[i]));
    json_object_set_new(rest, "orphans", json_integer((json_int_t)verify->side->n_orphans));
    json_object_set_new(rest, "second rows of one place",
                        json_integer((json_int_t)verify->side->n_doubled));
    json_object_set_new(rest, "rows of other storages",
                        json_integer((json_int_t)verify->side->n_elsewhere));
    json_object_set_new(document, "equal", json_boolean(verify->differences.n == 0));
    json_object_set_new(document, "carried",
                        json_integer((json_int_t)verify_count_when(verify, VW_CARRIED)));
    json_object_set_new(document, "unseen",
                        json_integer((json_int_t)verify_count_when(verify, VW_UNSEEN)));
    json_object_set_new(document, "not_told_apart",
                        told->why && *told->why ? ctl_json_text(told->why) : json_null());
    json_object_set_new(document, "deep", json_boolean(verify->deep));
    if (told->sample) {
        set_text(document, "sample", told->sample);
        json_object_set_new(document, "seed", json_integer((json_int_t)verify->seed));
    }
    json_object_set_new(document, "users", users);
    for (size_t i = 0; i < verify->differences.n; i++)
        json_array_append_new(differences, difference_json(verify->differences.each[i]));
    json_object_set_new(document, "differences", differences);
    json_object_set_new(document, "not_kept_by_ocis_api", kept);
    json_object_set_new(document, "not_compared", rest);
    json_dumpf(document, out, JSON_INDENT(2) | JSON_SORT_KEYS);
    fputc('\n', out);
    json_decref(document);
}

static void
print_counts(const char *name, const size_t n[VC_MAX], FILE *out)
{
    fprintf(out, "%-24s %9zu %9zu %9zu %9zu %9zu %10zu %7zu\n", name, n[VC_FOLDERS], n[VC_FILES],
            n[VC_TRASH], n[VC_SHARES], n[VC_LINKS], n[VC_DIFFERENT], n[VC_UNSEEN]);
}

static void
print_users(const struct verify *verify, FILE *out)
{
    char name[256];
    size_t sum[VC_MAX] = {0};

    fprintf(out, "%-24s %9s %9s %9s %9s %9s %10s %7s\n", "USER", "FOLDERS", "FILES", "TRASH",
            "SHARES", "LINKS", "DIFFERENT", "UNSEEN");
    for (size_t i = 0; i < verify->n_users; i++) {
        const size_t *n = verify->users[i].count;
        if (!verify->users[i].picked)
            continue;
        print_counts(ctl_plain(verify->users[i].user->uid, name, sizeof name), n, out);
        for (size_t c = 0; c < VC_MAX; c++)
            sum[c] += n[c];
    }
    print_counts("all", sum, out);
}

static void
print_difference(const struct verify_difference *d, FILE *out)
{
    char text[4096];

    fprintf(out, "%s  %s: ",
            d->when == VW_CARRIED  ? "CARRIED  "
            : d->when == VW_UNSEEN ? "UNSEEN   "
                                   : "DIFFERENT",
            ctl_plain(d->user, text, sizeof text));
    fprintf(out, "%s", d->what);
    if (*d->place)
        fprintf(out, ": %s", ctl_plain(d->place, text, sizeof text));
    fputc('\n', out);
    if (*d->source)
        fprintf(out, "           source: %s\n", ctl_plain(d->source, text, sizeof text));
    if (*d->target)
        fprintf(out, "           target: %s\n", ctl_plain(d->target, text, sizeof text));
}

static void
print_read(const struct verify *verify, FILE *out)
{
    int64_t bytes = 0;
    size_t n = 0;

    for (size_t i = 0; i < verify->n_users; i++) {
        n += verify->users[i].n_read;
        bytes += verify->users[i].read_bytes;
    }
    fprintf(out, "read on both sides: %zu files, %" PRId64 " bytes\n", n, bytes);
}

static void
print_table(const struct verify *verify, const struct verify_told *told, FILE *out)
{
    const struct side *side = verify->side;
    size_t carried = verify_count_when(verify, VW_CARRIED);
    size_t unseen = verify_count_when(verify, VW_UNSEEN), kept_n[VK_MAX], left_n[VL_MAX];

    verify_sum_up(verify, kept_n, left_n);
    print_users(verify, out);
    for (size_t i = 0; i < verify->differences.n; i++)
        print_difference(verify->differences.each[i], out);
    for (size_t i = 0; i < VK_MAX; i++)
        if (kept_n[i] > 0)
            fprintf(out, "not kept by ocis-api: %zu %s (%s)\n", kept_n[i], not_kept[i].name,
                    not_kept[i].why);
    for (size_t i = 0; i < VL_MAX; i++)
        if (left_n[i] > 0)
            fprintf(out, "not compared: %zu %s\n", left_n[i], left[i]);
    if (side->n_orphans > 0)
        fprintf(out, "not compared: %zu orphans (rows whose parent does not exist)\n",
                side->n_orphans);
    if (side->n_doubled > 0)
        fprintf(out, "not compared: %zu second rows of one place\n", side->n_doubled);
    if (side->n_elsewhere > 0)
        fprintf(out, "not compared: %zu rows of external, federated and other storages\n",
                side->n_elsewhere);
    if (verify->deep)
        print_read(verify, out);
    if (told->sample)
        fprintf(out, "a sample: %s\n", told->sample);
    if (told->why && *told->why)
        fprintf(out, "not told apart from what the stream still carries: %s\n", told->why);
    if (verify->differences.n == 0)
        fputs("equal\n", out);
    else if (carried == 0)
        fprintf(out, "%zu differences", verify->differences.n - unseen);
    else
        fprintf(out, "%zu differences, and %zu that the stream still carries",
                verify->differences.n - carried - unseen, carried);
    if (unseen > 0)
        fprintf(out, "; %zu times something could not be compared", unseen);
    if (verify->differences.n > 0)
        fputc('\n', out);
}

void
verify_print(const struct verify *verify, const struct verify_told *told, bool json, FILE *out)
{
    if (json)
        print_json(verify, told, out);
    else
        print_table(verify, told, out);
}
