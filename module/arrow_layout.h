/* Arrow's format strings (C data interface) → the type as IPC metadata name it, and the buffers that it has. */
#ifndef GEARS_ARROW_LAYOUT_H
#define GEARS_ARROW_LAYOUT_H

#include "arrow_flat.h"

/* Which buffers an array has, validity aside. */
typedef enum {
    GEARS_LAYOUT_NULL,       /* none, no validity either */
    GEARS_LAYOUT_BITS,       /* a bit for each value */
    GEARS_LAYOUT_FIXED,      /* `width` bytes for each value */
    GEARS_LAYOUT_VARIABLE,   /* offsets of `width` bytes, data */
    GEARS_LAYOUT_LIST,       /* offsets of `width` bytes, one child */
    GEARS_LAYOUT_FIXED_LIST, /* one child with `width` elements for each value */
    GEARS_LAYOUT_STRUCT,     /* children only */
    GEARS_LAYOUT_SPARSE,     /* type ids, children of the same length; no validity */
    GEARS_LAYOUT_DENSE,      /* type ids, offsets, children; no validity */
} gears_layout;

/* `id` is the tag of Schema.fbs' union Type, `fields` its table. `text` follows the fields as a string (time zone,
 * may be NULL) or, for unions, as a vector of the type ids that it lists. */
typedef struct {
    gears_layout layout;
    int64_t width;
    uint8_t id;
    uint8_t field_count;
    gears_flat_field fields[3];
    const char *text;
} gears_arrow_type;

/* False if this format is none that we write. */
bool gears_layout_of(const struct ArrowSchema *schema, gears_arrow_type *out);

/* Reads the list of a union's type ids ('0,1,5'); -1 if it is malformed or longer than `room`. */
int gears_layout_union_ids(const char *text, int32_t *ids, int room);

#endif
