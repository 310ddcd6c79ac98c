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
bool gears_cast_time_ns(const char *s, size_t n, void *out);
bool gears_cast_timetz(const char *s, size_t n, void *out);
bool gears_cast_timestamp(const char *s, size_t n, void *out);
bool gears_cast_timestamp_s(const char *s, size_t n, void *out);
bool gears_cast_timestamp_ms(const char *s, size_t n, void *out);
bool gears_cast_timestamp_ns(const char *s, size_t n, void *out);
bool gears_cast_timestamptz(const char *s, size_t n, void *out);

/* ENUM('a', 'b'): the type and its values' texts, a position's width, the cast of a text that may be empty. */
enum { MAX_ENUM_TEXT = 1 << 24 };
bool gears_cast_parse_enum(const char *name, size_t len, gears_type *out);
size_t gears_cast_enum_width(const gears_type *type);
bool gears_cast_enum(const gears_type *type, const char *s, size_t n, void *out);

bool gears_cast_interval(const char *s, size_t n, void *out);

/* Exactly `count` digits. */
bool gears_cast_digits(const char *s, size_t count, unsigned *out);
/* '.' and one to six digits, as microseconds; nothing (n = 0) is 0. */
bool gears_cast_fraction(const char *s, size_t n, unsigned *out);

#endif
