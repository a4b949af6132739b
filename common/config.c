/*
 * Loading the configuration: defaults, file, credentials, environment, --set.
 *
 * Every value goes through one function, which knows where it comes from, so
 * that each error names file and line, variable or argument. What can go wrong:
 * a typing error in a key (an error, never ignored), a number out of range, a
 * secret's file that cannot be read, a librdkafka option that Lockstep's promises
 * rest on (all FATAL); no descriptor or no memory at this moment (RETRY). inih skips
 * over bad lines and counts only the lines that it knows, so lines are counted, and
 * their length is checked, where they are read.
 */
#include "common/config.h"
#include "common/config_parts.h"
#include "common/kafka.h"
#include "common/log.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PATH "/etc/lockstep/lockstep.conf"
#define DEFAULT_CREDENTIALS "/etc/lockstep/credentials"
#define LINE_SIZE 8192
#define SECRET_SIZE 4096
#define ENV_PREFIX "LOCKSTEP_"

extern char **environ;

static size_t
option_count(void)
{
    size_t n = 0;

    while (ls_options[n].section)
        n++;
    return n;
}

static int
no_memory(struct ls_err *err)
{
    return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
}

/* Whether the machine lacks now what it may have at the next start. All else that a file is not
 * read for is wrong until a person mends it. */
static bool
is_lack(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO;
}

static enum ls_err_kind
kind_of(int error)
{
    return is_lack(error) ? LS_ERR_RETRY : LS_ERR_FATAL;
}

/* ---- setting one value */

static int
replace(char **where, const char *value, struct ls_err *err)
{
    char *copy = strdup(value);

    if (!copy)
        return no_memory(err);
    free(*where);
    *where = copy;
    return 0;
}

static int
list_set(struct config_list *list, const char *key, const char *value, struct ls_err *err)
{
    struct config_pair *pairs;

    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->pairs[i].key, key) == 0)
            return replace(&list->pairs[i].value, value, err);
    }
    pairs = realloc(list->pairs, (list->n + 1) * sizeof(*pairs));
    if (!pairs)
        return no_memory(err);
    list->pairs = pairs;
    pairs[list->n] = (struct config_pair){strdup(key), strdup(value)};
    if (!pairs[list->n].key || !pairs[list->n].value) {
        free(pairs[list->n].key);
        free(pairs[list->n].value);
        return no_memory(err);
    }
    list->n++;
    return 0;
}

/* The content of a secret's file, without the newline at its end. */
static int
secret_read(const char *path, char out[SECRET_SIZE], const char *where, struct ls_err *err)
{
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return ls_fail(err, kind_of(errno), errno, "%s: cannot open %s: %s", where, path,
                       strerror(errno));
    n = fread(out, 1, SECRET_SIZE, f);
    if (ferror(f) || n == SECRET_SIZE || memchr(out, '\0', n)) {
        fclose(f);
        return ls_fail(err, LS_ERR_FATAL, EINVAL,
                       "%s: %s is not readable as a secret (text of less than %d bytes)", where,
                       path, SECRET_SIZE);
    }
    fclose(f);
    if (n > 0 && out[n - 1] == '\n')
        n--;
    if (n > 0 && out[n - 1] == '\r')
        n--;
    out[n] = '\0';
    return 0;
}

static bool
bool_parse(const char *text, bool *ret)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        for (int b = 0; b < 2; b++) {
            if (strcasecmp(text, words[i][b]) == 0) {
                *ret = b;
                return true;
            }
        }
    }
    return false;
}

static bool
int_parse(const char *text, int64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0;
}

