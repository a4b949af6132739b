/*
 * How many bytes so many records are, or how many rows so many bytes: by the mean of those seen
 * lately. Estimates, and called so wherever they are shown.
 */
#ifndef LS_ESTIMATE_H
#define LS_ESTIMATE_H

#include <jansson.h>

/* Zeroed: nothing was seen. */
struct ls_mean {
    double sum, n;
};
/* `n` things came, `sum` of something in all; may be 0 of them. Less counts the longer ago it was:
 * by half after each 10,000 things. */
void ls_mean_add(struct ls_mean *mean, double sum, double n);
/* NaN while nothing was seen. */
double ls_mean_of(const struct ls_mean *mean);

/* `n` things of so much each, rounded: 0 of none, whatever each is. NaN: one of the two is not
 * known (NaN, or n below 0). */
double ls_estimate(double n, double each);
/* A whole number; null for NaN. A new reference; NULL: no memory. */
json_t *ls_estimate_json(double estimate);

#endif
