/* Rows: the columns of a message → Python objects, and the loops that call a hook for each row. */
#ifndef HOOKS_ROWS_H
#define HOOKS_ROWS_H

#include "type.h"

/* A column in a message, laid out and checked: offsets rise and stay inside. */
typedef struct hooks_view {
    const hooks_type *type;
    uint64_t rows;
    const uint64_t *validity, *offsets;
    const unsigned char *cells; /* or the bytes that the offsets mean */
    struct hooks_view *children;
} hooks_view;

typedef struct {
    PyObject_HEAD hooks_state *state;
    Py_ssize_t column_count;
    hooks_type **types;
    hooks_view *views;
    /* The message's own copy: a hook's EXECUTE writes over the mailbox, and a hostile process at any time. */
    unsigned char *copy;
    uint64_t copy_room, size;
    uint64_t count;
    bool is_loaded;
    Py_ssize_t failed; /* row of the last failure, -1: none */
    const char *phase; /* of the last failure: argument, call, result */
} hooks_rows;

static inline bool hooks_view_is_valid(const hooks_view *view, uint64_t row) {
    return view->validity[row / 64] >> (row % 64) & 1;
}

#endif
