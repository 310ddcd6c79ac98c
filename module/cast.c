/* Casts: the types, the way from a type to its reader, and the types that are whole numbers underneath. */
#include "cast.h"

#include <string.h>

#include "cast_parts.h"
#include "json_text.h"

typedef unsigned __int128 u128;

static const struct {
    const char *name;
    uint8_t width;
} KINDS[] = {
    [GEARS_BOOLEAN] = {"BOOLEAN", 1},
    [GEARS_TINYINT] = {"TINYINT", 1},
    [GEARS_SMALLINT] = {"SMALLINT", 2},
    [GEARS_INTEGER] = {"INTEGER", 4},
    [GEARS_BIGINT] = {"BIGINT", 8},
    [GEARS_HUGEINT] = {"HUGEINT", 16},
    [GEARS_UTINYINT] = {"UTINYINT", 1},
    [GEARS_USMALLINT] = {"USMALLINT", 2},
    [GEARS_UINTEGER] = {"UINTEGER", 4},
    [GEARS_UBIGINT] = {"UBIGINT", 8},
    [GEARS_UHUGEINT] = {"UHUGEINT", 16},
    [GEARS_FLOAT] = {"FLOAT", 4},
    [GEARS_DOUBLE] = {"DOUBLE", 8},
    [GEARS_DECIMAL] = {"DECIMAL", 0},
    [GEARS_DATE] = {"DATE", 4},
    [GEARS_TIME] = {"TIME", 8},
    [GEARS_TIME_NS] = {"TIME_NS", 8},
    [GEARS_TIMETZ] = {"TIME WITH TIME ZONE", 8},
    [GEARS_TIMESTAMP] = {"TIMESTAMP", 8},
    [GEARS_TIMESTAMPTZ] = {"TIMESTAMP WITH TIME ZONE", 8},
    [GEARS_TIMESTAMP_S] = {"TIMESTAMP_S", 8},
    [GEARS_TIMESTAMP_MS] = {"TIMESTAMP_MS", 8},
    [GEARS_TIMESTAMP_NS] = {"TIMESTAMP_NS", 8},
    [GEARS_INTERVAL] = {"INTERVAL", 16},
    [GEARS_ENUM] = {"ENUM", 0},
    [GEARS_UUID] = {"UUID", 16},
    [GEARS_VARCHAR] = {"VARCHAR", 0},
    [GEARS_BLOB] = {"BLOB", 0},
    [GEARS_JSON] = {"JSON", 0},
};

enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0], MAX_PRECISION = 38, MAX_HUGEINT_DIGITS = 39 };

/* One or two digits ended by `stop`; moves `*s` behind it. */
static bool parse_argument(const char **s, const char *end, char stop, uint8_t *out) {
    unsigned value = 0;
    size_t digits = 0;
    for (; *s < end && gears_cast_digit(**s) < 10 && digits < 2; digits++, ++*s)
        value = value * 10 + gears_cast_digit(**s);
    if (digits == 0 || *s == end || *(*s)++ != stop) return false;
    *out = (uint8_t)value;
    return true;
}

static bool parse_decimal(const char *name, size_t len, gears_type *out) {
    static const char OPEN[] = "DECIMAL(";
    const size_t opening = sizeof OPEN - 1;
    if (len < opening || memcmp(name, OPEN, opening) != 0) return false;
    gears_type type = {.kind = GEARS_DECIMAL};
    const char *s = name + opening, *end = name + len;
    if (!parse_argument(&s, end, ',', &type.precision) || !parse_argument(&s, end, ')', &type.scale)) return false;
    if (s != end || type.precision < 1 || type.precision > MAX_PRECISION || type.scale > type.precision) return false;
    *out = type;
    return true;
}

bool gears_cast_parse_type(const char *name, size_t len, gears_type *out) {
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        if (kind == GEARS_DECIMAL || kind == GEARS_ENUM || strlen(KINDS[kind].name) != len) continue;
        if (memcmp(KINDS[kind].name, name, len) != 0) continue;
        *out = (gears_type){.kind = (gears_kind)kind};
        return true;
    }
    return parse_decimal(name, len, out) || gears_cast_parse_enum(name, len, out);
}

const char *gears_cast_kind_name(gears_kind kind) { return KINDS[kind].name; }