static int
value_check(const struct ls_option *o, const char *value, const char *where, struct ls_err *err)
{
    enum ls_log_level level;
    int64_t i;
    bool b;

    if (o->type == LS_OPT_BOOL && !bool_parse(value, &b))
        return ls_fail(err, LS_ERR_FATAL, EINVAL, "%s: %s.%s is true or false, not \"%.60s\"",
                       where, o->section, o->key, value);
    if (o->type == LS_OPT_INT && !int_parse(value, &i))
        return ls_fail(err, LS_ERR_FATAL, EINVAL, "%s: %s.%s is a number, not \"%.60s\"", where,
                       o->section, o->key, value);
    if (o->type == LS_OPT_INT && (o->min || o->max) && (i < o->min || i > o->max))
        return ls_fail(err, LS_ERR_FATAL, ERANGE,
                       "%s: %s.%s is from %" PRId64 " to %" PRId64 ", not %" PRId64, where,
                       o->section, o->key, o->min, o->max, i);
    if (strcmp(o->section, "log") == 0 && strcmp(o->key, "level") == 0 &&
        ls_log_level_parse(value, &level) < 0)
        return ls_fail(err, LS_ERR_FATAL, EINVAL,
                       "%s: log.level is debug, info, warn or error, not \"%.60s\"", where, value);
    return 0;
}

/* The key without "_file" into `out`, when it has that ending. */
static bool
file_key(const char *key, char *out, size_t size)
{
    size_t n = strlen(key);

    if (n <= 5 || n - 5 >= size || strcmp(key + n - 5, "_file") != 0)
        return false;
    memcpy(out, key, n - 5);
    out[n - 5] = '\0';
    return true;
}

bool
config_kafka_secret(const char *key)
{
    return strstr(key, "password") || strstr(key, "secret") || strcmp(key, "ssl.key.pem") == 0 ||
           strcmp(key, "sasl.oauthbearer.config") == 0;
}

static int
kafka_set(struct ls_config *c, const char *key, const char *value, const char *where,
          struct ls_err *err)
{
    char secret[SECRET_SIZE], base[128], why[160];

    if (file_key(key, base, sizeof(base)) && config_kafka_secret(base)) {
        if (secret_read(value, secret, where, err) < 0)
            return -1;
        key = base;
        value = secret;
    }
    if (ls_kafka_option_check(key, value, why, sizeof(why)) < 0)
        return ls_fail(err, LS_ERR_FATAL, EINVAL, "%s: [kafka] %s: %s", where, key, why);
    return list_set(&c->kafka, key, value, err);
}

static int
option_set(struct ls_config *c, const char *section, const char *key, const char *value,
           const char *where, struct ls_err *err)
{
    char secret[SECRET_SIZE], base[128];
    bool is_file = file_key(key, base, sizeof(base));
    bool known_section = false;

    if (strcmp(section, "kafka") == 0)
        return kafka_set(c, key, value, where, err);
    if (strcmp(section, "map") == 0) {
        if (key[0] != '/' || value[0] != '/')
            return ls_fail(err, LS_ERR_FATAL, EINVAL,
                           "%s: [map] takes absolute paths, not \"%.60s = %.60s\"", where, key,
                           value);
        return list_set(&c->map, key, value, err);
    }
    if (strcmp(section, "spaces") == 0) {
        if (!key[0] || !strchr(value, ',') || value[0] == ',' || !strchr(value, ',')[1])
            return ls_fail(err, LS_ERR_FATAL, EINVAL,
                           "%s: [spaces] takes NAME = OWNER, STORAGE, not \"%.60s = %.60s\"", where,
                           key, value);
        return list_set(&c->spaces, key, value, err);
    }
    for (size_t i = 0; ls_options[i].section; i++) {
        const struct ls_option *o = &ls_options[i];

        if (strcmp(o->section, section) != 0)
            continue;
        known_section = true;
        if (o->secret && is_file && strcmp(o->key, base) == 0) {
            if (secret_read(value, secret, where, err) < 0)
                return -1;
            return replace(&c->values[i], secret, err);
        }
        if (strcmp(o->key, key) == 0) {
            if (value_check(o, value, where, err) < 0)
                return -1;
            return replace(&c->values[i], value, err);
        }
    }
    if (!known_section)
        return ls_fail(err, LS_ERR_FATAL, EINVAL, "%s: unknown section [%.60s]", where, section);
    return ls_fail(err, LS_ERR_FATAL, EINVAL, "%s: unknown key \"%.60s\" in [%s]", where, key,
                   section);
}

