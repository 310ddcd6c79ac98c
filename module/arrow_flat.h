/* The metadata of Arrow IPC messages are FlatBuffers; this writes one, front to back: a table first, then what its
 * offsets point to ("FlatBuffer Internals" describes the format).
 *
 * Out of memory is remembered in `failed`; all later calls do nothing, so one look at the end is enough.
 */
#ifndef GEARS_ARROW_FLAT_H
#define GEARS_ARROW_FLAT_H

#include "arrow_ipc.h"

/* `base` is where the FlatBuffer begins in `out`, at a multiple of 8. */
typedef struct {
    gears_buffer *out;
    size_t base;
    bool failed;
} gears_flat;

/* A field of a table: `size` bytes of `value`; size 0 is an absent field. */
typedef struct {
    uint8_t size;
    int64_t value;
} gears_flat_field;

#define GEARS_FLAT_ABSENT ((gears_flat_field){0, 0})
#define GEARS_FLAT_OFFSET ((gears_flat_field){4, 0})
#define GEARS_FLAT_BOOL(v) ((gears_flat_field){1, (v)})
#define GEARS_FLAT_BYTE(v) ((gears_flat_field){1, (v)})
#define GEARS_FLAT_SHORT(v) ((gears_flat_field){2, (v)})
#define GEARS_FLAT_INT(v) ((gears_flat_field){4, (v)})
#define GEARS_FLAT_LONG(v) ((gears_flat_field){8, (v)})

enum { GEARS_FLAT_FIELDS = 7 };

/* Where a table's fields lie in the buffer. */
typedef struct {
    size_t slots[GEARS_FLAT_FIELDS];
} gears_flat_table;

/* Appends `n` bytes (zeros if `data` is NULL) and returns their place. */
size_t gears_flat_append(gears_flat *f, const void *data, size_t n);

/* Appends zeros until the next byte, `ahead` bytes further, is at a multiple of `unit`. */
void gears_flat_align(gears_flat *f, size_t unit, size_t ahead);

/* Writes a number at a place that was appended before. */
void gears_flat_patch(gears_flat *f, size_t place, int64_t value, size_t size);

/* Appends a table, to which the offset at `from` then points. Its own offsets are still to be filled: by these same
 * functions with `from` one of the slots. */
gears_flat_table gears_flat_write_table(gears_flat *f, size_t from, const gears_flat_field *fields, size_t n);

void gears_flat_write_string(gears_flat *f, size_t from, const char *text, size_t n);

/* Appends a vector of `n` elements of `size` bytes; `data` NULL leaves zeros. Returns the place of the first one. */
size_t gears_flat_write_vector(gears_flat *f, size_t from, const void *data, size_t n, size_t size);

#endif
