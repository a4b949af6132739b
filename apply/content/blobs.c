/*
 * Content out of ownCloud's data directory.
 *
 * Whoever can write below a home (an app, a script, a mounted disk) may put a symlink, a FIFO or
 * a device where a file was; so a path is resolved by the kernel beneath the home only, without
 * any symlink, and what is opened must be a regular file. ".." in a path is never ours.
 *
 * What the disk says of one file may be the disk's own trouble: a share that is not mounted, a
 * server that is away, a handle that is stale, no descriptor left. That is no file's, and comes by
 * itself; where it is not plain by the errno, the home and the folder around it are looked into.
 *
 * The file may change while it is read: ownCloud writes a part file and renames it, so mostly we
 * keep reading the old inode, but scanners and external programs write in place. The checksums
 * of the row decide; where it has none, its mtime must be the file's. The last piece is held back
 * until they agree, and until the file has been seen to end there; whoever passes the pieces on has
 * then never passed on all of a wrong file.
 */
#include "apply/content/blobs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

struct ap_blob {
    struct ap_object *object; /* NULL: a file */
    char *home;
    int fd;
    struct stat before;
    int64_t size, off;
    bool want_sha1, want_md5, want_adler32, checked;
    char sha1_want[41], md5_want[33], adler32_want[9];
    EVP_MD_CTX *sha1, *md5;
    uLong adler32;
    char sha1_is[41];
};

/* ---- opening */
static bool
has_dot_dot(const char *path)
{
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2]))
            return true;
    }
    return false;
}

static int
open_beneath(int home, const char *relative)
{
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOATIME,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;

    for (int try = 0; try < 10; try++) {
        fd = syscall(SYS_openat2, home, relative, &how, sizeof(how));
        if (fd < 0 && errno == EPERM && (how.flags & O_NOATIME))
            how.flags &= ~(__u64)O_NOATIME;  /* only the file's owner may */
        else if (fd >= 0 || errno != EAGAIN) /* EAGAIN: something was renamed meanwhile */
            break;
    }
    return (int)fd;
}

bool
ap_content_is_away(const char *cause)
{
    return strcmp(cause, "content-away") == 0;
}

/* Of no file: of the disk, of the server behind it, or of this process. */
static bool
is_of_the_disk(int code)
{
    static const int codes[] = {ESTALE,       ENOTCONN,  ENODEV,      ETIMEDOUT,  EHOSTDOWN,
                                EHOSTUNREACH, ENETDOWN,  ENETUNREACH, ECONNRESET, ECONNREFUSED,
                                EREMOTEIO,    ESHUTDOWN, EKEYEXPIRED, EMFILE,     ENFILE,
                                ENOMEM,       EAGAIN};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i] == code)
            return true;
    return false;
}

/* 1: there is something in the folder; 0: nothing, or it cannot be read; -1: who may not list it
 * cannot tell. */
