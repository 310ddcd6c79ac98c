/* Arrow's format strings → types; see arrow_layout.h. Tags and units are those of Arrow's Schema.fbs. */
#include "arrow_layout.h"

#include <string.h>

enum {
    TAG_NULL = 1,
    TAG_INT,
    TAG_FLOATING_POINT,
    TAG_BINARY,
    TAG_UTF8,
    TAG_BOOL,
    TAG_DECIMAL,
    TAG_DATE,
    TAG_TIME,
    TAG_TIMESTAMP,
    TAG_INTERVAL,
    TAG_LIST,
    TAG_STRUCT,
    TAG_UNION,
    TAG_FIXED_SIZE_BINARY,
    TAG_FIXED_SIZE_LIST,
    TAG_MAP,
    TAG_DURATION,
    TAG_LARGE_BINARY,
    TAG_LARGE_UTF8,
    TAG_LARGE_LIST,
};

#define SHORT(v) {2, (v)}
#define INT(v) {4, (v)}
#define BOOL(v) {1, (v)}
#define INTEGER(bytes, is_signed) {GEARS_LAYOUT_FIXED, bytes, TAG_INT, 2, {INT(8 * (bytes)), BOOL(is_signed)}, NULL}
#define REAL(bytes, precision) {GEARS_LAYOUT_FIXED, bytes, TAG_FLOATING_POINT, 1, {SHORT(precision)}, NULL}
#define UNIT(bytes, tag, unit) {GEARS_LAYOUT_FIXED, bytes, tag, 1, {SHORT(unit)}, NULL}
#define TIME(bytes, unit) {GEARS_LAYOUT_FIXED, bytes, TAG_TIME, 2, {SHORT(unit), INT(8 * (bytes))}, NULL}
#define PLAIN(layout, width, tag) {layout, width, tag, 0, {{0, 0}}, NULL}

/* The formats without arguments. */
static const struct {
    char format[4];
    gears_arrow_type type;
} FIXED_FORMATS[] = {
    {"n", PLAIN(GEARS_LAYOUT_NULL, 0, TAG_NULL)},
    {"b", PLAIN(GEARS_LAYOUT_BITS, 0, TAG_BOOL)},
    {"c", INTEGER(1, 1)},
    {"C", INTEGER(1, 0)},
    {"s", INTEGER(2, 1)},
    {"S", INTEGER(2, 0)},
    {"i", INTEGER(4, 1)},
    {"I", INTEGER(4, 0)},
    {"l", INTEGER(8, 1)},
    {"L", INTEGER(8, 0)},
    {"e", REAL(2, 0)},
    {"f", REAL(4, 1)},
    {"g", REAL(8, 2)},
    {"z", PLAIN(GEARS_LAYOUT_VARIABLE, 4, TAG_BINARY)},
    {"Z", PLAIN(GEARS_LAYOUT_VARIABLE, 8, TAG_LARGE_BINARY)},
    {"u", PLAIN(GEARS_LAYOUT_VARIABLE, 4, TAG_UTF8)},
    {"U", PLAIN(GEARS_LAYOUT_VARIABLE, 8, TAG_LARGE_UTF8)},
    {"tdD", UNIT(4, TAG_DATE, 0)},
    {"tdm", UNIT(8, TAG_DATE, 1)},
    {"tts", TIME(4, 0)},
    {"ttm", TIME(4, 1)},
    {"ttu", TIME(8, 2)},
    {"ttn", TIME(8, 3)},
    {"tDs", UNIT(8, TAG_DURATION, 0)},
    {"tDm", UNIT(8, TAG_DURATION, 1)},
    {"tDu", UNIT(8, TAG_DURATION, 2)},
    {"tDn", UNIT(8, TAG_DURATION, 3)},
    {"tiM", UNIT(4, TAG_INTERVAL, 0)},
    {"tiD", UNIT(8, TAG_INTERVAL, 1)},
    {"tin", UNIT(16, TAG_INTERVAL, 2)},
    {"+l", PLAIN(GEARS_LAYOUT_LIST, 4, TAG_LIST)},
    {"+L", PLAIN(GEARS_LAYOUT_LIST, 8, TAG_LARGE_LIST)},
    {"+s", PLAIN(GEARS_LAYOUT_STRUCT, 0, TAG_STRUCT)},
};

