/*
 * verify --deep: reads a file on both sides and compares what was read.
 *
 * The checksums that both sides tell were found equal before; here neither is believed. What was
 * read from ownCloud's disk is compared with what oCIS's data server hands out. What can go wrong:
 * a file that is written while it is read (it differs, and is looked at again); content that either
 * side has lost, although its row or its node is there: that is a difference, and never the end of
 * a comparison of millions. A home that cannot be read says nothing of its files: that is told
 * once, as not compared. Only when the target, or nobody's home, can be asked at all the command
 * ends.
 */
#include "ctl/verify/verify.h"
#include <string.h>

/* What the target says of one file, whoever asks for it. */
static bool
is_lost(const char *cause)
{
    return strcmp(cause, "internal") == 0 || strcmp(cause, "gone") == 0 ||
           strcmp(cause, "refused") == 0 || strcmp(cause, "denied") == 0;
}

int
verify_content(struct verify *verify, struct verify_user *user, const struct side_node *node,
               const char *place, struct ls_err *err)
{
    struct verify_difference d = {
        .kind = VD_NODE, .fileid = node->fileid, .target_id = node->target_id, .place = place};
    char here[41] = "", there[41] = "", text[160];
    int64_t size_here = 0, size_there = 0;
    struct ls_err why = {0};

    if (verify_on_disk(verify, user, node, place, here, &size_here, &why) < 0) {
        d.what = "unreadable";
        return verify_unread(verify, user, d, &why, err);
    }
    if (target_content(verify->target, user->user->uid, node->target_id, there, &size_there, &why) <
        0) {
        d.what = "content unreadable at the target";
        d.source = here;
        d.target = why.msg;
        if (!is_lost(why.cause))
            return verify_unseen(verify, user, d, &why, err);
        verify_differ(verify, user, &d);
        return 0;
    }
    user->n_read++;
    user->read_bytes += size_here;
    if (size_here == size_there && strcmp(here, there) == 0)
        return 0;
    snprintf(text, sizeof text, "%s%s%s", here,
             node->sha1 && strcmp(node->sha1, here) != 0 ? " on disk; its row says " : "",
             node->sha1 && strcmp(node->sha1, here) != 0 ? node->sha1 : "");
    d.what = "content as read";
    d.source = text;
    d.target = there;
    verify_differ(verify, user, &d);
    return 0;
}
