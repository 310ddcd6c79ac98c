/* Types of hooks: text ↔ tree, and the names of signatures; see hook_type.h. No state, no DuckDB: hook_logical.c has
 * that.
 *
 * The parser takes a little more than the canonical form; a text is canonical if what it parses to prints as itself. */
#include "hook_type.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_DEPTH = 16, MAX_TEXT = 1 << 16 };

bool gears_hook_type_crosses(const gears_hook_type *type) {
    gears_kind kind = type->plain.kind;
    bool is_columns = kind == GEARS_JSON || kind == GEARS_TIME_NS || kind == GEARS_TIMETZ ||
                      (kind >= GEARS_TIMESTAMP_S && kind <= GEARS_TIMESTAMP_NS);
    if (type->shape == GEARS_HOOK_MAP || type->shape == GEARS_HOOK_ARRAY) return false;
    if (type->shape == GEARS_HOOK_PLAIN && is_columns) return false;
    for (size_t i = 0; i < type->child_count; i++)
        if (!gears_hook_type_crosses(type->children[i])) return false;
    return true;
}

void gears_hook_type_free(gears_hook_type *type) {
    if (type == NULL) return;
    for (size_t i = 0; i < type->child_count; i++) {
        gears_hook_type_free(type->children[i]);
        if (type->names != NULL) free(type->names[i]);
    }
    free(type->children);
    free(type->names);
    free(type);
}

/* ---- text → tree ---------------------------------------------------------------------------------------------- */

typedef struct cursor {
    const char *at, *end;
} cursor;

static bool take(cursor *c, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
    c->at += length;
    return true;
}

static gears_hook_type *new_type(gears_hook_shape shape, size_t width) {
    gears_hook_type *type = calloc(1, sizeof *type);
    if (type == NULL) return NULL;
    type->shape = shape;
    type->width = width;
    return type;
}

/* A name in double quotes, doubled inside. NULL if it is none, is empty, or is not text that C can hold. */
static char *parse_name(cursor *c) {
    if (!take(c, "\"")) return NULL;
    char *name = malloc((size_t)(c->end - c->at) + 1), *out = name;
    if (name == NULL) return NULL;
    while (c->at < c->end && *c->at != 0) {
        if (*c->at == '"') {
            c->at++;
            if (c->at == c->end || *c->at != '"') {
                *out = 0;
                if (out > name && gears_cast_utf8(name, (size_t)(out - name))) return name;
                break;
            }
        }
        *out++ = *c->at++;
    }
    free(name);
    return NULL;
}

static bool has_member(const gears_hook_type *type, const char *name) {
    for (size_t i = 0; i + 1 < type->child_count; i++)
        if (strcasecmp(type->names[i], name) == 0) return true;
    return false;
}

static gears_hook_type *parse_type(cursor *c, unsigned depth);

static bool parse_member(cursor *c, gears_hook_type *type, unsigned depth) {
    if (type->child_count == GEARS_HOOK_TYPE_MEMBERS) return false;
    size_t at = type->child_count;
    char **names = realloc(type->names, (at + 1) * sizeof *names);
    if (names == NULL) return false;
    type->names = names;
    gears_hook_type **children = realloc(type->children, (at + 1) * sizeof *children);
    if (children == NULL) return false;
    type->children = children;
    children[at] = NULL;
    names[at] = parse_name(c);
    type->child_count++;
    if (names[at] == NULL || has_member(type, names[at]) || !take(c, " ")) return false;
    children[at] = parse_type(c, depth + 1);
    return children[at] != NULL;
}

static gears_hook_type *parse_struct(cursor *c, unsigned depth) {
    gears_hook_type *type = new_type(GEARS_HOOK_STRUCT, 0);
    if (type == NULL) return NULL;
    do {
        if (parse_member(c, type, depth)) continue;
        gears_hook_type_free(type);
        return NULL;
    } while (take(c, ", "));
    if (take(c, ")")) return type;
    gears_hook_type_free(type);
    return NULL;
}

/* Ends at what can follow a type: ',', ')' or '['; DECIMAL has its own of the first two. */
static gears_hook_type *parse_plain(cursor *c) {
    const char *end = c->at;
    if (c->end - c->at > 8 && memcmp(c->at, "DECIMAL(", 8) == 0) {
        while (end < c->end && *end != ')') end++;
        if (end < c->end) end++;
    } else {
        while (end < c->end && strchr(",)[", *end) == NULL) end++;
    }
    gears_type plain;
    if (!gears_cast_parse_type(c->at, (size_t)(end - c->at), &plain)) return NULL;
    if (plain.kind == GEARS_ENUM) { /* goes in as VARCHAR */
        gears_cast_free_type(&plain);
        return NULL;
    }
    gears_hook_type *type = new_type(GEARS_HOOK_PLAIN, gears_cast_width(&plain));
    if (type != NULL) type->plain = plain;
    c->at = end;
    return type;
}

