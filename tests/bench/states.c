/*
 * states BOOTSTRAP PREFIX PARTITIONS: desired states on <prefix>.cs3.*, as transform would send
 * them.
 *
 * Each line of stdin is one of them, its fields parted by tabs:
 *     user UID
 *     space STORAGE UID
 *     folder FILEID STORAGE PARENT NAME            PARENT -1: the root of the storage
 *     file FILEID STORAGE PARENT NAME SIZE MTIME ETAG SHA1
 *     gone FILEID STORAGE PARENT NAME
 *     share ID FILEID OWNER GRANTEE MOUNT          a folder, to be read
 *     flush                                        prints "flushed" when all is acknowledged
 * The topics must be there. Any failure ends the program with its words.
 */
#include "common/records.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIELDS 9

static rd_kafka_t *rk;
static rd_kafka_topic_t *persons, *spaces, *resources, *shares;
static int partitions;
static int64_t counter;

static void
die(const char *what, const char *why)
{
    (void)fprintf(stderr, "states: %s: %s\n", what, why);
    exit(1);
}

static void
set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        die(key, why);
}

static void
on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *arg)
{
    (void)producer, (void)arg;
    if (message->err)
        die("delivery", rd_kafka_err2str(message->err));
}

static void
connect_to(const char *bootstrap, const char *prefix)
{
    static const char *const names[] = {"person", "space", "resource", "share"};
    rd_kafka_topic_t **const topics[] = {&persons, &spaces, &resources, &shares};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256], name[200];

    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "2");
    set(conf, "queue.buffering.max.messages", "1000000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!rk)
        die("kafka", why);
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof(name), "%s.cs3.%s", prefix, names[i]);
        *topics[i] = rd_kafka_topic_new(rk, name, NULL);
        if (!*topics[i])
            die(name, "no topic");
    }
}

static void
put(rd_kafka_topic_t *topic, int32_t partition, const char *key, const struct cs3_type *type,
    const void *record, struct ls_buf *buf)
{
    struct ls_err err = {0};

    ls_buf_clear(buf);
    if (cs3_encode(type, record, buf, &err) < 0)
        die("encoding", err.msg);
    while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, buf->p, buf->n, key, strlen(key),
                            NULL) < 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(rk, 5);
    }
    rd_kafka_poll(rk, 0);
}

static struct cs3_head
head(enum cs3_kind kind)
{
    struct timespec t;
    int64_t now;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    now = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    return (struct cs3_head){
        .kind = kind, .seq = {1, ++counter, 0}, .source_ts_us = now | 1, .capture_ts_us = now};
}

static int64_t
number(const char *text)
{
    char *end;
    int64_t n = strtoll(text, &end, 10);

    if (end == text || *end)
        die("not a number", text);
    return n;
}

/* folder, file, gone */
static void
node(char **f, int n, struct ls_buf *buf)
{
    bool file = strcmp(f[0], "file") == 0, root = strcmp(f[3], "-1") == 0;
    char id[64];
    struct cs3_resource r = {
        .head = head(strcmp(f[0], "gone") == 0 ? CS3_DELETE : CS3_UPSERT),
        .what = CS3_NODE,
        .fileid = number(f[1]),
        .storage = number(f[2]),
        .parent = number(f[3]),
        .name = ls_str_of(f[4]),
        .class_hint = root ? CS3_CLASS_ROOT : CS3_CLASS_FILES,
        .folder = !file,
        .size = file && n > 5 ? number(f[5]) : -1,
        .mtime = file && n > 6 ? number(f[6]) : 1700000000,
        .etag = ls_str_of(file && n > 7 ? f[7] : "5f3c8a0d9e1b7"),
        .moved_from = LS_NO_STORAGE,
        .moved_to = LS_NO_STORAGE,
        .tree_mtime = LS_NO_STORAGE,
    };

    if (file && n > 8)
        r.sha1 = ls_str_of(f[8]);
    (void)snprintf(id, sizeof(id), "bench$%s!%s", f[2], f[1]);
    r.id = ls_str_of(id);
    put(resources, ls_partition_of_storage(r.storage, partitions), f[1], &cs3_resource_type, &r,
        buf);
}

static void
share(char **f, struct ls_buf *buf)
{
    struct cs3_share s = {.head = head(CS3_UPSERT),
                          .id = number(f[1]),
                          .type = CS3_SHARE_USER,
                          .fileid = number(f[2]),
                          .folder = true,
                          .owner = ls_str_of(f[3]),
                          .creator = ls_str_of(f[3]),
                          .grantee = ls_str_of(f[4]),
                          .permissions = cs3_permissions(1, true, true),
                          .source_permissions = 1,
                          .stime = 1700000000,
                          .state = CS3_SHARE_ACCEPTED,
                          .mount_point = ls_str_of(f[5])};

    put(shares, 0, f[1], &cs3_share_type_, &s, buf);
}

static void
line_take(char *line, struct ls_buf *buf)
{
    static const struct {
        const char *word;
        int least;
    } kinds[] = {{"user", 2}, {"space", 3}, {"folder", 5}, {"file", 5},
                 {"gone", 5}, {"share", 6}, {"flush", 1},  {NULL, 0}};
    char *f[FIELDS] = {NULL}, key[300];
    int n = 0, k = 0;

    line[strcspn(line, "\n")] = '\0';
    while (n < FIELDS && (f[n] = strsep(&line, "\t")) != NULL)
        n++;
    while (kinds[k].word && (n == 0 || strcmp(f[0], kinds[k].word) != 0))
        k++;
    if (!kinds[k].word || n < kinds[k].least)
        die("not understood", n > 0 ? f[0] : "");
    if (k == 0) {
        struct cs3_person p = {.head = head(CS3_UPSERT),
                               .type = CS3_USER,
                               .uid = ls_str_of(f[1]),
                               .display_name = ls_str_of(f[1]),
                               .enabled = true};
        (void)snprintf(key, sizeof(key), "u:%s", f[1]);
        put(persons, 0, key, &cs3_person_type_, &p, buf);
    } else if (k == 1) {
        struct cs3_space s = {.head = head(CS3_UPSERT),
                              .storage = number(f[1]),
                              .type = CS3_SPACE_PERSONAL,
                              .owner = ls_str_of(f[2])};
        put(spaces, 0, f[1], &cs3_space_type_, &s, buf);
    } else if (k <= 4) {
        node(f, n, buf);
    } else if (k == 5) {
        share(f, buf);
    } else {
        if (rd_kafka_flush(rk, 60000))
            die("flush", "not taken within a minute");
        (void)printf("flushed\n");
        (void)fflush(stdout);
    }
}

int
main(int argc, char **argv)
{
    struct ls_buf buf;
    char *line = NULL;
    size_t size = 0;

    if (argc != 4 || (partitions = atoi(argv[3])) < 1)
        die("usage", "states BOOTSTRAP PREFIX PARTITIONS");
    connect_to(argv[1], argv[2]);
    ls_buf_init(&buf, 65536);
    while (getline(&line, &size, stdin) > 0)
        line_take(line, &buf);
    if (rd_kafka_flush(rk, 60000))
        die("flush", "not taken within a minute");
    free(line);
    ls_buf_free(&buf);
    return 0;
}
