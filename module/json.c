/* Reads JSON into a flat array of nodes; see json.h. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 10000, MAX_BYTES = 1 << 30 };

typedef struct reader {
    gears_json *json;
    const char *at, *end;
    uint32_t capacity;
    unsigned depth;
} reader;

static void skip_blanks(reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static bool take(reader *r, char wanted) {
    skip_blanks(r);
    if (r->at == r->end || *r->at != wanted) return false;
    r->at++;
    return true;
}

static bool add(reader *r, gears_json_kind kind, uint32_t *index) {
    gears_json *json = r->json;
    if (json->count == r->capacity) {
        uint32_t capacity = r->capacity ? r->capacity * 2 : 1024;
        gears_json_node *grown = realloc(json->nodes, capacity * sizeof *grown);
        if (grown == NULL) return false;
        json->nodes = grown;
        r->capacity = capacity;
    }
    *index = json->count++;
    json->nodes[*index] = (gears_json_node){.start = (uint32_t)(r->at - json->text), .kind = kind};
    return true;
}

static void close_node(reader *r, uint32_t index, const char *last) {
    gears_json_node *node = &r->json->nodes[index];
    node->length = (uint32_t)(last - r->json->text) - node->start;
    node->end = r->json->count;
}

static bool read_string(reader *r) {
    uint32_t index;
    if (!take(r, '"') || !add(r, GEARS_JSON_STRING, &index)) return false;
    for (; r->at < r->end && *r->at != '"'; r->at++)
        if (*r->at == '\\') r->at++;
    if (r->at >= r->end) return false;
    close_node(r, index, r->at++);
    return true;
}

static bool read_plain(reader *r) {
    uint32_t index;
    if (!add(r, GEARS_JSON_OTHER, &index)) return false;
    const char *start = r->at;
    while (r->at < r->end && memchr(",]} \n\t\r", *r->at, 7) == NULL) r->at++;
    close_node(r, index, r->at);
    return r->at > start;
}

static bool read_value(reader *r);

static bool read_items(reader *r, char closing) {
    if (take(r, closing)) return true;
    do {
        if (closing == '}' && (!read_string(r) || !take(r, ':'))) return false;
        if (!read_value(r)) return false;
    } while (take(r, ','));
    return take(r, closing);
}

static bool read_value(reader *r) {
    uint32_t index;
    skip_blanks(r);
    char first = r->at < r->end ? *r->at : 0;
    if (first == '"') return read_string(r);
    if (first != '{' && first != '[') return read_plain(r);
    if (++r->depth > MAX_DEPTH || !add(r, first == '{' ? GEARS_JSON_OBJECT : GEARS_JSON_ARRAY, &index)) return false;
    r->at++;
    if (!read_items(r, first == '{' ? '}' : ']')) return false;
    r->depth--;
    close_node(r, index, r->at);
    return true;
}

bool gears_json_read(gears_json *json, const char *text, size_t length) {
    *json = (gears_json){.text = text};
    if (length > MAX_BYTES) return false;
    reader r = {.json = json, .at = text, .end = text + length};
    if (!read_value(&r)) return false;
    skip_blanks(&r);
    return r.at == r.end;
}

void gears_json_free(gears_json *json) {
    free(json->nodes);
    *json = (gears_json){0};
}

bool gears_json_is(gears_slice bytes, const char *text) {
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

gears_slice gears_json_bytes(const gears_json *json, uint32_t node) {
    return (gears_slice){json->text + json->nodes[node].start, json->nodes[node].length};
}

uint32_t gears_json_member(const gears_json *json, uint32_t object, const char *name) {
    if (json->nodes[object].kind != GEARS_JSON_OBJECT) return 0;
    for (uint32_t at = object + 1; at < json->nodes[object].end; at = json->nodes[at + 1].end)
        if (gears_json_is(gears_json_bytes(json, at), name)) return at + 1;
    return 0;
}

gears_slice gears_json_text(const gears_json *json, uint32_t object, const char *name) {
    uint32_t value = gears_json_member(json, object, name);
    if (value == 0 || json->nodes[value].kind != GEARS_JSON_STRING) return (gears_slice){"", 0};
    return gears_json_bytes(json, value);
}