static gears_hook_type *wrap(gears_hook_shape shape, gears_hook_type *child) {
    gears_hook_type *type = child != NULL ? new_type(shape, 0) : NULL;
    if (type != NULL) type->children = malloc(sizeof *type->children);
    if (type == NULL || type->children == NULL) {
        free(type);
        gears_hook_type_free(child);
        return NULL;
    }
    type->children[0] = child;
    type->child_count = 1;
    return type;
}

static bool add_member(gears_hook_type *type, const char *name, gears_hook_type *child) {
    type->names[type->child_count] = strdup(name);
    type->children[type->child_count++] = child;
    return child != NULL && type->names[type->child_count - 1] != NULL;
}

/* Keys are told apart by their bytes; INTERVALs are equal in many ways, a BLOB has no text in JSON. */
static gears_hook_type *parse_key(cursor *c) {
    gears_hook_type *key = parse_plain(c);
    gears_kind kind = key != NULL ? key->plain.kind : GEARS_VARCHAR;
    if (kind != GEARS_INTERVAL && kind != GEARS_BLOB && kind != GEARS_JSON) return key;
    gears_hook_type_free(key);
    return NULL;
}

static gears_hook_type *parse_map(cursor *c, unsigned depth) {
    gears_hook_type *entry = new_type(GEARS_HOOK_STRUCT, 0);
    if (entry == NULL) return NULL;
    entry->children = calloc(2, sizeof *entry->children);
    entry->names = calloc(2, sizeof *entry->names);
    bool parsed = entry->children != NULL && entry->names != NULL && add_member(entry, "key", parse_key(c)) &&
                  take(c, ", ") && add_member(entry, "value", parse_type(c, depth + 2)) && take(c, ")");
    if (parsed) return wrap(GEARS_HOOK_MAP, entry);
    gears_hook_type_free(entry);
    return NULL;
}

static gears_hook_type *parse_base(cursor *c, unsigned depth) {
    if (take(c, "STRUCT(")) return parse_struct(c, depth);
    if (take(c, "MAP(")) return parse_map(c, depth);
    return parse_plain(c);
}

static unsigned height(const gears_hook_type *type) {
    unsigned most = 0;
    for (size_t i = 0; i < type->child_count; i++) {
        unsigned below = height(type->children[i]) + 1;
        if (below > most) most = below;
    }
    return most;
}

/* '[]', a size of 0, or '[n]'. */
static bool take_brackets(cursor *c, size_t *size) {
    cursor inside = *c;
    *size = 0;
    if (!take(&inside, "[")) return false;
    for (; inside.at < inside.end && *inside.at >= '0' && *inside.at <= '9' && *size <= GEARS_HOOK_TYPE_CELLS;
         inside.at++)
        *size = *size * 10 + (size_t)(*inside.at - '0');
    if (*size > GEARS_HOOK_TYPE_CELLS || !take(&inside, "]")) return false;
    *c = inside;
    return true;
}

/* Counts the cells of a type and of all in it. False: ARRAYs have too many. */
static bool count_cells(gears_hook_type *type) {
    bool has_array = type->shape == GEARS_HOOK_ARRAY;
    size_t inside = 0;
    for (size_t i = 0; i < type->child_count; i++) {
        if (!count_cells(type->children[i])) return false;
        inside += type->children[i]->cells;
        has_array |= type->children[i]->has_array;
    }
    type->has_array = has_array;
    bool apart = type->shape == GEARS_HOOK_LIST || type->shape == GEARS_HOOK_MAP;
    type->cells = apart ? 1 : type->shape == GEARS_HOOK_ARRAY ? type->size * inside : 1 + inside;
    return !has_array || type->cells <= GEARS_HOOK_TYPE_CELLS;
}

static gears_hook_type *parse_type(cursor *c, unsigned depth) {
    if (depth > MAX_DEPTH) return NULL;
    gears_hook_type *type = parse_base(c, depth);
    size_t size;
    for (unsigned lists = 0; type != NULL && take_brackets(c, &size); lists++) {
        if (depth + lists >= MAX_DEPTH) {
            gears_hook_type_free(type);
            return NULL;
        }
        type = wrap(size ? GEARS_HOOK_ARRAY : GEARS_HOOK_LIST, type);
        if (type != NULL) type->size = size;
    }
    return type;
}

