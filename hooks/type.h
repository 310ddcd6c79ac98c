/* The types of arguments and results: mailbox.h's canonical text → tree. */
#ifndef HOOKS_TYPE_H
#define HOOKS_TYPE_H

#include "state.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    HOOKS_BOOLEAN,
    HOOKS_TINYINT,
    HOOKS_SMALLINT,
    HOOKS_INTEGER,
    HOOKS_BIGINT,
    HOOKS_HUGEINT,
    HOOKS_UTINYINT,
    HOOKS_USMALLINT,
    HOOKS_UINTEGER,
    HOOKS_UBIGINT,
    HOOKS_UHUGEINT,
    HOOKS_FLOAT,
    HOOKS_DOUBLE,
    HOOKS_DATE,
    HOOKS_TIME,
    HOOKS_TIMESTAMP,
    HOOKS_TIMESTAMPTZ,
    HOOKS_INTERVAL,
    HOOKS_UUID,
    HOOKS_VARCHAR,
    HOOKS_BLOB,
    HOOKS_DECIMAL,
    HOOKS_LIST,
    HOOKS_STRUCT,
} hooks_kind;

typedef struct hooks_type {
    hooks_kind kind;
    unsigned width; /* bytes of a cell; 0 for VARCHAR, BLOB, LIST, STRUCT */
    unsigned precision, scale;
    unsigned child_count; /* 1 for LIST */
    struct hooks_type **children;
    PyObject **names; /* of a STRUCT's members: str */
    PyObject *text;   /* str, for messages */
} hooks_type;

/* NULL with ValueError if the text is no type in canonical form, or nests deeper than 16. */
hooks_type *hooks_type_parse(PyObject *text);
void hooks_type_free(hooks_type *type);

static inline bool hooks_type_is_fixed(const hooks_type *type) { return type->width > 0; }
static inline bool hooks_type_is_text(const hooks_type *type) {
    return type->kind == HOOKS_VARCHAR || type->kind == HOOKS_BLOB;
}

#endif