static int
is_filled(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int n = 0;

    if (!dir)
        return errno == EACCES || errno == EPERM ? -1 : 0;
    while (n == 0 && (entry = readdir(dir)))
        n = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

/* A home that is not there while others are is its own trouble. One that is there and empty, or
 * around which there is nothing, is a mount that is away: no row would name a file in it. */
static bool
is_away(const char *home)
{
    char around[PATH_MAX];
    char *slash;

    if (is_filled(home) != 0)
        return false;
    if (access(home, F_OK) == 0)
        return true;
    snprintf(around, sizeof(around), "%s", home);
    slash = strrchr(around, '/');
    if (slash)
        slash[slash == around] = '\0';
    return is_filled(around) == 0;
}

/* What an errno of opening or reading means; the path is a user's, so it is not in the message. */
static int
file_fail(const char *home, int code, const char *what, struct ls_err *err)
{
    if (is_of_the_disk(code) ||
        ((code == ENOENT || code == ENOTDIR || code == EIO) && is_away(home)))
        return ls_fail_cause(err, LS_ERR_RETRY, code, "content-away",
                             "the data directory does not answer for %s: %s", what, strerror(code));
    switch (code) {
    case ELOOP:
    case EXDEV:
        return ls_fail_cause(err, LS_ERR_POISON, code, "outside-home",
                             "the path leaves the home folder or leads over a symlink");
    case EISDIR: /* one took its place, and the news of it is on its way */
        return ls_fail_cause(err, LS_ERR_RETRY, code, "content-missing", "a folder is where %s was",
                             what);
    case ENXIO:
        return ls_fail_cause(err, LS_ERR_POISON, code, "not-a-file", "not a regular file");
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return ls_fail_cause(err, LS_ERR_RETRY, code, "content-missing", "%s is not there", what);
    case EACCES:
    case EPERM:
        return ls_fail_cause(err, LS_ERR_RETRY, code, "content-unreadable",
                             "%s is not readable: %s", what, strerror(code));
    case ENOSYS:
        return ls_fail_cause(err, LS_ERR_FATAL, code, "data",
                             "the kernel (5.6 or later is needed) or a sandbox has no openat2");
    default:
        return ls_fail_cause(err, LS_ERR_RETRY, code, "content-unreadable", "cannot read %s: %s",
                             what, strerror(code));
    }
}

/* Without a checksum the time tells one content from another. Times outside of these bounds are
 * clamped on the way by some file systems and archives, so they tell nothing. */
static bool
mtime_differs(const struct ap_blob_want *want, const struct stat *is)
{
    if ((want->sha1 && *want->sha1) || (want->md5 && *want->md5) ||
        (want->adler32 && *want->adler32) || want->mtime < 0 || want->mtime > INT32_MAX)
        return false;
    return want->mtime != is->st_mtim.tv_sec;
}

static int
blob_file_open(struct ap_blob *blob, const struct ap_blob_want *want, struct ls_err *err)
{
    int home;

    if (has_dot_dot(want->relative) || want->relative[0] == '/')
        return file_fail(want->home, EXDEV, "the file", err);
    home = open(want->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (home < 0) { /* that says nothing about the file */
        int code = errno;
        if (is_of_the_disk(code) || is_away(want->home))
            return file_fail(want->home, code, "the home folder", err);
        return ls_fail_cause(err, LS_ERR_RETRY, code, "content-unreadable",
                             "cannot open the home folder: %s", strerror(code));
    }
    blob->fd = open_beneath(home, want->relative);
    if (blob->fd < 0) {
        int code = errno;
        close(home);
        return file_fail(want->home, code, "the file", err);
    }
    close(home);
    if (fstat(blob->fd, &blob->before) < 0)
        return file_fail(want->home, errno, "the file", err);
    if (!S_ISREG(blob->before.st_mode))
        return file_fail(want->home, S_ISDIR(blob->before.st_mode) ? EISDIR : ENXIO, "the file",
                         err);
    blob->home = strdup(want->home);
    if (!blob->home)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    blob->size = blob->before.st_size;
    if (want->size >= 0 && want->size != blob->size)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "content-mismatch",
                             "the file has %lld bytes, its row says %lld", (long long)blob->size,
                             (long long)want->size);
    if (mtime_differs(want, &blob->before))
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "content-mismatch",
                             "the file is of %lld, its row (without a checksum) says %lld",
                             (long long)blob->before.st_mtim.tv_sec, (long long)want->mtime);
    return 0;
}

static int
blob_object_open(struct ap_blob *blob, const struct ap_blob_want *want, struct ls_err *err)
{
    if (ap_object_open(want->objects, want->object, &blob->object, err) < 0)
        return -1;
    blob->size = ap_object_size(blob->object);
    if (want->size >= 0 && want->size != blob->size)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "content-mismatch",
                             "the object has %lld bytes, its row says %lld", (long long)blob->size,
                             (long long)want->size);
    return 0;
}

