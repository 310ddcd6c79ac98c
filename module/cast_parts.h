/* What the cast_*.c files share; only they include it. */
#ifndef GEARS_CAST_PARTS_H
#define GEARS_CAST_PARTS_H

#include "cast.h"

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are written as little-endian machines keep them"
#endif

/* The value of a decimal digit, 10 or more for any other byte. */
static inline unsigned gears_cast_digit(char c) { return (unsigned char)(c - '0'); }

/* Each reads all `n` bytes (>= 1) or returns false, and writes to the slot `out` of any alignment. */
bool gears_cast_double(const char *s, size_t n, void *out);
bool gears_cast_float(const char *s, size_t n, void *out);
bool gears_cast_date(const char *s, size_t n, void *out);
bool gears_cast_time(const char *s, size_t n, void *out);
bool gears_cast_timestamp(const char *s, size_t n, void *out);

#endif
