/* DuckDB's vectors, ours here: as long as they must be and no longer, so that a cell outside is seen. */
#ifndef GEARS_FAKE_VECTOR_H
#define GEARS_FAKE_VECTOR_H

#include <stdlib.h>
#include <string.h>

#include "hook_type.h"

/* A duckdb_vector, by the type it is of. */
typedef struct vector {
    const gears_hook_type *type;
    size_t rows, width; /* room, and bytes of a cell */
    char *cells;
    uint64_t *validity;
    struct vector *children;
    size_t list_size;
} vector;

enum { MOST_LIST = 1 << 20 };

static bool is_list(const gears_hook_type *type) {
    return type->shape == GEARS_HOOK_LIST || type->shape == GEARS_HOOK_MAP;
}

static size_t rows_inside(const gears_hook_type *type, size_t rows) {
    return is_list(type) ? 0 : type->shape == GEARS_HOOK_ARRAY ? rows * type->size : rows;
}

static void make(vector *v, const gears_hook_type *type, size_t rows) {
    size_t fixed = type->shape == GEARS_HOOK_STRUCT ? 0 : 16; /* texts and lists */
    *v = (vector){.type = type, .rows = rows, .width = type->width ? type->width : fixed};
    v->cells = calloc(rows * v->width + 1, 1);
    v->children = calloc(type->child_count + 1, sizeof *v->children);
    for (size_t i = 0; i < type->child_count; i++)
        make(&v->children[i], type->children[i], rows_inside(type, rows));
}

static void resize(vector *v, size_t rows) {
    v->cells = realloc(v->cells, rows * v->width + 1);
    if (v->validity) v->validity = realloc(v->validity, (rows + 63) / 64 * 8 + 1);
    v->rows = rows;
    /* What is new holds anything. */
    for (size_t i = 0; i < v->type->child_count && !is_list(v->type); i++)
        resize(&v->children[i], rows_inside(v->type, rows));
}

static void release(vector *v) {
    for (size_t i = 0; i < v->type->child_count; i++) release(&v->children[i]);
    free(v->children), free(v->cells), free(v->validity);
}

static void *data_of(duckdb_vector v) { return ((vector *)(void *)v)->cells; }
static uint64_t *validity_of(duckdb_vector v) { return ((vector *)(void *)v)->validity; }

static void make_validity(duckdb_vector handle) {
    vector *v = (vector *)(void *)handle;
    size_t bytes = (v->rows + 63) / 64 * 8;
    if (v->validity == NULL) v->validity = malloc(bytes + 1), memset(v->validity, 0xFF, bytes);
}

/* DuckDB would copy them. */
static void assign(duckdb_vector handle, idx_t row, const char *bytes, idx_t length) {
    vector *v = (vector *)(void *)handle;
    char *copy = malloc(length ? length : 1);
    if (length) memcpy(copy, bytes, length);
    v->cells[row * 16] = length ? copy[length - 1] : 0;
    free(copy);
}

static duckdb_vector child_of(duckdb_vector v) { return (duckdb_vector)(void *)((vector *)(void *)v)->children; }
static duckdb_vector member_of(duckdb_vector v, idx_t i) {
    return (duckdb_vector)(void *)&((vector *)(void *)v)->children[i];
}
static idx_t size_of(duckdb_vector v) { return ((vector *)(void *)v)->list_size; }

static duckdb_state reserve(duckdb_vector handle, idx_t rows) {
    vector *v = (vector *)(void *)handle;
    if (rows > MOST_LIST) return DuckDBError;
    if (rows > v->children->rows) resize(v->children, rows);
    return DuckDBSuccess;
}

static duckdb_state set_size(duckdb_vector v, idx_t rows) {
    ((vector *)(void *)v)->list_size = rows;
    return DuckDBSuccess;
}

static void bind(void) {
    duckdb_vector_get_data = data_of;
    duckdb_vector_get_validity = validity_of;
    duckdb_vector_ensure_validity_writable = make_validity;
    duckdb_unsafe_vector_assign_string_element_len = assign;
    duckdb_list_vector_get_child = child_of;
    duckdb_list_vector_get_size = size_of;
    duckdb_list_vector_reserve = reserve;
    duckdb_list_vector_set_size = set_size;
    duckdb_array_vector_get_child = child_of;
    duckdb_struct_vector_get_child = member_of;
}

#endif
