/* Casts of a whole column in Arrow's layout; see cast_column.c. */
#ifndef GEARS_CAST_COLUMN_H
#define GEARS_CAST_COLUMN_H

#include "binary_column.h"
#include "cast.h"

/* All zeroed by the caller: `values` length * gears_cast_arrow_width bytes (unused for VARCHAR and BLOB, which keep
 * the input's data), `validity` and `misfits` a bit for each row. */
typedef struct {
    uint8_t *values;
    uint8_t *validity;
    uint8_t *misfits;
    int64_t misfit_count;
} gears_cast_output;

/* Bytes of a value in Arrow's layout: as gears_cast_width, yet 16 for every DECIMAL. */
GEARS_EXPORT size_t gears_cast_arrow_width(const gears_type *type);

/* Casts all rows: BOOLEAN as u8, DECIMAL as 16 little-endian bytes, UUID as its 16 bytes in written order, INTERVAL
 * with nanoseconds, the rest as gears_cast_value. A misfit becomes NULL, sets its bit in `misfits` and is counted; with `stop` it ends the cast, and
 * its row is returned. Returns -1 when all rows were cast. */
GEARS_EXPORT int64_t gears_cast_column(const gears_type *type, const gears_binary_column *in, bool stop,
                                       gears_cast_output *out);

#endif
