/* Casts of a whole column in Arrow's layout, for the portable reader (gearsql/native.py, through ctypes, in the
 * client's process). The scan casts value by value into DuckDB's vectors and does not come here. */
#include "cast_column.h"

#include <string.h>

#include "cast_parts.h"

/* DuckDB's layout in `slot` → Arrow's: decimals grow to 16 bytes, a UUID is its 16 bytes in written order, an
 * INTERVAL counts nanoseconds, which its cast leaves room for. */
static void to_arrow(const gears_type *type, uint8_t *slot) {
    if (type->kind == GEARS_DECIMAL) {
        size_t width = gears_cast_width(type);
        memset(slot + width, slot[width - 1] & 0x80 ? 0xFF : 0, 16 - width);
    } else if (type->kind == GEARS_UUID) {
        uint64_t lower, upper;
        memcpy(&lower, slot, 8);
        memcpy(&upper, slot + 8, 8);
        upper = __builtin_bswap64(upper ^ UINT64_C(1) << 63);
        lower = __builtin_bswap64(lower);
        memcpy(slot, &upper, 8);
        memcpy(slot + 8, &lower, 8);
    } else if (type->kind == GEARS_INTERVAL) {
        int64_t clock;
        memcpy(&clock, slot + 8, 8);
        clock *= 1000;
        memcpy(slot + 8, &clock, 8);
    }
}

size_t gears_cast_arrow_width(const gears_type *type) {
    return type->kind == GEARS_DECIMAL ? 16 : gears_cast_width(type);
}

int64_t gears_cast_column(const gears_type *type, const gears_binary_column *in, bool stop, gears_cast_output *out) {
    size_t width = gears_cast_arrow_width(type);
    uint8_t unused;
    for (int64_t row = 0; row < in->length; row++) {
        if (gears_column_is_null(in, row)) continue;
        size_t n;
        const char *s = gears_column_value(in, row, &n);
        uint8_t *slot = width == 0 ? &unused : out->values + (size_t)row * width;
        if (gears_cast_value(type, s, n, slot)) {
            if (width == 16) to_arrow(type, slot);
            gears_column_set_bit(out->validity, row);
        } else {
            gears_column_set_bit(out->misfits, row);
            out->misfit_count++;
            if (stop) return row;
        }
    }
    return -1;
}