/* -?[0-9]+ of no more than nine digits; moves `*s` behind it. */
static bool take_int(const char **s, int32_t *out) {
    bool negative = **s == '-';
    *s += negative;
    int32_t value = 0;
    int digits = 0;
    for (; **s >= '0' && **s <= '9' && digits < 9; digits++) value = value * 10 + (*(*s)++ - '0');
    *out = negative ? -value : value;
    return digits > 0;
}

/* The arguments of a format, separated by commas; how many, or -1. */
static int take_ints(const char *s, int32_t *out, int room) {
    for (int count = 0; count < room;) {
        if (!take_int(&s, &out[count++])) return -1;
        if (*s == '\0') return count;
        if (*s++ != ',') return -1;
    }
    return -1;
}

int gears_layout_union_ids(const char *text, int32_t *ids, int room) {
    return *text == '\0' ? 0 : take_ints(text, ids, room);
}

static bool is_decimal(const char *arguments, gears_arrow_type *out) {
    int32_t given[3] = {0, 0, 128};
    int count = take_ints(arguments, given, 3), bits = given[2];
    if (count < 2 || (bits != 32 && bits != 64 && bits != 128 && bits != 256)) return false;
    *out = (gears_arrow_type){
        GEARS_LAYOUT_FIXED, bits / 8, TAG_DECIMAL, 3, {INT(given[0]), INT(given[1]), INT(bits)}, NULL};
    return true;
}

static bool is_sized(const char *argument, gears_layout layout, uint8_t tag, gears_arrow_type *out) {
    int32_t size;
    if (take_ints(argument, &size, 1) != 1 || size < 0) return false;
    *out = (gears_arrow_type){layout, size, tag, 1, {INT(size)}, NULL};
    return true;
}

/* 'ts', a unit, ':' and the time zone, maybe none. */
static bool is_timestamp(const char *format, gears_arrow_type *out) {
    static const char UNITS[] = "smun";
    const char *unit = strchr(UNITS, format[2]);
    if (unit == NULL || format[2] == '\0' || format[3] != ':') return false;
    const char *zone = format[4] == '\0' ? NULL : format + 4;
    *out = (gears_arrow_type){GEARS_LAYOUT_FIXED, 8, TAG_TIMESTAMP, 1, {SHORT(unit - UNITS)}, zone};
    return true;
}

static bool is_union(const char *format, gears_arrow_type *out) {
    bool dense = format[2] == 'd';
    if ((!dense && format[2] != 's') || format[3] != ':') return false;
    gears_layout layout = dense ? GEARS_LAYOUT_DENSE : GEARS_LAYOUT_SPARSE;
    *out = (gears_arrow_type){layout, 0, TAG_UNION, 1, {SHORT(dense)}, format + 4};
    return true;
}

static bool begins(const char *format, const char *with) { return strncmp(format, with, strlen(with)) == 0; }

bool gears_layout_of(const struct ArrowSchema *schema, gears_arrow_type *out) {
    const char *format = schema->format;
    for (size_t i = 0; i < sizeof FIXED_FORMATS / sizeof FIXED_FORMATS[0]; i++) {
        if (strcmp(FIXED_FORMATS[i].format, format) != 0) continue;
        *out = FIXED_FORMATS[i].type;
        return true;
    }
    if (strcmp(format, "+m") == 0) {
        bool sorted = schema->flags & ARROW_FLAG_MAP_KEYS_SORTED;
        *out = (gears_arrow_type){GEARS_LAYOUT_LIST, 4, TAG_MAP, 1, {BOOL(sorted)}, NULL};
        return true;
    }
    if (begins(format, "d:")) return is_decimal(format + 2, out);
    if (begins(format, "w:")) return is_sized(format + 2, GEARS_LAYOUT_FIXED, TAG_FIXED_SIZE_BINARY, out);
    if (begins(format, "+w:")) return is_sized(format + 3, GEARS_LAYOUT_FIXED_LIST, TAG_FIXED_SIZE_LIST, out);
    if (begins(format, "ts")) return is_timestamp(format, out);
    if (begins(format, "+u")) return is_union(format, out);
    return false;
}
