/* What a stage's SQL reads, out of the command's words: scans, and relations that the stage brings along; see stage_parse.c.
 * Runs on: main thread. */
#include <stdlib.h>
#include <string.h>

#include "nested.h"
#include "stage_parts.h"

enum { MAX_COLUMNS = 4096, MAX_LITERALS = 256, MAX_GIVEN_ROWS = 1 << 24, MAX_GIVEN_BYTES = 64 << 20 };

static bool decode_on_error(gears_words *w, gears_on_error *out) {
    static const char *const words[] = {"error", "null", "skip"};
    for (int i = 0; i < 3; i++) {
        if (gears_words_is(w, words[i])) {
            *out = (gears_on_error)i;
            return gears_words_expect(w, words[i]);
        }
    }
    return gears_words_refuse(w, "GEARSSTAGE argument %d must be error, null or skip", w->at);
}

/* TYPE word: what keys are rows; without it, hashes. */
static bool decode_key_type(gears_words *w, gears_key_type *out) {
    static const char *const words[] = {
        [GEARS_KEYS_HASH] = "hash",     [GEARS_KEYS_STRING] = "string", [GEARS_KEYS_JSON] = "json",
        [GEARS_KEYS_SET] = "set",       [GEARS_KEYS_LIST] = "list",     [GEARS_KEYS_ZSET] = "zset",
        [GEARS_KEYS_STREAM] = "stream",
    };
    if (!gears_words_is(w, "TYPE")) return true;
    w->at++;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!gears_words_is(w, words[i])) continue;
        *out = (gears_key_type)i;
        return gears_words_expect(w, words[i]);
    }
    return gears_words_refuse(w, "GEARSSTAGE argument %d is no type of keys", w->at);
}

static bool decode_template(gears_words *w, gears_scan_spec *scan) {
    size_t count;
    gears_bytes literal;
    if (!gears_words_count(w, "literals of the key template", MAX_LITERALS, 1, &count)) return false;
    scan->literals = calloc(count + 1, sizeof *scan->literals);
    if (scan->literals == NULL) return gears_words_refuse(w, "GEARSLIMIT out of memory");
    for (; scan->literal_count < count; scan->literal_count++) {
        if (!gears_words_bytes(w, "literal", &literal)) return false;
        scan->literals[scan->literal_count] = (gears_slice){literal.data, literal.length};
    }
    scan->is_template = true;
    if (gears_pattern_template(scan->literals, count, &scan->key_template)) return true;
    return gears_words_refuse(w, "GEARSSTAGE argument %d: no literal, or placeholders side by side", w->at - 1);
}

static bool decode_keys(gears_words *w, gears_scan_spec *scan) {
    if (!gears_words_is(w, "GLOB")) return gears_words_expect(w, "TEMPLATE") && decode_template(w, scan);
    if (!gears_words_expect(w, "GLOB") || !gears_words_bytes(w, "key pattern", &scan->pattern)) return false;
    scan->glob = gears_pattern_compile(scan->pattern.data, scan->pattern.length);
    return true;
}

static bool decode_nulls(gears_words *w, gears_scan_spec *scan) {
    size_t count;
    if (!gears_words_expect(w, "NULLS") || !gears_words_count(w, "null values", 256, 1, &count)) return false;
    scan->nulls = calloc(count + 1, sizeof *scan->nulls);
    if (scan->nulls == NULL) return gears_words_refuse(w, "GEARSLIMIT out of memory");
    for (; scan->null_count < count; scan->null_count++)
        if (!gears_words_bytes(w, "null value", &scan->nulls[scan->null_count])) return false;
    return true;
}

static bool has_source(gears_key_type type, gears_source_kind source) {
#define GEARS_ONE(of) (1u << GEARS_SOURCE_##of)
    static const unsigned sources[] = {
        [GEARS_KEYS_HASH] = GEARS_ONE(FIELD),
        [GEARS_KEYS_STRING] = GEARS_ONE(VALUE),
        [GEARS_KEYS_JSON] = GEARS_ONE(FIELD),
        [GEARS_KEYS_SET] = GEARS_ONE(VALUE),
        [GEARS_KEYS_LIST] = GEARS_ONE(VALUE) | GEARS_ONE(INDEX),
        [GEARS_KEYS_ZSET] = GEARS_ONE(VALUE) | GEARS_ONE(SCORE),
        [GEARS_KEYS_STREAM] = GEARS_ONE(INDEX) | GEARS_ONE(FIELD),
    };
#undef GEARS_ONE
    return sources[type] >> source & 1;
}

/* 'ev', 'ei', 'es': the value, index or score of an element. */
static bool decode_part(gears_words *w, gears_key_type type, const char *source, size_t length, gears_column *column) {
    switch (length == 2 ? source[1] : 0) {
    case 'v': column->source = GEARS_SOURCE_VALUE; break;
    case 'i': column->source = GEARS_SOURCE_INDEX; break;
    case 's': column->source = GEARS_SOURCE_SCORE; break;
    default: return gears_words_refuse(w, "GEARSSTAGE argument %d is no column source", w->at - 1);
    }
    return has_source(type, column->source) ||
           gears_words_refuse(w, "GEARSSTAGE argument %d: keys of this type have no such part", w->at - 1);
}