/* ---- the file */

struct reading {
    struct ls_config *config;
    FILE *f;
    const char *path;
    int line, long_line;
    struct ls_err *err;
    bool failed;
};

static char *
line_read(char *buf, int size, void *arg)
{
    struct reading *r = arg;
    char *got = fgets(buf, size, r->f);

    if (!got)
        return NULL;
    r->line++;
    if (strlen(got) + 2 >= (size_t)size && !r->long_line)
        r->long_line = r->line;
    return got;
}

static int
on_value(void *arg, const char *section, const char *key, const char *value)
{
    struct reading *r = arg;
    char where[200];

    if (r->failed)
        return 0;
    snprintf(where, sizeof(where), "%s:%d", r->path, r->line);
    if (option_set(r->config, section, key, value, where, r->err) < 0)
        r->failed = true;
    return !r->failed;
}

static int
file_load(struct ls_config *c, const char *path, bool must_exist, struct ls_err *err)
{
    struct reading r = {.config = c, .path = path, .err = err};
    int bad;

    r.f = fopen(path, "re");
    if (!r.f && errno == ENOENT && !must_exist)
        return 0;
    if (!r.f)
        return ls_fail(err, kind_of(errno), errno, "cannot open %s: %s", path, strerror(errno));
    /* A password may hold " ;", and an indented key is a key, not the rest of the line above. */
    ini_allow_inline_comments = false;
    ini_allow_multiline = false;
    ini_use_stack = false;
    ini_max_line = ini_initial_alloc = LINE_SIZE;
    bad = ini_parse_stream(line_read, &r, on_value, &r);
    fclose(r.f);
    if (r.long_line && (!r.failed || r.long_line < r.line))
        return ls_fail(err, LS_ERR_FATAL, EINVAL, "%s:%d: the line is too long", path, r.long_line);
    if (r.failed)
        return -1;
    if (bad == -2)
        return no_memory(err);
    if (bad != 0)
        return ls_fail(err, LS_ERR_FATAL, EINVAL, "%s:%d: neither [section] nor key = value", path,
                       bad);
    return 0;
}

/* ---- credentials */

static bool
section_known(const char *section)
{
    if (strcmp(section, "kafka") == 0)
        return true;
    for (size_t i = 0; ls_options[i].section; i++) {
        if (strcmp(ls_options[i].section, section) == 0)
            return true;
    }
    return false;
}

/* One file of the folder: "source.password" holds that option. Other names are somebody else's;
 * an empty line is our units' stand-in for a credential that is not there. */
