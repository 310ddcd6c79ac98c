/* ENUM: its values from the type's text, and the cast, which finds a value's position by its hash. */
#include <stdlib.h>
#include <string.h>

#include "cast_parts.h"

static uint32_t hash_of(const char *s, size_t n) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)s[i]) * 16777619u;
    return hash;
}

/* The place of a value in the table: of itself, or the free one where it would be. */
static uint32_t place_of(const gears_enum *values, const char *s, size_t n) {
    for (uint32_t at = hash_of(s, n) & values->mask;; at = (at + 1) & values->mask) {
        uint32_t found = values->places[at];
        if (found == 0) return at;
        if (values->lengths[found - 1] == n && memcmp(values->texts[found - 1], s, n) == 0) return at;
    }
}

static void free_values(gears_enum *values) {
    if (values == NULL) return;
    free(values->bytes);
    free(values->texts);
    free(values->lengths);
    free(values->places);
    free(values);
}

void gears_cast_free_type(gears_type *type) {
    free_values(type->values);
    type->values = NULL;
}

/* Room for the values of a text of `len` bytes: a value takes four of them at least, ", ''". */
static gears_enum *new_values(size_t len) {
    gears_enum *values = calloc(1, sizeof *values);
    if (values == NULL) return NULL;
    size_t most = len / 4 + 1, table = 8;
    while (table < 2 * most) table *= 2;
    values->mask = (uint32_t)(table - 1);
    values->bytes = malloc(len + 1);
    values->texts = calloc(most, sizeof *values->texts);
    values->lengths = calloc(most, sizeof *values->lengths);
    values->places = calloc(table, sizeof *values->places);
    if (values->bytes && values->texts && values->lengths && values->places) return values;
    free_values(values);
    return NULL;
}

/* The value in quotes at `*s`, ended by a NUL at `*to`; DuckDB's C API takes no value with a NUL. */
static bool add_value(gears_enum *values, const char **s, const char *end, char **to) {
    char *begin = *to;
    if (*s == end || *(*s)++ != '\'') return false;
    for (;; ++*s) {
        if (*s == end || **s == 0) return false;
        if (**s == '\'' && (++*s == end || **s != '\'')) break;
        *(*to)++ = **s;
    }
    size_t length = (size_t)(*to - begin);
    *(*to)++ = 0;
    uint32_t at = place_of(values, begin, length);
    if (values->places[at] != 0 || !gears_cast_utf8(begin, length)) return false;
    values->texts[values->count] = begin;
    values->lengths[values->count] = length;
    values->places[at] = ++values->count;
    return true;
}

bool gears_cast_parse_enum(const char *name, size_t len, gears_type *out) {
    static const char OPEN[] = "ENUM(";
    const char *s = name + sizeof OPEN - 1, *end = name + len;
    if (len < sizeof OPEN || len > MAX_ENUM_TEXT || memcmp(name, OPEN, sizeof OPEN - 1) != 0) return false;
    gears_enum *values = new_values(len);
    if (values == NULL) return false;
    char *to = values->bytes;
    bool more = true;
    while (more) {
        if (!add_value(values, &s, end, &to)) break;
        more = end - s >= 2 && s[0] == ',' && s[1] == ' ';
        s += more ? 2 : 0;
    }
    if (more || end - s != 1 || *s != ')') {
        free_values(values);
        return false;
    }
    *out = (gears_type){.kind = GEARS_ENUM, .values = values};
    return true;
}

size_t gears_cast_enum_width(const gears_type *type) {
    return type->values->count <= UINT8_MAX ? 1 : type->values->count <= UINT16_MAX ? 2 : 4;
}

bool gears_cast_enum(const gears_type *type, const char *s, size_t n, void *out) {
    uint32_t found = type->values->places[place_of(type->values, s, n)];
    if (found == 0) return false;
    found--;
    memcpy(out, &found, gears_cast_enum_width(type));
    return true;
}
