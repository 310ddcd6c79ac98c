/* Column: Python objects → a column of mailbox.h, value by value. */
#ifndef HOOKS_COLUMN_H
#define HOOKS_COLUMN_H

#include "type.h"

/* A column that grows. Children of a LIST have offsets[rows] rows, those of a STRUCT `rows`, so cutting `rows` back
 * takes a half-written value out again. */
typedef struct hooks_growing {
    const hooks_type *type;
    uint64_t rows, room; /* rows there, rows that fit into validity, cells, offsets */
    uint64_t *validity;
    unsigned char *cells;
    uint64_t *offsets;
    char *bytes;
    uint64_t bytes_room;
    struct hooks_growing *children;
} hooks_growing;

typedef struct {
    PyObject_HEAD hooks_state *state;
    hooks_type *type;
    hooks_growing values;
} hooks_column;

/* Append a value (None: NULL). 0, or -1 with an exception and the column as before. */
int hooks_column_append(hooks_column *column, PyObject *value);
void hooks_column_clear(hooks_column *column);
/* Bytes of the column as a message has it, a multiple of 8. */
uint64_t hooks_column_size(const hooks_column *column);
/* Write them to `out`, 8-byte aligned. */
void hooks_column_write(const hooks_column *column, unsigned char *out);

#endif
