/* JSON text as a flat array of nodes, each with the end of its subtree: enough to walk what DuckDB serialises. Nothing
 * is unescaped: who looks for a name has none that needs it. */
#ifndef GEARS_JSON_H
#define GEARS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pattern.h"

typedef enum { GEARS_JSON_OBJECT, GEARS_JSON_ARRAY, GEARS_JSON_STRING, GEARS_JSON_OTHER } gears_json_kind;

typedef struct gears_json_node {
    uint32_t start, length; /* in the text; of a string without its quotes */
    uint32_t end;           /* the node after this one's subtree */
    gears_json_kind kind;
} gears_json_node;

typedef struct gears_json {
    const char *text;
    gears_json_node *nodes; /* an object's members are name, value, name, value, … */
    uint32_t count;
} gears_json;

/* Any thread, no locks. False: no JSON, nested too deeply, too long, or no memory. Free it either way. */
bool gears_json_read(gears_json *json, const char *text, size_t length);
void gears_json_free(gears_json *json);

/* The value of an object's member; 0 (the root, which is nobody's value) if there is none. */
uint32_t gears_json_member(const gears_json *json, uint32_t object, const char *name);
/* The bytes of a string member, empty if there is none. */
gears_slice gears_json_text(const gears_json *json, uint32_t object, const char *name);
/* The bytes of a string or other plain value. */
gears_slice gears_json_bytes(const gears_json *json, uint32_t node);
bool gears_json_is(gears_slice bytes, const char *text);

#endif
