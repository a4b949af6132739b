/*
 * What is asked of row images: equal, key changed, secret, fit to be sent. No I/O.
 */
#ifndef CAP_IMAGES_H
#define CAP_IMAGES_H

#include "capture/binlog/decode.h"
#include "common/arena.h"

/* A bit for each column that differs, as the source holds it (before any mask). */
uint32_t cap_image_changes(const struct ls_table *table, const struct ls_value *before,
                           const struct ls_value *after);
bool cap_image_key_changes(const struct ls_table *table, uint32_t changes);
/* oc_preferences: only files/quota is carried. NULL is not watched. */
bool cap_preference_watched(const struct cap_image *image);
/* A link's password hash becomes LS_MASKED. */
void cap_image_mask(const struct ls_table *table, struct ls_value *values);
/* oc_share.token becomes ABSENT where the row's kind (link, federated) is not to be carried; of a
 * row without a kind, unless both are. */
void cap_image_hide_token(const struct ls_table *table, struct ls_value *values, bool links,
                          bool federated);
/* Whether the table has columns that the two above are about. */
bool cap_image_may_hide(const struct ls_table *table);
/* What is neither a key nor changed is ABSENT in `to`, and so is what is neither a key nor UTF-8.
 * `from` may be `to`. */
void cap_image_take_changed(const struct ls_table *table, uint32_t changes,
                            const struct ls_value *from, struct ls_value *to);
/* The columns that a delete lives by: keys, and the storage that says the partition. */
bool cap_image_has_place(const struct ls_table *table, const struct ls_value *values);
/* POISON, cause "invalid-utf8", naming the column. */
int cap_image_check_keys(const struct ls_table *table, const struct ls_value *values,
                         struct ls_err *err);
int cap_image_check_text(const struct ls_table *table, const struct ls_value *values,
                         struct ls_err *err);
/* Text that is not UTF-8 becomes text in which the odd bytes stand as \xNN. */
int cap_image_escape(const struct ls_table *table, struct ls_value *values, struct ls_arena *arena);
void cap_image_keys_only(const struct ls_table *table, struct ls_value *before,
                         struct ls_value *after);

#endif
