/* Key templates over a whole column of keys; see pattern_column.c. */
#ifndef GEARS_PATTERN_COLUMN_H
#define GEARS_PATTERN_COLUMN_H

#include "binary_column.h"
#include "pattern.h"

/* Room from the caller: `matched` a zeroed bit for each key; for each placeholder offsets (one more than keys) and data
 * (as many bytes as all keys have); `texts` a slice for each placeholder, scratch. */
typedef struct {
    uint8_t *matched;
    int32_t **offsets;
    char **data;
    gears_slice *texts;
} gears_captures;

/* Writes the texts that each placeholder takes from the keys, as Arrow binary arrays; a key that does not match (or is
 * NULL) has '' for all. Returns how many keys matched, -1 if the template is refused (gears_pattern_template). The keys
 * have less than 2^31 bytes in all. */
GEARS_EXPORT int64_t gears_pattern_captures(const gears_slice *literals, size_t count, const gears_binary_column *keys,
                                            gears_captures *out);

#endif
