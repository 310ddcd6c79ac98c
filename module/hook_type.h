/* The types of hooks' arguments and results: canonical text (mailbox.h) ↔ tree ↔ DuckDB's logical types, and the
 * names under which DuckDB knows functions of a signature. */
#ifndef GEARS_HOOK_TYPE_H
#define GEARS_HOOK_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "cast.h"
#include "duckdb_api.h"

/* Members of a STRUCT at most, and cells of a type with ARRAYs, since vectors have room for them in every row. */
enum { GEARS_HOOK_TYPE_MEMBERS = 1024, GEARS_HOOK_TYPE_CELLS = 8192 };

typedef enum {
    GEARS_HOOK_PLAIN,
    GEARS_HOOK_LIST,
    GEARS_HOOK_ARRAY, /* of columns only */
    GEARS_HOOK_STRUCT,
    GEARS_HOOK_MAP, /* of columns only: a list of STRUCT("key" K, "value" T) underneath, K plain */
} gears_hook_shape;

typedef struct gears_hook_type {
    gears_hook_shape shape;
    gears_type plain;   /* of PLAIN */
    size_t width;       /* bytes of a cell; 0 for VARCHAR, BLOB, LIST, STRUCT */
    size_t size;        /* of an ARRAY */
    size_t cells;       /* that a value takes in vectors, those of lists' elements left out */
    bool has_array;     /* it, or what is in it */
    size_t child_count; /* 1 for LIST, ARRAY and MAP */
    struct gears_hook_type **children;
    char **names; /* of a STRUCT's members */
} gears_hook_type;

/* NULL if the text is not a type in canonical form, or nests deeper than 16. */
gears_hook_type *gears_hook_type_parse(const char *text, size_t length);
/* Whether sessions know it: it has no MAP, ARRAY or type that only columns have. */
bool gears_hook_type_crosses(const gears_hook_type *type);
void gears_hook_type_free(gears_hook_type *type);
/* Malloc'ed canonical text. */
char *gears_hook_type_text(const gears_hook_type *type);
duckdb_logical_type gears_hook_type_logical(const gears_hook_type *type);

/* What DuckDB knows a function by, in full: 'scalar immutable (BIGINT, VARCHAR) -> VARCHAR[]'. Malloc'ed. */
char *gears_hook_type_signature(bool aggregate, bool is_volatile, gears_hook_type *const *parameters, size_t count,
                                const gears_hook_type *returns);
/* 'gears_hook_<16 hex digits>': FNV-1a of the signature, the same on every server.
 * Aggregates are <name>(index, …), <name>_state(index, …) → BLOB. Malloc'ed. */
char *gears_hook_type_call(bool aggregate, bool is_volatile, gears_hook_type *const *parameters, size_t count,
                           const gears_hook_type *returns);

#endif
