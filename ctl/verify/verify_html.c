/*
 * verify --html: one page that needs nothing else, to be kept or sent.
 *
 * Everything in it that people named (users, files, messages of servers) is escaped, in text and in
 * attributes alike, and what is not UTF-8 or a control character is shown as such; there is no
 * script in it and nothing is fetched. It is written beside its place and renamed, so that a page
 * is whole or the old one. Of a million differences a browser shows none: at most MOST are in the
 * page, and it says how many are not.
 */
#include "common/utf8.h"
#include "ctl/verify/verify.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST 20000

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n<title>lockstep verify</title>\n<style>\n"
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 "
    "1rem;color:#1a1a1a;background:#fff}\n"
    "table{border-collapse:collapse;width:100%;margin:.6rem 0 1.6rem}\n"
    "th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #ddd;vertical-align:top;"
    "overflow-wrap:anywhere}\n"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    ".real,.unknown{color:#a30000}.carried,.unseen{color:#8a5a00}.equal{color:#0a6b2d}\n"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\n</style>\n</head>\n<body>\n";

static void
put(FILE *out, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t n = ls_utf8_len(text, left);
        unsigned char c = (unsigned char)*text;

        if (c == '&')
            fputs("&amp;", out);
        else if (c == '<')
            fputs("&lt;", out);
        else if (c == '>')
            fputs("&gt;", out);
        else if (c == '"')
            fputs("&quot;", out);
        else if (c == '\'')
            fputs("&#39;", out);
        else if (n == 0 || c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fwrite(text, 1, n, out);
        n = n ? n : 1;
        text += n;
        left -= n;
    }
}

static void
cell(FILE *out, const char *text)
{
    fputs("<td>", out);
    put(out, text);
    fputs("</td>", out);
}

static void
put_users(const struct verify *verify, FILE *out)
{
    fputs("<h2>Users</h2>\n<table id=\"users\"><thead><tr><th>user</th><th "
          "class=\"n\">folders</th><th class=\"n\">files</th><th class=\"n\">trash</th><th "
          "class=\"n\">shares</th><th class=\"n\">links</th><th class=\"n\">read</th><th "
          "class=\"n\">different</th><th class=\"n\">unseen</th></tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < verify->n_users; i++) {
        const struct verify_user *user = &verify->users[i];
        size_t named = user->count[VC_DIFFERENT] + user->count[VC_UNSEEN];
        if (!user->picked)
            continue;
        fputs("<tr>", out);
        if (named > 0)
            fprintf(out, "<td><a href=\"#u%zu\">", i);
        else
            fputs("<td>", out);
        put(out, user->user->uid);
        fputs(named > 0 ? "</a></td>" : "</td>", out);
        for (size_t c = 0; c < VC_DIFFERENT; c++)
            fprintf(out, "<td class=\"n\">%zu</td>", user->count[c]);
        fprintf(
            out,
            "<td class=\"n\">%zu</td><td class=\"n %s\">%zu</td><td class=\"n %s\">%zu</td></tr>\n",
            user->n_read, user->count[VC_DIFFERENT] ? "real" : "equal", user->count[VC_DIFFERENT],
            user->count[VC_UNSEEN] ? "unseen" : "equal", user->count[VC_UNSEEN]);
    }
    fputs("</tbody></table>\n", out);
}

/* The user's place in the table; n_users for nobody. */
static size_t
place_of(const struct verify *verify, const char *uid)
{
    struct side_user *user = NULL;

    HASH_FIND_STR(verify->side->users, uid, user);
    return user ? (size_t)(verify_user_of((struct verify *)verify, user) - verify->users)
                : verify->n_users;
}

static void
put_differences(const struct verify *verify, FILE *out)
{
    const struct verify_list *list = &verify->differences;
    const char *user = NULL;
    size_t n = list->n < MOST ? list->n : MOST;

    for (size_t i = 0; i < n; i++) {
        const struct verify_difference *d = list->each[i];
        if (!user || strcmp(user, d->user) != 0) {
            fprintf(out, "%s<h2 id=\"u%zu\">", user ? "</tbody></table>\n" : "",
                    place_of(verify, d->user));
            put(out, *d->user ? d->user : "nobody's");
            fputs("</h2>\n<table class=\"differences\"><thead><tr><th>what</th><th>where</th>"
                  "<th>ownCloud 10</th><th>oCIS</th><th>seen</th></tr></thead><tbody>\n",
                  out);
            user = d->user;
        }
        fputs("<tr>", out);
        cell(out, d->what);
        cell(out, d->place);
        cell(out, d->source);
        cell(out, d->target);
        fprintf(out, "<td class=\"%s\">%s</td></tr>\n", verify_when_name(d->when),
                verify_when_name(d->when));
    }
    if (n > 0)
        fputs("</tbody></table>\n", out);
    if (n < list->n)
        fprintf(out,
                "<p id=\"more\">%zu more are not in this page: <code>lockstep verify "
                "--json</code> names all.</p>\n",
                list->n - n);
}