static int
digests_start(struct ap_blob *blob, const struct ap_blob_want *want, struct ls_err *err)
{
    blob->want_sha1 = want->sha1 && *want->sha1;
    blob->want_md5 = want->md5 && *want->md5;
    blob->want_adler32 = want->adler32 && *want->adler32;
    if (blob->want_sha1)
        snprintf(blob->sha1_want, sizeof(blob->sha1_want), "%s", want->sha1);
    if (blob->want_md5)
        snprintf(blob->md5_want, sizeof(blob->md5_want), "%s", want->md5);
    if (blob->want_adler32)
        snprintf(blob->adler32_want, sizeof(blob->adler32_want), "%s", want->adler32);
    blob->adler32 = adler32(0, NULL, 0);
    blob->sha1 = EVP_MD_CTX_new();
    blob->md5 = blob->want_md5 ? EVP_MD_CTX_new() : NULL;
    if (!blob->sha1 || !EVP_DigestInit_ex(blob->sha1, EVP_sha1(), NULL) ||
        (blob->want_md5 && (!blob->md5 || !EVP_DigestInit_ex(blob->md5, EVP_md5(), NULL))))
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "libcrypto cannot start SHA1 or MD5");
    return 0;
}

int
ap_blob_open(const struct ap_blob_want *want, struct ap_blob **ret, struct ls_err *err)
{
    struct ap_blob *blob = calloc(1, sizeof(*blob));

    if (!blob)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    blob->fd = -1;
    if ((want->objects ? blob_object_open(blob, want, err) : blob_file_open(blob, want, err)) < 0 ||
        digests_start(blob, want, err) < 0) {
        ap_blob_close(blob);
        return -1;
    }
    *ret = blob;
    return 0;
}

int64_t
ap_blob_size(const struct ap_blob *blob)
{
    return blob->size;
}

/* ---- reading */
static void
hex_print(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static int
mismatch(const char *what, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "content-mismatch",
                         "the %s of the file is not its row's", what);
}

static int
changed(const char *how, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_RETRY, 0, "content-changed", "the file %s while it was read",
                         how);
}

/* At the end: has the file really ended, and is it what the row says? */
static int
finish(struct ap_blob *blob, struct ls_err *err)
{
    uint8_t sum[EVP_MAX_MD_SIZE], more;
    unsigned n = 0;
    char text[2 * EVP_MAX_MD_SIZE + 1];
    struct stat now;

    if (!blob->object && read(blob->fd, &more, 1) > 0)
        return changed("grew", err);
    if (!EVP_DigestFinal_ex(blob->sha1, sum, &n))
        return ls_fail(err, LS_ERR_RETRY, 0, "libcrypto cannot finish SHA1");
    hex_print(sum, n, text);
    snprintf(blob->sha1_is, sizeof(blob->sha1_is), "%.40s", text);
    if (blob->want_sha1 && strcmp(blob->sha1_is, blob->sha1_want) != 0)
        return mismatch("SHA1", err);
    if (blob->want_md5) {
        if (!EVP_DigestFinal_ex(blob->md5, sum, &n))
            return ls_fail(err, LS_ERR_RETRY, 0, "libcrypto cannot finish MD5");
        hex_print(sum, n, text);
        if (strcmp(text, blob->md5_want) != 0)
            return mismatch("MD5", err);
    }
    if (blob->want_adler32 && strtoul(blob->adler32_want, NULL, 16) != blob->adler32)
        return mismatch("ADLER32", err);
    if (!blob->object && !blob->want_sha1 && !blob->want_md5 && !blob->want_adler32) {
        if (fstat(blob->fd, &now) < 0)
            return file_fail(blob->home, errno, "the file", err);
        if (now.st_size != blob->before.st_size ||
            now.st_mtim.tv_sec != blob->before.st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != blob->before.st_mtim.tv_nsec)
            return changed("changed", err);
    }
    blob->checked = true;
    return 0;
}

