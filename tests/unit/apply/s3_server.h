/*
 * A bucket with one object, that answers as it is told: what a real server does on bad days only.
 * (A real one, which checks signatures, is in tests/bed.)
 */
#ifndef S3_SERVER_H
#define S3_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { S3_PLANNED = 16 };

/* What becomes of one request for the object. */
struct s3_plan {
    int status; /* 0: the content */
    const char *code;
    const char *header;   /* one more, with its end of line */
    long cut;             /* > 0: the connection ends after so many bytes of the body */
    bool stall;           /* nothing more comes instead, for as long as the other side waits */
    bool replaced;        /* another content took its place before */
    bool whole;           /* Range is not understood */
    bool no_etag, chunks; /* chunks: no Content-Length */
};

static struct {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a connection did */
    int n_open;
    const char *content;
    size_t n;
    struct s3_plan plan[S3_PLANNED]; /* of the requests for the object, in their order */
    int list_status;
    const char *list_code;
    /* seen */
    int n_objects, n_lists, n_connections;
    char last[4096]; /* the head of the last request for the object */
    char list_path[300];
} s3;

static void
s3_send(int fd, const void *p, size_t n)
{
    const char *at = p;

    while (n > 0) {
        ssize_t w = send(fd, at, n, MSG_NOSIGNAL);
        if (w <= 0)
            return;
        at += w;
        n -= (size_t)w;
    }
}

static const char *
s3_header(const char *head, const char *name)
{
    const char *line = strcasestr(head, name);

    return line ? line + strlen(name) : NULL;
}

static void
s3_error(int fd, int status, const char *code, const char *header)
{
    char body[300], head[600];

    snprintf(body, sizeof(body), "<?xml version=\"1.0\"?><Error><Code>%s</Code></Error>",
             code ? code : "");
    snprintf(head, sizeof(head), "HTTP/1.1 %d Word\r\nContent-Length: %zu\r\n%s\r\n%s", status,
             strlen(body), header ? header : "", body);
    s3_send(fd, head, strlen(head));
}

/* The object as it was when it was asked for: the test may be at its next one while the body is
 * still on its way. False: the connection ends. */
static bool
s3_object(int fd, const char *request, const struct s3_plan *plan, const char *content, size_t size)
{
    const char *range = s3_header(request, "\r\nRange: bytes="),
               *match = s3_header(request, "\r\nIf-Match: "),
               *etag = plan->replaced ? "\"other\"" : "\"first\"";
    size_t from = range && !plan->whole ? (size_t)strtoll(range, NULL, 10) : 0, n = size - from;
    char head[600], length[64] = "", place[100] = "";

    if (plan->status) {
        s3_error(fd, plan->status, plan->code, plan->header);
        return true;
    }
    if (match && strncmp(match, etag, strlen(etag)) != 0) {
        s3_error(fd, 412, "PreconditionFailed", NULL);
        return true;
    }
    if (from > 0)
        snprintf(place, sizeof(place), "Content-Range: bytes %zu-%zu/%zu\r\n", from, size - 1,
                 size);
    snprintf(length, sizeof(length),
             plan->chunks ? "Connection: close\r\n" : "Content-Length: %zu\r\n", n);
    snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%s%s%s%s%s\r\n", from > 0 ? "206 Part" : "200 OK",
             length, place, plan->no_etag ? "" : "ETag: ", plan->no_etag ? "" : etag,
             plan->no_etag ? "" : "\r\n");
    s3_send(fd, head, strlen(head));
    if (plan->cut > 0 && (size_t)plan->cut < n)
        n = (size_t)plan->cut;
    s3_send(fd, content + from, n);
    if (plan->stall) {
        char c;
        while (recv(fd, &c, 1, 0) > 0)
            ;
    }
    return plan->cut == 0 && !plan->chunks;
}

static void *
s3_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char request[4096];
    struct s3_plan plan;
    bool go_on = true, list;
    const char *content, *code;
    size_t n = 0, size;
    int status;

    while (go_on) {
        for (n = 0; n < sizeof(request) - 1; n++) {
            if (recv(fd, request + n, 1, 0) <= 0)
                goto out;
            request[n + 1] = '\0';
            if (n > 3 && !strcmp(request + n - 3, "\r\n\r\n"))
                break;
        }
        pthread_mutex_lock(&s3.lock);
        list = strstr(request, "?max-keys=1 ") != NULL;
        if (list) {
            s3.n_lists++;
            snprintf(s3.list_path, sizeof(s3.list_path), "%.*s", (int)strcspn(request, "\r"),
                     request);
        } else {
            memcpy(s3.last, request, sizeof(s3.last));
            plan = s3.plan[s3.n_objects < S3_PLANNED ? s3.n_objects : S3_PLANNED - 1];
            s3.n_objects++;
        }
        content = s3.content;
        size = s3.n;
        status = s3.list_status;
        code = s3.list_code;
        pthread_mutex_unlock(&s3.lock);
        if (list)
            s3_error(fd, status, code, NULL);
        else
            go_on = s3_object(fd, request, &plan, content, size);
    }
out:
    close(fd);
    pthread_mutex_lock(&s3.lock);
    s3.n_open--;
    pthread_cond_signal(&s3.ended);
    pthread_mutex_unlock(&s3.lock);
    return NULL;
}

static void *
s3_accept(void *arg)
{
    pthread_t thread;
    int fd;

    (void)arg;
    while ((fd = accept(s3.fd, NULL, NULL)) >= 0) {
        pthread_mutex_lock(&s3.lock);
        s3.n_connections++;
        s3.n_open++;
        pthread_mutex_unlock(&s3.lock);
        if (pthread_create(&thread, NULL, s3_connection, (void *)(intptr_t)fd) != 0)
            abort();
        pthread_detach(thread);
    }
    return NULL;
}

static int
s3_start(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);

    (void)state;
    pthread_mutex_init(&s3.lock, NULL);
    pthread_cond_init(&s3.ended, NULL);
    s3.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s3.fd < 0 || bind(s3.fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(s3.fd, 16) < 0 ||
        getsockname(s3.fd, (struct sockaddr *)&at, &len) < 0)
        return -1;
    s3.port = ntohs(at.sin_port);
    return pthread_create(&s3.thread, NULL, s3_accept, NULL);
}

/* When those who asked have hung up: a body may still be on its way to one of them, and its content
 * is the test's own. */
static int
s3_stop(void **state)
{
    (void)state;
    shutdown(s3.fd, SHUT_RDWR);
    pthread_join(s3.thread, NULL);
    close(s3.fd);
    pthread_mutex_lock(&s3.lock);
    while (s3.n_open > 0)
        pthread_cond_wait(&s3.ended, &s3.lock);
    pthread_mutex_unlock(&s3.lock);
    return 0;
}

/* Another object; no plans, nothing seen. */
static void
s3_reset(const char *content, size_t n)
{
    pthread_mutex_lock(&s3.lock);
    s3.content = content;
    s3.n = n;
    memset(s3.plan, 0, sizeof(s3.plan));
    s3.list_status = 200;
    s3.list_code = NULL;
    s3.n_objects = s3.n_lists = s3.n_connections = 0;
    pthread_mutex_unlock(&s3.lock);
}

#endif