gears_hook_type *gears_hook_type_parse(const char *text, size_t length) {
    if (length == 0 || length > MAX_TEXT) return NULL;
    cursor c = {text, text + length};
    gears_hook_type *type = parse_type(&c, 0);
    char *printed = type != NULL && height(type) <= MAX_DEPTH ? gears_hook_type_text(type) : NULL;
    if (printed != NULL && !count_cells(type)) {
        free(printed);
        printed = NULL;
    }
    bool canonical = printed != NULL && strlen(printed) == length && memcmp(printed, text, length) == 0;
    free(printed);
    if (canonical) return type;
    gears_hook_type_free(type);
    return NULL;
}

/* ---- tree → text ---------------------------------------------------------------------------------------------- */

/* Grows; once memory is out, `failed` stays. */
typedef struct text_buffer {
    char *data;
    size_t length, capacity;
    bool failed;
} text_buffer;

static void append(text_buffer *b, const char *bytes, size_t length) {
    if (b->failed) return;
    if (b->length + length + 1 > b->capacity) {
        size_t capacity = (b->length + length + 1) * 2;
        char *grown = realloc(b->data, capacity);
        if (grown == NULL) {
            b->failed = true;
            return;
        }
        b->data = grown;
        b->capacity = capacity;
    }
    memcpy(b->data + b->length, bytes, length);
    b->length += length;
    b->data[b->length] = 0;
}

static void append_text(text_buffer *b, const char *text) { append(b, text, strlen(text)); }

static char *finish(text_buffer *b) {
    if (!b->failed) return b->data;
    free(b->data);
    return NULL;
}

static void print_name(text_buffer *b, const char *name) {
    append_text(b, "\"");
    for (const char *at = name; *at != 0; at++) append(b, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
    append_text(b, "\" ");
}

static void print_plain(text_buffer *b, const gears_type *type) {
    append_text(b, gears_cast_kind_name(type->kind));
    if (type->kind != GEARS_DECIMAL) return;
    char arguments[16];
    snprintf(arguments, sizeof arguments, "(%u,%u)", type->precision, type->scale);
    append_text(b, arguments);
}

static void print_type(text_buffer *b, const gears_hook_type *type);

static void print_array(text_buffer *b, const gears_hook_type *type) {
    char size[24];
    snprintf(size, sizeof size, "[%zu]", type->size);
    print_type(b, type->children[0]);
    append_text(b, size);
}

static void print_type(text_buffer *b, const gears_hook_type *type) {
    switch (type->shape) {
    case GEARS_HOOK_PLAIN: print_plain(b, &type->plain); break;
    case GEARS_HOOK_LIST:
        print_type(b, type->children[0]);
        append_text(b, "[]");
        break;
    case GEARS_HOOK_ARRAY: print_array(b, type); break;
    case GEARS_HOOK_MAP:
        append_text(b, "MAP(");
        print_type(b, type->children[0]->children[0]);
        append_text(b, ", ");
        print_type(b, type->children[0]->children[1]);
        append_text(b, ")");
        break;
    case GEARS_HOOK_STRUCT:
        for (size_t i = 0; i < type->child_count; i++) {
            append_text(b, i ? ", " : "STRUCT(");
            print_name(b, type->names[i]);
            print_type(b, type->children[i]);
        }
        append_text(b, ")");
        break;
    }
}

char *gears_hook_type_text(const gears_hook_type *type) {
    text_buffer b = {0};
    print_type(&b, type);
    return finish(&b);
}

char *gears_hook_type_signature(bool aggregate, bool is_volatile, gears_hook_type *const *parameters, size_t count,
                                const gears_hook_type *returns) {
    text_buffer b = {0};
    append_text(&b, aggregate ? "aggregate " : "scalar ");
    append_text(&b, is_volatile ? "volatile (" : "immutable (");
    for (size_t i = 0; i < count; i++) {
        if (i) append_text(&b, ", ");
        print_type(&b, parameters[i]);
    }
    append_text(&b, ") -> ");
    print_type(&b, returns);
    return finish(&b);
}

char *gears_hook_type_call(bool aggregate, bool is_volatile, gears_hook_type *const *parameters, size_t count,
                           const gears_hook_type *returns) {
    char *signature = gears_hook_type_signature(aggregate, is_volatile, parameters, count, returns), *call = NULL;
    if (signature == NULL) return NULL;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const unsigned char *at = (const unsigned char *)signature; *at != 0; at++)
        hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    free(signature);
    if (asprintf(&call, "gears_hook_%016llx", (unsigned long long)hash) < 0) return NULL;
    return call;
}
