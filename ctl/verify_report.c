/*
 * What verify prints: a table of users, each difference by name, and apart from both what is not
 * kept by design and what was not compared. Names come from users: control characters are shown
 * as \xNN, so that a name cannot draw on the admin's terminal.
 */
#include "ctl/lines.h"
#include "ctl/verify.h"
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
};

static const char *const left[VL_MAX] = {
    [VL_DISABLED] = "disabled users without files",
    [VL_RECEIVED_DISABLED] = "users who cannot sign in, and what they received",
    [VL_LINK_DISABLED] = "links of users who cannot sign in",
    [VL_TRASH_GONE] = "trash items whose content ownCloud itself has erased",
    [VL_NO_RECIPIENT] = "shares with somebody who does not exist",
    [VL_NO_NODE] = "shares of files that do not exist",
    [VL_ELSEWHERE] = "shares on external, federated and other storages",
    [VL_DORMANT] = "shares of trashed files (dormant in ownCloud)",
    [VL_NODE_DIFFERS] = "shares of files that are named as different themselves",
    [VL_EXPIRED] = "expired shares",
    [VL_FEDERATED] = "federated shares",
    [VL_SHARE_TYPE] = "shares of an unknown type",
    [VL_TARGET_ONLY] = "shares at the target of files that are not live in ownCloud",
};

static const char *const columns[VC_MAX] = {"folders", "files", "trash",
                                            "shares",  "links", "different"};

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
print_json(const struct verify *verify, FILE *out)
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
print_users(const struct verify *verify, FILE *out)
{
    char name[256];
    size_t sum[VC_MAX] = {0};

    fprintf(out, "%-24s %9s %9s %9s %9s %9s %10s\n", "USER", "FOLDERS", "FILES", "TRASH", "SHARES",
            "LINKS", "DIFFERENT");
    for (size_t i = 0; i < verify->n_users; i++) {
        const size_t *n = verify->users[i].count;
        if (!verify->users[i].picked)
            continue;
        fprintf(out, "%-24s %9zu %9zu %9zu %9zu %9zu %10zu\n",
                ctl_plain(verify->users[i].user->uid, name, sizeof name), n[VC_FOLDERS],
                n[VC_FILES], n[VC_TRASH], n[VC_SHARES], n[VC_LINKS], n[VC_DIFFERENT]);
        for (size_t c = 0; c < VC_MAX; c++)
            sum[c] += n[c];
    }
    fprintf(out, "%-24s %9zu %9zu %9zu %9zu %9zu %10zu\n", "all", sum[VC_FOLDERS], sum[VC_FILES],
            sum[VC_TRASH], sum[VC_SHARES], sum[VC_LINKS], sum[VC_DIFFERENT]);
}

static void
print_difference(const struct verify_difference *d, FILE *out)
{
    char text[4096];

    fprintf(out, "DIFFERENT  %s: ", ctl_plain(d->user, text, sizeof text));
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
print_table(const struct verify *verify, FILE *out)
{
    const struct side *side = verify->side;
    size_t kept_n[VK_MAX], left_n[VL_MAX];

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
    fputs("not compared: versions; content of trashed files (names, types and sizes are)\n", out);
    if (verify->differences.n == 0)
        fputs("equal\n", out);
    else
        fprintf(out, "%zu differences\n", verify->differences.n);
}

void
verify_print(const struct verify *verify, bool json, FILE *out)
{
    if (json)
        print_json(verify, out);
    else
        print_table(verify, out);
}
