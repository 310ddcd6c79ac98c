/* JSON texts (json_text.h) as values of nested types: lists, structs, maps.
 *
 *   LIST     an array
 *   ARRAY    an array of as many elements as the type has
 *   STRUCT   an object: a missing member is NULL, one that is not declared is passed over, of two of one name the last counts
 *   MAP      an object, of which each name is read as a key, by the casts of columns, and each key is there once
 *   others   the characters of a string, else the value as it is written, by the casts of columns (cast.h)
 *
 * null is NULL, at any depth. A text is judged first, without DuckDB, and written when it fits: so a misfit leaves nothing
 * behind, and a snapshot's child can judge. A value has at most GEARS_NESTED_CELLS cells, which bounds the memory that a
 * text can make of itself; its depth is the type's, and json_text.h's below a leaf. */
#ifndef GEARS_NESTED_H
#define GEARS_NESTED_H

#include "hook_type.h"
#include "pattern.h"

#define GEARS_NESTED_CELLS ((size_t)1 << 24)

/* What judging and writing need besides; grows, and is kept from value to value. Zeroed at first. */
typedef struct gears_nested_room {
    char *characters;
    size_t size;
    gears_slice *names; /* of the maps around the value at hand; of keys that are no VARCHAR the values, of 16 bytes */
    size_t name_count, name_capacity;
} gears_nested_room;

typedef enum { GEARS_NESTED_MISFIT, GEARS_NESTED_NULL, GEARS_NESTED_VALUE, GEARS_NESTED_NO_MEMORY } gears_nested_fit;

/* Whether a column can be read as this type: nested, of leaves that JSON has texts for. */
bool gears_nested_is(const gears_hook_type *type);

/* Judge a text; adds the cells that it takes to `cells`. No state but `room`. */
gears_nested_fit gears_nested_judge(const gears_hook_type *type, const char *s, size_t n, gears_nested_room *room,
                                    size_t *cells);

/* Write a text that was judged to a row of a flat vector. False: out of memory.
 * DuckDB may leave this by an exception: it owns nothing but `room`. */
bool gears_nested_write(const gears_hook_type *type, const char *s, size_t n, gears_nested_room *room,
                        duckdb_vector vector, idx_t row);

/* Set a row to NULL, members of structs included, as DuckDB wants it. */
void gears_nested_write_null(const gears_hook_type *type, duckdb_vector vector, idx_t row);

/* Forget the elements of all rows of a vector. */
void gears_nested_clear(const gears_hook_type *type, duckdb_vector vector);

void gears_nested_free(gears_nested_room *room);

#endif
