/*
 * Means of what was seen lately, and what they are used for.
 *
 * "Lately" is counted in things and not in time, so that an idle night does not make it forget.
 * What can go wrong: bytes that come with no thing at all (a binlog full of tables that nobody
 * watches): they raise the mean of the next ones, as they should.
 */
#include "common/estimate.h"
#include <math.h>

#define WINDOW 20000

void
ls_mean_add(struct ls_mean *mean, double sum, double n)
{
    if (!(sum >= 0) || !(n >= 0))
        return;
    mean->sum += sum;
    mean->n += n;
    while (mean->n > WINDOW) {
        mean->sum /= 2;
        mean->n /= 2;
    }
}

double
ls_mean_of(const struct ls_mean *mean)
{
    return mean->n > 0 ? mean->sum / mean->n : NAN;
}

double
ls_estimate(double n, double each)
{
    if (n < 0 || isnan(n))
        return NAN;
    return n > 0 ? round(n * each) : 0;
}

json_t *
ls_estimate_json(double estimate)
{
    return isfinite(estimate) && fabs(estimate) < 9e18 ? json_integer((json_int_t)estimate)
                                                       : json_null();
}