static bool decode_source(gears_words *w, const gears_scan_spec *scan, gears_column *column) {
    const char *source;
    size_t length;
    if (!gears_words_next(w, "column source", &source, &length)) return false;
    switch (length ? source[0] : 0) {
    case 'k':
        column->source = GEARS_SOURCE_KEY;
        return length == 1 || gears_words_refuse(w, "GEARSSTAGE argument %d is no column source", w->at - 1);
    case 'p':
        column->source = GEARS_SOURCE_PLACEHOLDER;
        for (size_t i = 1; i < length && i < 4; i++)
            column->placeholder = column->placeholder * 10 + (unsigned)(source[i] - '0');
        if (length < 2 || length > 4 || !scan->is_template || column->placeholder >= scan->key_template.placeholders)
            return gears_words_refuse(w, "GEARSSTAGE argument %d: no such placeholder", w->at - 1);
        return true;
    case 'c':
        column->source = GEARS_SOURCE_CONSTANT;
        column->field = RedisModule_CreateString(NULL, source + 1, length - 1);
        return true;
    case 'e': return decode_part(w, scan->key_type, source, length, column);
    case 'f':
        if (!has_source(scan->key_type, GEARS_SOURCE_FIELD))
            return gears_words_refuse(w, "GEARSSTAGE argument %d: keys of this type have no fields", w->at - 1);
        column->source = GEARS_SOURCE_FIELD;
        column->field = RedisModule_CreateString(NULL, source + 1, length - 1);
        return true;
    default: return gears_words_refuse(w, "GEARSSTAGE argument %d is no column source", w->at - 1);
    }
}

static bool decode_type(gears_column *column) {
    size_t length = strlen(column->type_name);
    if (gears_cast_parse_type(column->type_name, length, &column->type)) return true;
    column->type = (gears_type){.kind = GEARS_JSON};
    column->nested = gears_hook_type_parse(column->type_name, length);
    return column->nested != NULL && gears_nested_is(column->nested);
}

static bool decode_column(gears_words *w, const gears_scan_spec *scan, gears_column *column) {
    if (!gears_words_text(w, "column name", &column->name) || !gears_words_text(w, "column type", &column->type_name))
        return false;
    if (!decode_type(column))
        return gears_words_refuse(w, "GEARSSTAGE argument %d is no type that a scan can read", w->at - 1);
    column->declared = column->type;
    if (scan->lenient && column->nested != NULL)
        return gears_words_refuse(w, "GEARSSTAGE argument %d: DuckDB does not cast texts to what has parts", w->at - 1);
    if (scan->lenient && column->type.kind != GEARS_BLOB && column->type.kind != GEARS_JSON)
        column->type = (gears_type){.kind = GEARS_VARCHAR};
    return decode_source(w, scan, column);
}

bool gears_stage_parse_scan(gears_words *w, gears_scan_spec *scan) {
    size_t count;
    if (!gears_words_expect(w, "SCAN") || !decode_on_error(w, &scan->on_error) || !decode_key_type(w, &scan->key_type))
        return false;
    if (gears_words_is(w, "CAST")) {
        w->at++;
        if (!gears_words_expect(w, "duckdb")) return false;
        scan->lenient = true;
    }
    if (!decode_keys(w, scan) || !decode_nulls(w, scan)) return false;
    if (!gears_words_expect(w, "COLUMNS") || !gears_words_count(w, "columns", MAX_COLUMNS, 3, &count)) return false;
    scan->columns = calloc(count + 1, sizeof *scan->columns);
    if (scan->columns == NULL) return gears_words_refuse(w, "GEARSLIMIT out of memory");
    while (scan->column_count < count)
        if (!decode_column(w, scan, &scan->columns[scan->column_count++])) return false;
    scan->columns[count] = (gears_column){.type = {.kind = GEARS_BLOB}, .source = GEARS_SOURCE_KEY};
    return true;
}

static bool decode_given_column(gears_words *w, char **name, gears_hook_type **type) {
    const char *text;
    size_t length;
    if (!gears_words_text(w, "column name", name) || !gears_words_next(w, "column type", &text, &length)) return false;
    *type = gears_hook_type_parse(text, length);
    if (*type != NULL && gears_hook_type_crosses(*type)) return true; /* batch_read.c knows no others */
    return gears_words_refuse(w, "GEARSSTAGE argument %d is no type that a relation can have", w->at - 1);
}

/* GIVEN rows n {name type}… bytes: a relation of the client's. Its values are checked as they are read. */
bool gears_stage_parse_given(gears_words *w, gears_given *given) {
    size_t rows, count;
    w->at++;
    if (!gears_words_count(w, "rows", MAX_GIVEN_ROWS, 0, &rows) ||
        !gears_words_count(w, "columns", MAX_COLUMNS, 2, &count))
        return false;
    if (count == 0) return gears_words_refuse(w, "GEARSSTAGE argument %d: a relation has columns", w->at - 1);
    given->rows = rows;
    given->names = calloc(count, sizeof *given->names);
    given->types = calloc(count, sizeof(gears_hook_type *));
    if (given->names == NULL || given->types == NULL) return gears_words_refuse(w, "GEARSLIMIT out of memory");
    for (; given->column_count < count; given->column_count++) {
        size_t i = given->column_count;
        if (decode_given_column(w, &given->names[i], &given->types[i])) continue;
        given->column_count++; /* what there is of it is freed, too */
        return false;
    }
    size_t size = 0;
    if (w->at < w->argc) RedisModule_StringPtrLen(w->argv[w->at], &size);
    if (size > MAX_GIVEN_BYTES)
        return gears_words_refuse(w, "GEARSSTAGE argument %d: the relation is too large", w->at);
    return gears_words_bytes(w, "rows", &given->bytes);
}
