/*
 * What config.c (loading, asking) and cmdline.c (showing) share. Private to common/.
 */
#ifndef LS_CONFIG_PARTS_H
#define LS_CONFIG_PARTS_H

#include "common/config.h"
#include <pthread.h>
#include <stddef.h>

struct config_pair {
    char *key, *value;
};
/* [kafka], [map] or [spaces]: keys that no table knows, in the order they were given. */
struct config_list {
    struct config_pair *pairs;
    size_t n;
};

struct ls_config {
    char **values; /* as text, one a row of ls_options; NULL: unset */
    struct config_list kafka, map, spaces;
    char **topics; /* interned names */
    size_t n_topics;
    pthread_mutex_t lock; /* of topics */
};

/* Is the value of this key of [kafka] to be hidden? */
bool config_kafka_secret(const char *key);

#endif
