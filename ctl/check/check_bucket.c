/*
 * check: ownCloud's bucket, as this host sees it.
 *
 * It is apply's host where this must pass. Reading an object cannot be tried: which ones there are
 * is not known before the rows are; a list of one object says that address, keys, region,
 * certificate and clock are right.
 */
#include "apply/content/objects.h"
#include "ctl/check/check.h"
#include <string.h>

static const char *
what_to_do(const char *cause)
{
    if (strcmp(cause, "bucket-refused") == 0)
        return "check [data] s3_bucket, s3_region, s3_ca and the keys, that they may list the "
               "bucket (s3:ListBucket) and get objects (s3:GetObject), and this machine's clock";
    if (strcmp(cause, "bucket-slow") == 0)
        return "the server is busy: try again";
    return "check [data] s3_endpoint, and that the server can be reached from here";
}

void
check_bucket(struct check *check)
{
    const char *bucket = ls_config_str(check->config, "data", "s3_bucket");
    struct ap_objects *objects = NULL;
    struct ls_err err = {0};
    long long homes =
        check_count(check, "homes in an object store",
                    "SELECT COUNT(*) FROM {p}storages WHERE id LIKE 'object::user:%'");

    if (ap_objects_new(check->config, &objects, &err) < 0) {
        ctl_line(check->lines, CTL_FAIL, "data", "set [data] s3_*", "%s", err.msg);
        return;
    }
    if (!objects && homes > 0)
        ctl_line(check->lines, CTL_FAIL, "data",
                 "set [data] s3_endpoint, s3_bucket and the keys, by which their content is read",
                 "%lld homes lie in an object store", homes);
    if (!objects)
        return;
    if (ap_objects_check(objects, &err) < 0)
        ctl_line(check->lines, CTL_FAIL, "data", what_to_do(err.cause), "bucket %s: %s", bucket,
                 err.msg);
    else if (homes == 0)
        ctl_line(check->lines, CTL_WARN, "data", NULL,
                 "bucket %s can be listed, and no home lies in an object store", bucket);
    else if (homes > 0)
        ctl_line(check->lines, CTL_PASS, "data", NULL,
                 "bucket %s can be listed; %lld homes lie in an object store", bucket, homes);
    else
        ctl_line(check->lines, CTL_PASS, "data", NULL, "bucket %s can be listed", bucket);
    ap_objects_free(objects);
}
