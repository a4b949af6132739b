/*
 * The list of hosts, and the place in it.
 *
 * The place is this process's own and lies here, not with a connection: the dump, the snapshot's
 * reader and what asks for the binlog's margin must all come out at one server. What can go wrong:
 * a text that is no list, which is an error at the start and never later.
 */
#include "capture/source/hosts.h"
#include "common/buf.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t current; /* counts on; the host is its rest */
static atomic_size_t good;    /* its value when a host last served */

static int
fail_host(struct ls_err *err, const char *p, size_t n, const char *why)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "usage", "source.host: %.*s: %s",
                         (int)(n > 80 ? 80 : n), p, why);
}

static int
parse_port(const char *p, size_t n, unsigned *ret)
{
    unsigned long port = 0;

    if (n == 0 || n > 5)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        port = port * 10 + (unsigned long)(p[i] - '0');
    }
    if (port == 0 || port > 65535)
        return -1;
    *ret = (unsigned)port;
    return 0;
}

/* "name", "name:port", "[address]", "[address]:port", or an address with colons and no port. */
static int
parse_host(const char *p, size_t n, struct cap_host *ret, struct ls_err *err)
{
    const char *end = p + n, *name = p, *colon = memchr(p, ':', n);
    size_t length = n;

    if (n > 0 && p[0] == '[') {
        const char *close = memchr(p, ']', n);
        if (!close || (close + 1 < end && close[1] != ':'))
            return fail_host(err, p, n, "an address in brackets ends with ] or ]:port");
        name = p + 1;
        length = (size_t)(close - name);
        colon = close + 1 < end ? close + 1 : NULL;
    } else if (colon && memchr(colon + 1, ':', (size_t)(end - colon - 1))) {
        colon = NULL;
    } else if (colon) {
        length = (size_t)(colon - p);
    }
    if (length == 0 || length >= sizeof(ret->name))
        return fail_host(err, p, n, "a host's name is missing or too long");
    if (colon && parse_port(colon + 1, (size_t)(end - colon - 1), &ret->port) < 0)
        return fail_host(err, p, n, "the port is a number from 1 to 65535");
    memcpy(ret->name, name, length);
    ret->name[length] = '\0';
    return 0;
}

int
cap_hosts_parse(const char *text, unsigned port, struct cap_hosts *ret, struct ls_err *err)
{
    struct cap_hosts hosts = {0};
    const char *p = text ? text : "";

    for (;;) {
        size_t n = strcspn(p, ","), blank = strspn(p, " ");
        const char *next = p[n] ? p + n + 1 : NULL;
        size_t length = n - (blank < n ? blank : n);
        if (hosts.n == CAP_HOSTS)
            return fail_host(err, p, n, "too many hosts");
        p += n - length;
        while (length > 0 && p[length - 1] == ' ')
            length--;
        hosts.host[hosts.n].port = port;
        if (parse_host(p, length, &hosts.host[hosts.n], err) < 0)
            return -1;
        hosts.n++;
        if (!next)
            break;
        p = next;
    }
    *ret = hosts;
    return 0;
}

static int
parse_config(const struct ls_config *config, struct cap_hosts *ret, struct ls_err *err)
{
    return cap_hosts_parse(ls_config_str(config, "source", "host"),
                           (unsigned)ls_config_int(config, "source", "port"), ret, err);
}

int
cap_hosts_current(const struct ls_config *config, struct cap_host *ret, struct ls_err *err)
{
    struct cap_hosts hosts;

    if (parse_config(config, &hosts, err) < 0)
        return -1;
    *ret = hosts.host[atomic_load(&current) % hosts.n];
    return 0;
}

size_t
cap_hosts_count(const struct ls_config *config)
{
    struct cap_hosts hosts;

    return parse_config(config, &hosts, NULL) == 0 ? hosts.n : 0;
}

size_t
cap_hosts_left(const struct ls_config *config)
{
    struct cap_hosts hosts;

    if (parse_config(config, &hosts, NULL) < 0)
        return 0;
    return hosts.n - 1 - (atomic_load(&current) - atomic_load(&good)) % hosts.n;
}

void
cap_hosts_next(void)
{
    (void)atomic_fetch_add(&current, 1);
}

void
cap_hosts_good(void)
{
    atomic_store(&good, atomic_load(&current));
}