static int
credential_load(struct ls_config *c, const char *folder, const char *name, struct ls_err *err)
{
    char path[PATH_MAX], section[64], value[SECRET_SIZE];
    const char *dot = strchr(name, '.');

    if (!dot || dot == name || (size_t)(dot - name) >= sizeof(section))
        return 0;
    snprintf(section, sizeof(section), "%.*s", (int)(dot - name), name);
    if (!section_known(section) ||
        snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return 0;
    if (secret_read(path, value, "credential", err) < 0)
        return -1;
    if (!*value)
        return 0;
    return option_set(c, section, dot + 1, value, path, err);
}

/* What systemd hands over (LoadCredential=), or the folder that it takes them from. */
static int
credentials_load(struct ls_config *c, const char *fallback, struct ls_err *err)
{
    const char *given = getenv("CREDENTIALS_DIRECTORY");
    const char *folder = given && *given ? given : fallback;
    DIR *dir = folder ? opendir(folder) : NULL;
    const struct dirent *entry;
    int r = 0;

    if (!dir) /* nobody but root may look into the fallback: others give their secrets otherwise */
        return folder && (folder == given || is_lack(errno))
                   ? ls_fail(err, kind_of(errno), errno, "credentials: cannot open %s: %s", folder,
                             strerror(errno))
                   : 0;
    while (r == 0 && (entry = readdir(dir)))
        r = credential_load(c, folder, entry->d_name, err);
    closedir(dir);
    return r;
}

/* ---- environment and arguments */

static int
option_from_env(struct ls_config *c, const struct ls_option *o, const char *suffix,
                struct ls_err *err)
{
    char name[128], key[96];
    const char *value;

    snprintf(name, sizeof(name), ENV_PREFIX "%s_%s%s", o->section, o->key, suffix);
    for (char *p = name; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    value = getenv(name);
    if (!value)
        return 0;
    snprintf(key, sizeof(key), "%s%s", o->key, *suffix ? "_file" : "");
    return option_set(c, o->section, key, value, name, err);
}

/* LOCKSTEP_KAFKA_SASL_PASSWORD_FILE -> sasl.password_file, else every underscore is a dot. */
static int
kafka_from_env(struct ls_config *c, const char *variable, struct ls_err *err)
{
    const char *equals = strchr(variable, '=');
    const char *start = variable + strlen(ENV_PREFIX "KAFKA_");
    char key[128], name[160];
    size_t n;

    if (!equals || equals < start || (size_t)(equals - start) >= sizeof(key))
        return 0;
    n = (size_t)(equals - start);
    snprintf(name, sizeof(name), "%.*s", (int)(equals - variable), variable);
    for (size_t i = 0; i < n; i++)
        key[i] = start[i] == '_' ? '.' : (char)tolower((unsigned char)start[i]);
    key[n] = '\0';
    if (n > 5 && strcmp(key + n - 5, ".file") == 0 && config_kafka_secret(key))
        key[n - 5] = '_';
    return kafka_set(c, key, equals + 1, name, err);
}

static int
env_load(struct ls_config *c, struct ls_err *err)
{
    for (size_t i = 0; ls_options[i].section; i++) {
        if (option_from_env(c, &ls_options[i], "", err) < 0)
            return -1;
        if (ls_options[i].secret && option_from_env(c, &ls_options[i], "_file", err) < 0)
            return -1;
    }
    for (char **e = environ; *e; e++) {
        if (strncmp(*e, ENV_PREFIX "KAFKA_", strlen(ENV_PREFIX "KAFKA_")) == 0 &&
            kafka_from_env(c, *e, err) < 0)
            return -1;
    }
    return 0;
}

/* "section.key=value"; a key may hold dots. */
static int
set_load(struct ls_config *c, const char *set, struct ls_err *err)
{
    const char *dot = strchr(set, '.');
    const char *equals = dot ? strchr(dot, '=') : NULL;
    char section[64], key[256];

    if (!equals || (size_t)(dot - set) >= sizeof(section) ||
        (size_t)(equals - dot - 1) >= sizeof(key))
        return ls_fail(err, LS_ERR_FATAL, EINVAL, "--set takes section.key=value");
    snprintf(section, sizeof(section), "%.*s", (int)(dot - set), set);
    snprintf(key, sizeof(key), "%.*s", (int)(equals - dot - 1), dot + 1);
    return option_set(c, section, key, equals + 1, "--set", err);
}

int
ls_config_load(const char *path, char *const *sets, size_t n_sets, struct ls_config **ret,
               struct ls_err *err)
{
    struct ls_config *c = calloc(1, sizeof(*c));

    if (!c)
        return no_memory(err);
    pthread_mutex_init(&c->lock, NULL);
    c->values = calloc(option_count() + 1, sizeof(*c->values));
    if (!c->values) {
        no_memory(err);
        goto fail;
    }
    for (size_t i = 0; ls_options[i].section; i++) {
        if (ls_options[i].fallback && replace(&c->values[i], ls_options[i].fallback, err) < 0)
            goto fail;
    }
    if (file_load(c, path ? path : DEFAULT_PATH, path != NULL, err) < 0 ||
        credentials_load(c, path ? NULL : DEFAULT_CREDENTIALS, err) < 0 || env_load(c, err) < 0)
        goto fail;
    for (size_t i = 0; i < n_sets; i++) {
        if (set_load(c, sets[i], err) < 0)
            goto fail;
    }
    *ret = c;
    return 0;
fail:
    ls_config_free(c);
    return -1;
}

static void
list_free(struct config_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->pairs[i].key);
        free(list->pairs[i].value);
    }
    free(list->pairs);
}