size_t gears_cast_width(const gears_type *type) {
    if (type->kind == GEARS_ENUM) return gears_cast_enum_width(type);
    if (type->kind != GEARS_DECIMAL) return KINDS[type->kind].width;
    return type->precision <= 4 ? 2 : type->precision <= 9 ? 4 : type->precision <= 18 ? 8 : 16;
}

/* 0|[1-9][0-9]* up to 2^64-1. Nineteen digits cannot overflow, the twentieth can. */
static bool read_u64(const char *s, size_t n, uint64_t *out) {
    if (n == 0 || n > 20 || (n > 1 && s[0] == '0')) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < n && i < 19; i++) {
        unsigned digit = gears_cast_digit(s[i]);
        if (digit > 9) return false;
        value = value * 10 + digit;
    }
    if (n == 20) {
        unsigned digit = gears_cast_digit(s[19]);
        if (digit > 9 || __builtin_mul_overflow(value, (uint64_t)10, &value)) return false;
        if (__builtin_add_overflow(value, (uint64_t)digit, &value)) return false;
    }
    *out = value;
    return true;
}

/* This and the readers below get at least one byte. Writes the low bytes: machines are little-endian (cast_parts.h). */
static bool cast_signed(const char *s, size_t n, size_t width, void *slot) {
    bool negative = s[0] == '-';
    uint64_t magnitude, limit = (UINT64_C(1) << (8 * width - 1)) - !negative;
    if (!read_u64(s + negative, n - negative, &magnitude)) return false;
    if (magnitude > limit || (negative && magnitude == 0)) return false;
    uint64_t value = negative ? 0 - magnitude : magnitude;
    memcpy(slot, &value, width);
    return true;
}

static bool cast_unsigned(const char *s, size_t n, size_t width, void *slot) {
    uint64_t value;
    if (!read_u64(s, n, &value) || (width < 8 && value >> (8 * width) != 0)) return false;
    memcpy(slot, &value, width);
    return true;
}

/* 0|[1-9][0-9]* up to 2^128-1. */
static bool read_u128(const char *s, size_t n, u128 *out) {
    u128 magnitude = 0;
    if (n == 0 || n > MAX_HUGEINT_DIGITS || (s[0] == '0' && n > 1)) return false;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = gears_cast_digit(s[i]);
        if (digit > 9 || __builtin_mul_overflow(magnitude, (u128)10, &magnitude)) return false;
        if (__builtin_add_overflow(magnitude, (u128)digit, &magnitude)) return false;
    }
    *out = magnitude;
    return true;
}

static bool cast_hugeint(const char *s, size_t n, void *slot) {
    bool negative = s[0] == '-';
    u128 magnitude;
    if (!read_u128(s + negative, n - negative, &magnitude)) return false;
    if (magnitude > ((u128)1 << 127) - !negative || (negative && magnitude == 0)) return false;
    u128 value = negative ? 0 - magnitude : magnitude;
    memcpy(slot, &value, sizeof value);
    return true;
}

static bool cast_uhugeint(const char *s, size_t n, void *slot) {
    u128 value;
    if (!read_u128(s, n, &value)) return false;
    memcpy(slot, &value, sizeof value);
    return true;
}

/* Adds the digits s[0] … s[n-1] to `*value`; all must be digits. */
static bool add_digits(const char *s, size_t n, u128 *value) {
    for (size_t i = 0; i < n; i++) {
        unsigned digit = gears_cast_digit(s[i]);
        if (digit > 9) return false;
        *value = *value * 10 + digit;
    }
    return true;
}

static bool all_zeros(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] != '0') return false;
    return true;
}

/* No more than p - s digits stand before the point and s behind it are counted, so `value` stays below 10^p. */
static bool cast_decimal(const gears_type *type, const char *s, size_t n, void *slot) {
    bool negative = s[0] == '-';
    s += negative, n -= negative;
    const char *point = memchr(s, '.', n), *rest = point ? point + 1 : s + n;
    size_t whole = point ? (size_t)(point - s) : n, fraction = (size_t)(s + n - rest);
    if (whole == 0 || (point && fraction == 0)) return false;
    bool zero = s[0] == '0';
    if (zero ? whole > 1 : whole > (size_t)(type->precision - type->scale)) return false;
    u128 value = 0;
    size_t kept = fraction < type->scale ? fraction : type->scale;
    if (!add_digits(s, whole, &value) || !add_digits(rest, kept, &value)) return false;
    if (!all_zeros(rest + kept, fraction - kept)) return false;
    for (size_t i = kept; i < type->scale; i++) value *= 10;
    if (negative) value = 0 - value;
    memcpy(slot, &value, gears_cast_width(type));
    return true;
}

