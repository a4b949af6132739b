/*
 * lockstep-capture: the command line, and the libraries' beginning and end.
 */
#include "capture/loop.h"
#include "common/config.h"
#include "common/log.h"
#include "common/run.h"
#include <malloc.h>
#include <mysql.h>
#include <stdio.h>
#include <string.h>

#define KEEP_FREE (32 << 20)
#define MAP_LARGE (2 << 20)

int
main(int argc, char **argv)
{
    static const char *const extra[] = {"--snapshot", NULL};
    bool given[1] = {false};
    struct ls_config *config = NULL;
    struct ls_err err = {0};
    int status = LS_EXIT_OK;
    int r = ls_config_main(argc, argv, "lockstep-capture", extra, given, &config, &status, &err);

    if (r > 0)
        return status;
    if (r < 0) {
        (void)fprintf(stderr, "lockstep-capture: %s\n", err.msg);
        return status;
    }
    const char *mode = ls_config_str(config, "capture", "snapshot");
    if (strcmp(mode, "initial") != 0 && strcmp(mode, "always") != 0 && strcmp(mode, "never") != 0) {
        (void)fprintf(stderr, "lockstep-capture: capture.snapshot is initial, always or never\n");
        ls_config_free(config);
        return LS_EXIT_USAGE;
    }
    ls_run_signals();
    /* librdkafka's queue fills and drains with every Kafka transaction: to give its memory back to
     * the kernel each time costs a sixth of all that sending takes */
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_FREE);
    (void)mallopt(M_MMAP_THRESHOLD, MAP_LARGE);
    if (mysql_library_init(0, NULL, NULL) != 0) {
        (void)fprintf(stderr, "lockstep-capture: libmariadb does not start\n");
        ls_config_free(config);
        return LS_EXIT_FAILURE;
    }
    ls_log(LS_INFO, "start", LS_S("version", LS_VERSION),
           LS_S("source", ls_config_str(config, "source", "host")),
           LS_I("port", ls_config_int(config, "source", "port")));
    status = cap_run(config, given[0]);
    mysql_library_end();
    ls_config_free(config);
    return status;
}