void
ls_config_free(struct ls_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; config->values && ls_options[i].section; i++)
        free(config->values[i]);
    free(config->values);
    list_free(&config->kafka);
    list_free(&config->map);
    list_free(&config->spaces);
    for (size_t i = 0; i < config->n_topics; i++)
        free(config->topics[i]);
    free(config->topics);
    pthread_mutex_destroy(&config->lock);
    free(config);
}

/* ---- asking */

static const char *
value_of(const struct ls_config *c, const char *section, const char *key, enum ls_option_type type)
{
    for (size_t i = 0; ls_options[i].section; i++) {
        const struct ls_option *o = &ls_options[i];

        if (strcmp(o->section, section) == 0 && strcmp(o->key, key) == 0 && o->type == type)
            return c->values[i];
    }
    fprintf(stderr, "bug: there is no option %s.%s of this type\n", section, key);
    abort();
}

const char *
ls_config_str(const struct ls_config *config, const char *section, const char *key)
{
    return value_of(config, section, key, LS_OPT_STR);
}

int64_t
ls_config_int(const struct ls_config *config, const char *section, const char *key)
{
    const char *value = value_of(config, section, key, LS_OPT_INT);
    int64_t i = 0;

    if (value)
        int_parse(value, &i);
    return i;
}

bool
ls_config_bool(const struct ls_config *config, const char *section, const char *key)
{
    const char *value = value_of(config, section, key, LS_OPT_BOOL);
    bool b = false;

    if (value)
        bool_parse(value, &b);
    return b;
}

int
ls_config_require(const struct ls_config *config, const char *section, const char *key,
                  const char **ret, struct ls_err *err)
{
    const char *value = value_of(config, section, key, LS_OPT_STR);

    if (!value || !*value)
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "config",
                             "option \"%s\" of section [%s] is not set", key, section);
    *ret = value;
    return 0;
}

int
ls_config_each(const struct ls_config *config, const char *section,
               int (*each)(void *arg, const char *key, const char *value), void *arg)
{
    const struct config_list *list = strcmp(section, "kafka") == 0    ? &config->kafka
                                     : strcmp(section, "spaces") == 0 ? &config->spaces
                                                                      : &config->map;
    int r = 0;

    for (size_t i = 0; i < list->n && r == 0; i++)
        r = each(arg, list->pairs[i].key, list->pairs[i].value);
    return r;
}

const char *
ls_config_topic(const struct ls_config *config, const char *suffix)
{
    /* The names are a cache behind a const face; the lock is what makes that true for threads. */
    struct ls_config *c = (struct ls_config *)config;
    const char *prefix = ls_config_str(config, "lockstep", "prefix");
    size_t n = strlen(prefix);
    const char *ret = NULL;
    char **topics;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->n_topics && !ret; i++) {
        if (strcmp(c->topics[i] + n + 1, suffix) == 0)
            ret = c->topics[i];
    }
    if (!ret) {
        topics = realloc(c->topics, (c->n_topics + 1) * sizeof(*topics));
        if (!topics || asprintf(&topics[c->n_topics], "%s.%s", prefix, suffix) < 0)
            abort(); /* a few dozen bytes at start-up */
        c->topics = topics;
        ret = topics[c->n_topics++];
    }
    pthread_mutex_unlock(&c->lock);
    return ret;
}