/* 1 to n bytes: there are as many left. */
static ssize_t
some_read(struct ap_blob *blob, void *p, size_t n, struct ls_err *err)
{
    ssize_t r;

    if (blob->object) {
        r = ap_object_read(blob->object, p, n, err);
    } else {
        do
            r = read(blob->fd, p, n);
        while (r < 0 && errno == EINTR);
        if (r < 0)
            file_fail(blob->home, errno, "the file", err);
    }
    return r == 0 ? changed("shrank", err) : r;
}

ssize_t
ap_blob_read(struct ap_blob *blob, void *p, size_t n, struct ls_err *err)
{
    int64_t left = blob->size - blob->off;
    size_t want = (int64_t)n < left ? n : (size_t)left, got = 0;

    if (left == 0) {
        if (!blob->checked && finish(blob, err) < 0)
            return -1;
        return 0;
    }
    while (got < want) { /* all of it, so that the last piece is known to be the last */
        ssize_t r = some_read(blob, (char *)p + got, want - got, err);
        if (r < 0)
            return -1;
        got += (size_t)r;
    }
    if (!got)
        return 0;
    if (!EVP_DigestUpdate(blob->sha1, p, got) ||
        (blob->want_md5 && !EVP_DigestUpdate(blob->md5, p, got)))
        return ls_fail(err, LS_ERR_RETRY, 0, "libcrypto cannot go on with SHA1 or MD5");
    blob->adler32 = adler32_z(blob->adler32, p, got);
    blob->off += (int64_t)got;
    if (blob->off == blob->size && finish(blob, err) < 0)
        return -1;
    return (ssize_t)got;
}

const char *
ap_blob_sha1(const struct ap_blob *blob)
{
    return blob->sha1_is;
}

void
ap_blob_close(struct ap_blob *blob)
{
    if (!blob)
        return;
    if (blob->fd >= 0)
        close(blob->fd);
    ap_object_close(blob->object);
    EVP_MD_CTX_free(blob->sha1);
    EVP_MD_CTX_free(blob->md5);
    free(blob->home);
    free(blob);
}

/* ---- where a home is */
struct best_prefix {
    const char *home, *to;
    size_t n;
};

/* A prefix ends where a path's element ends: /data does not match /database. */
static int
prefix_check(void *arg, const char *from, const char *to)
{
    struct best_prefix *best = arg;
    size_t n = strlen(from);

    while (n > 1 && from[n - 1] == '/')
        n--;
    if (n >= best->n && !strncmp(best->home, from, n) &&
        (best->home[n] == '/' || !best->home[n] || (n == 1 && from[0] == '/'))) {
        best->n = n;
        best->to = to;
    }
    return 0;
}

int
ap_home_map(const struct ls_config *config, const char *home, const char *uid, char *out,
            size_t size, struct ls_err *err)
{
    struct best_prefix best = {home, NULL, 0};
    const char *root = ls_config_str(config, "data", "root");
    int n;

    if (home && *home) {
        ls_config_each(config, "map", prefix_check, &best);
        if (best.to)
            n = snprintf(out, size, "%s%s", best.to, best.n == 1 ? home : home + best.n);
        else
            n = snprintf(out, size, "%s", home);
    } else {
        if (!root || !*root)
            return ls_fail_cause(err, LS_ERR_FATAL, 0, "data",
                                 "data.root is not set, and oc_accounts names no home");
        if (!uid || !*uid || strchr(uid, '/') || !strcmp(uid, ".") || !strcmp(uid, ".."))
            return ls_fail_cause(err, LS_ERR_POISON, 0, "outside-home",
                                 "a user's name that is no folder's name");
        n = snprintf(out, size, "%s/%s", root, uid);
    }
    if (n < 0 || (size_t)n >= size || out[0] != '/')
        return ls_fail_cause(err, LS_ERR_POISON, 0, "outside-home",
                             "a home that is not an absolute path, or too long");
    return 0;
}
