/* Reading an Arrow binary array, as the portable reader hands its keys and fields over (gearsql/native.py). */
#ifndef GEARS_BINARY_COLUMN_H
#define GEARS_BINARY_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `validity` may be NULL (no NULLs); offsets are int64 if `large`, else int32; rows count from `offset`. */
typedef struct {
    int64_t length;
    int64_t offset;
    const uint8_t *validity;
    const void *offsets;
    const char *data;
    bool large;
} gears_binary_column;

static inline void gears_column_set_bit(uint8_t *bits, int64_t i) { bits[i >> 3] |= (uint8_t)(1u << (i & 7)); }

static inline bool gears_column_is_null(const gears_binary_column *in, int64_t row) {
    int64_t i = in->offset + row;
    return in->validity != NULL && !(in->validity[i >> 3] >> (i & 7) & 1);
}

static inline const char *gears_column_value(const gears_binary_column *in, int64_t row, size_t *n) {
    int64_t i = in->offset + row;
    int64_t start = in->large ? ((const int64_t *)in->offsets)[i] : ((const int32_t *)in->offsets)[i];
    int64_t end = in->large ? ((const int64_t *)in->offsets)[i + 1] : ((const int32_t *)in->offsets)[i + 1];
    *n = (size_t)(end - start);
    return *n == 0 ? "" : in->data + start;
}

#endif
