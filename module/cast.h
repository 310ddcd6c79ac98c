/* Text of a key or field → a typed value, by one strict grammar for each type; nothing between them and the bytes.
 *
 * Called by the scan (worker threads, server lock held) and, through ctypes, by the client's portable reader, so
 * both read a value alike. Nothing here locks, looks at the locale or keeps state; only reading an ENUM's type allocates.
 *
 *   integers          -?(0|[1-9][0-9]*) in range; '-0' is a misfit; unsigned ones take no '-'
 *   FLOAT, DOUBLE     -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?, correctly rounded, beyond the range a misfit;
 *                     and nan, inf, -inf, NaN, Infinity, -Infinity
 *   DECIMAL(p,s)      -?(0|[1-9][0-9]*)(\.[0-9]+)?, digits after the s-th of the fraction are zeros, within p
 *   BOOLEAN           true, false in any letter case, 1, 0
 *   DATE              YYYY-MM-DD, a day of the years 0001 to 9999
 *   TIME              HH:MM:SS and up to six digits of a fraction
 *   TIME_NS           TIME, with up to nine digits of a fraction
 *   TIMETZ            TIME, and a zone: Z, or +HH or +HH:MM or +HH:MM:SS or with '-', up to 15:59:59
 *   TIMESTAMP         DATE, or DATE, 'T' or ' ', TIME; no zone
 *   TIMESTAMP_S, _MS, _NS  a TIMESTAMP in whole seconds, milliseconds or nanoseconds: what is finer is zeros, and for
 *                     the last one nine digits of a fraction, within 64 bits
 *   TIMESTAMPTZ       DATE, 'T' or ' ', TIME, and a zone: Z, or +HH or +HH:MM or with '-', up to 15:59; a moment of the
 *                     years 0001 to 9999 in UTC
 *   INTERVAL          '1 year 2 months 3 days 04:05:06.7': at least one of these parts, in this order, with one blank
 *                     between; integers (-2 days), the clock with a sign before it, two or more digits of hours
 *   ENUM('a', 'b')    exactly one of the values
 *   UUID              8-4-4-4-12 hexadecimal digits
 *   VARCHAR           UTF-8 (NULs are text; no overlong forms, no surrogates)
 *   BLOB              anything
 *   JSON              one value of RFC 8259 (json_text.h), kept as it is written
 */
#ifndef GEARS_CAST_H
#define GEARS_CAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"

typedef enum {
    GEARS_BOOLEAN,
    GEARS_TINYINT,
    GEARS_SMALLINT,
    GEARS_INTEGER,
    GEARS_BIGINT,
    GEARS_HUGEINT,
    GEARS_UTINYINT,
    GEARS_USMALLINT,
    GEARS_UINTEGER,
    GEARS_UBIGINT,
    GEARS_UHUGEINT,
    GEARS_FLOAT,
    GEARS_DOUBLE,
    GEARS_DECIMAL,
    GEARS_DATE,
    GEARS_TIME,
    GEARS_TIME_NS,
    GEARS_TIMETZ,
    GEARS_TIMESTAMP,
    GEARS_TIMESTAMP_S,
    GEARS_TIMESTAMP_MS,
    GEARS_TIMESTAMP_NS,
    GEARS_TIMESTAMPTZ,
    GEARS_INTERVAL,
    GEARS_ENUM,
    GEARS_UUID,
    GEARS_VARCHAR,
    GEARS_BLOB,
    GEARS_JSON,
} gears_kind;

/* The values of an ENUM, each ended by a NUL. `places` is a hash table of `mask` + 1 places: 0, or a position + 1. */
typedef struct {
    uint32_t count, mask;
    char *bytes;
    const char **texts;
    size_t *lengths;
    uint32_t *places;
} gears_enum;

/* `precision` (1 to 38) and `scale` (0 to precision) are of DECIMAL only, else 0; `values` are of ENUM only. */
typedef struct {
    gears_kind kind;
    uint8_t precision;
    uint8_t scale;
    gears_enum *values;
} gears_type;

/* DuckDB's hugeint_t: HUGEINT, UUID and DECIMAL of more than 18 digits. */
typedef struct {
    uint64_t lower;
    int64_t upper;
} gears_hugeint;

/* DuckDB's interval_t. */
typedef struct {
    int32_t months, days;
    int64_t micros;
} gears_interval;

/* Reads a canonical type name ('BIGINT', 'DECIMAL(10,2)': upper case, no blanks); false if it is none of ours. */
GEARS_EXPORT bool gears_cast_parse_type(const char *name, size_t len, gears_type *out);

/* Frees what reading the type's name has allocated. */
GEARS_EXPORT void gears_cast_free_type(gears_type *type);

/* The canonical name of a kind, of a DECIMAL without its arguments. */
const char *gears_cast_kind_name(gears_kind kind);

/* Bytes of a value in DuckDB's vectors: 1, 2, 4, 8 or 16; 0 for VARCHAR, BLOB and JSON, which have no fixed width. */
GEARS_EXPORT size_t gears_cast_width(const gears_type *type);

/* Whether a JSON string is read as JSON, quotes and all, not as its characters. */
static inline bool gears_cast_reads_json(const gears_type *type) { return type->kind == GEARS_JSON; }

/* Reads the `n` bytes at `s` and writes the value to `slot` in DuckDB's physical layout: BOOLEAN u8; DECIMAL i16 for
 * p <= 4, i32 <= 9, i64 <= 18, else hugeint; DATE i32 days since 1970; TIME, TIMESTAMP and TIMESTAMPTZ i64
 * microseconds, TIME_NS and the other TIMESTAMPs their own unit; TIMETZ u64, microseconds above 24 bits of the zone; INTERVAL gears_interval; ENUM a position as u8,
 * u16 or u32; UUID a hugeint with the top bit flipped. VARCHAR, BLOB and JSON are judged
 * only, `slot` may be NULL. `slot` need not be aligned.
 * Returns false for a misfit, and then leaves `slot` as it was. NULL values are the caller's business. */
GEARS_EXPORT bool gears_cast_value(const gears_type *type, const char *s, size_t n, void *slot);

/* True if the `n` bytes at `s` are UTF-8. */
bool gears_cast_utf8(const char *s, size_t n);

#endif