static void
put_left(size_t n, const char *text, FILE *out)
{
    if (n == 0)
        return;
    fprintf(out, "<tr><td class=\"n\">%zu</td>", n);
    cell(out, text);
    fputs("<td>not compared</td></tr>\n", out);
}

static void
put_rest(const struct verify *verify, FILE *out)
{
    const struct side *side = verify->side;
    size_t kept[VK_MAX], left[VL_MAX];
    const char *why;

    verify_sum_up(verify, kept, left);
    fputs("<h2>Not kept by design, and not compared</h2>\n<table id=\"rest\"><tbody>\n", out);
    for (int i = 0; i < VK_MAX; i++)
        if (kept[i] > 0) {
            const char *text = verify_not_kept_text((enum verify_not_kept)i, &why);
            fprintf(out, "<tr><td class=\"n\">%zu</td>", kept[i]);
            cell(out, text);
            cell(out, why);
            fputs("</tr>\n", out);
        }
    for (int i = 0; i < VL_MAX; i++)
        put_left(left[i], verify_left_text((enum verify_left)i), out);
    put_left(side->n_orphans, "orphans (rows whose parent does not exist)", out);
    put_left(side->n_doubled, "second rows of one place", out);
    put_left(side->n_elsewhere, "rows of external, federated and other storages", out);
    fputs("</tbody></table>\n", out);
}

static void
put_page(const struct verify *verify, const struct verify_told *told, FILE *out)
{
    size_t carried = verify_count_when(verify, VW_CARRIED);
    size_t unseen = verify_count_when(verify, VW_UNSEEN);
    size_t real = verify->differences.n - carried - unseen;
    time_t now = (time_t)verify->now;
    char when[64] = "";
    struct tm tm;

    if (gmtime_r(&now, &tm))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &tm);
    fputs(head, out);
    fprintf(out, "<h1>lockstep verify, %s</h1>\n<p id=\"verdict\" class=\"%s\">", when,
            real      ? "real"
            : unseen  ? "unseen"
            : carried ? "carried"
                      : "equal");
    if (verify->differences.n == 0)
        fputs("equal", out);
    else if (real > 0)
        fprintf(out, "%zu differences", real);
    else if (carried > 0)
        fprintf(out, "no difference but %zu that the stream still carries", carried);
    else
        fputs("no difference in what could be compared", out);
    if (unseen > 0)
        fprintf(out, "; %zu times something could not be compared", unseen);
    fputs("</p>\n", out);
    if (told->why && *told->why) {
        fputs("<p>Not told apart from what the stream still carries: ", out);
        put(out, told->why);
        fputs("</p>\n", out);
    }
    if (told->sample) {
        fputs("<p>A sample: ", out);
        put(out, told->sample);
        fputs("</p>\n", out);
    }
    put_users(verify, out);
    put_differences(verify, out);
    put_rest(verify, out);
    fputs("</body>\n</html>\n", out);
}

int
verify_html(const struct verify *verify, const struct verify_told *told, const char *path,
            struct ls_err *err)
{
    char *fresh = NULL;
    FILE *out = NULL;
    int r = -1;

    if (asprintf(&fresh, "%s.new", path) < 0)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    out = fopen(fresh, "we");
    if (!out)
        goto out;
    put_page(verify, told, out);
    r = ferror(out) ? -1 : 0;
    if (fclose(out) != 0)
        r = -1;
    if (r == 0)
        r = rename(fresh, path);
out:
    if (r < 0)
        ls_fail_cause(err, LS_ERR_FATAL, errno, "html", "%s: %s", path, strerror(errno));
    if (r < 0 && out)
        unlink(fresh);
    free(fresh);
    return r;
}