/* Compares without regard to case: `word` is lower case letters, and c|32 is one only if c is a letter. */
static bool is_word(const char *s, size_t n, const char *word) {
    if (n != strlen(word)) return false;
    for (size_t i = 0; i < n; i++)
        if ((s[i] | 32) != word[i]) return false;
    return true;
}

static bool cast_boolean(const char *s, size_t n, void *slot) {
    bool yes = (n == 1 && s[0] == '1') || is_word(s, n, "true");
    if (!yes && !(n == 1 && s[0] == '0') && !is_word(s, n, "false")) return false;
    uint8_t value = yes;
    memcpy(slot, &value, 1);
    return true;
}

static unsigned hex_digit(char c) {
    unsigned letter = (unsigned char)((c | 32) - 'a');
    return gears_cast_digit(c) < 10 ? gears_cast_digit(c) : letter < 6 ? letter + 10 : 16;
}

/* DuckDB flips the top bit so that signed hugeints sort as UUIDs do. */
static bool cast_uuid(const char *s, size_t n, void *slot) {
    if (n != 36) return false;
    u128 value = 0;
    for (size_t i = 0; i < n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        unsigned digit = hex_digit(s[i]);
        if (dash ? s[i] != '-' : digit > 15) return false;
        if (!dash) value = value << 4 | digit;
    }
    value ^= (u128)1 << 127;
    memcpy(slot, &value, sizeof value);
    return true;
}

bool gears_cast_value(const gears_type *type, const char *s, size_t n, void *slot) {
    if (n == 0 && type->kind != GEARS_ENUM) return type->kind == GEARS_VARCHAR || type->kind == GEARS_BLOB;
    switch (type->kind) {
    case GEARS_BOOLEAN: return cast_boolean(s, n, slot);
    case GEARS_TINYINT:
    case GEARS_SMALLINT:
    case GEARS_INTEGER:
    case GEARS_BIGINT: return cast_signed(s, n, KINDS[type->kind].width, slot);
    case GEARS_HUGEINT: return cast_hugeint(s, n, slot);
    case GEARS_UTINYINT:
    case GEARS_USMALLINT:
    case GEARS_UINTEGER:
    case GEARS_UBIGINT: return cast_unsigned(s, n, KINDS[type->kind].width, slot);
    case GEARS_UHUGEINT: return cast_uhugeint(s, n, slot);
    case GEARS_FLOAT: return gears_cast_float(s, n, slot);
    case GEARS_DOUBLE: return gears_cast_double(s, n, slot);
    case GEARS_DECIMAL: return cast_decimal(type, s, n, slot);
    case GEARS_DATE: return gears_cast_date(s, n, slot);
    case GEARS_TIME: return gears_cast_time(s, n, slot);
    case GEARS_TIME_NS: return gears_cast_time_ns(s, n, slot);
    case GEARS_TIMETZ: return gears_cast_timetz(s, n, slot);
    case GEARS_TIMESTAMP: return gears_cast_timestamp(s, n, slot);
    case GEARS_TIMESTAMP_S: return gears_cast_timestamp_s(s, n, slot);
    case GEARS_TIMESTAMP_MS: return gears_cast_timestamp_ms(s, n, slot);
    case GEARS_TIMESTAMP_NS: return gears_cast_timestamp_ns(s, n, slot);
    case GEARS_TIMESTAMPTZ: return gears_cast_timestamptz(s, n, slot);
    case GEARS_INTERVAL: return gears_cast_interval(s, n, slot);
    case GEARS_ENUM: return gears_cast_enum(type, s, n, slot);
    case GEARS_UUID: return cast_uuid(s, n, slot);
    case GEARS_VARCHAR: return gears_cast_utf8(s, n);
    case GEARS_BLOB: return true;
    case GEARS_JSON: return gears_text_valid(s, n);
    }
    return false;
}
