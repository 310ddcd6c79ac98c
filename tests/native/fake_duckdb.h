/* A DuckDB that takes what is registered, for programs that then call it themselves; its chunks are vectors of ours. */
#ifndef GEARS_FAKE_DUCKDB_H
#define GEARS_FAKE_DUCKDB_H

#include <stdio.h>
#include <string.h>

#include "duckdb_api.h"

enum { MOST_REGISTERED = 32, TYPE_LIST = 24 };

/* A function, of whatever kind, as it was registered. */
typedef struct function {
    char name[64];
    int parameters[8], count;
    bool is_volatile;
    duckdb_scalar_callback call;
} function;

static function registered[MOST_REGISTERED], drafts[MOST_REGISTERED];
static int registered_count, draft_count;
static bool refuses;
static duckdb_bind_callback on_bind;
static duckdb_init_callback on_init;
static duckdb_function_callback on_read;

/* A chunk is its vectors. */
typedef struct vector {
    int type;
    void *data;
    uint64_t *validity, bits[32];
} vector;

typedef struct chunk {
    vector vectors[3];
    idx_t size;
} chunk;

/* What one call is told, and tells. */
static struct {
    int64_t parameter;
    void *bound, *state;
    duckdb_delete_callback forget;
    const char *error;
    int columns;
} info;

static void *new_draft(void) {
    drafts[draft_count] = (function){0};
    return &drafts[draft_count++];
}
static void drop_draft(void *draft) { (void)draft, draft_count--; }
static void set_name(void *draft, const char *name) {
    snprintf(((function *)draft)->name, sizeof((function *)draft)->name, "%s", name);
}
static void add_parameter(void *draft, duckdb_logical_type type) {
    function *f = draft;
    f->parameters[f->count++] = (int)(uintptr_t)type;
}
static void set_volatile(void *draft) { ((function *)draft)->is_volatile = true; }
static void set_call(void *draft, duckdb_scalar_callback call) { ((function *)draft)->call = call; }
static duckdb_state register_it(duckdb_connection connection, void *draft) {
    (void)connection;
    if (refuses) return DuckDBError;
    registered[registered_count++] = *(function *)draft;
    return DuckDBSuccess;
}

#define OF(kind, verb) duckdb_##kind##_function_##verb
static duckdb_scalar_function new_scalar(void) { return new_draft(); }
static void drop_scalar(duckdb_scalar_function *f) { drop_draft(*f); }
static void name_scalar(duckdb_scalar_function f, const char *name) { set_name(f, name); }
static void scalar_parameter(duckdb_scalar_function f, duckdb_logical_type type) { add_parameter(f, type); }
static void scalar_returns(duckdb_scalar_function f, duckdb_logical_type type) { (void)f, (void)type; }
static void scalar_special(duckdb_scalar_function f) { (void)f; }
static void scalar_volatile(duckdb_scalar_function f) { set_volatile(f); }
static void scalar_extra(duckdb_scalar_function f, void *extra, duckdb_delete_callback forget) {
    (void)f, (void)extra, (void)forget;
}
static void scalar_call(duckdb_scalar_function f, duckdb_scalar_callback call) { set_call(f, call); }
static duckdb_state register_scalar(duckdb_connection c, duckdb_scalar_function f) { return register_it(c, f); }

static duckdb_aggregate_function new_aggregate(void) { return new_draft(); }
static void drop_aggregate(duckdb_aggregate_function *f) { drop_draft(*f); }
static void name_aggregate(duckdb_aggregate_function f, const char *name) { set_name(f, name); }
static void aggregate_parameter(duckdb_aggregate_function f, duckdb_logical_type type) { add_parameter(f, type); }
static void aggregate_returns(duckdb_aggregate_function f, duckdb_logical_type type) { (void)f, (void)type; }
static void aggregate_special(duckdb_aggregate_function f) { (void)f; }
static void aggregate_extra(duckdb_aggregate_function f, void *extra, duckdb_delete_callback forget) {
    (void)f, (void)extra, (void)forget;
}
static void aggregate_calls(duckdb_aggregate_function f, duckdb_aggregate_size_callback size,
                            duckdb_aggregate_init_callback init, duckdb_aggregate_update_callback update,
                            duckdb_aggregate_combine_callback combine, duckdb_aggregate_finalize_callback finalize) {
    (void)f, (void)size, (void)init, (void)update, (void)combine, (void)finalize;
}
static duckdb_state register_aggregate(duckdb_connection c, duckdb_aggregate_function f) { return register_it(c, f); }

static duckdb_table_function new_table(void) { return new_draft(); }
static void drop_table(duckdb_table_function *f) { drop_draft(*f); }
static void name_table(duckdb_table_function f, const char *name) { set_name(f, name); }
static void table_parameter(duckdb_table_function f, duckdb_logical_type type) { add_parameter(f, type); }
static void table_bind(duckdb_table_function f, duckdb_bind_callback call) { (void)f, on_bind = call; }
static void table_init(duckdb_table_function f, duckdb_init_callback call) { (void)f, on_init = call; }
static void table_read(duckdb_table_function f, duckdb_function_callback call) { (void)f, on_read = call; }
static duckdb_state register_table(duckdb_connection c, duckdb_table_function f) { return register_it(c, f); }

static duckdb_logical_type logical(duckdb_type type) { return (duckdb_logical_type)(uintptr_t)type; } /* NOLINT */
static duckdb_type id_of(duckdb_logical_type type) { return (duckdb_type)(uintptr_t)type; }
static void forget_type(duckdb_logical_type *type) { (void)type; }
static duckdb_state query(duckdb_connection connection, const char *sql, duckdb_result *result) {
    (void)connection, (void)sql, (void)result;
    return DuckDBSuccess;
}
static void forget_result(duckdb_result *result) { (void)result; }

static vector *vector_at(duckdb_data_chunk c, idx_t i) { return &((chunk *)(void *)c)->vectors[i]; }
static duckdb_vector get_vector(duckdb_data_chunk c, idx_t i) { return (duckdb_vector)(void *)vector_at(c, i); }
static idx_t size_of(duckdb_data_chunk c) { return ((chunk *)(void *)c)->size; }
static void set_size(duckdb_data_chunk c, idx_t size) { ((chunk *)(void *)c)->size = size; }
static void *data_of(duckdb_vector v) { return ((vector *)(void *)v)->data; }
static uint64_t *validity_of(duckdb_vector v) { return ((vector *)(void *)v)->validity; }
static void make_validity(duckdb_vector handle) {
    vector *v = (vector *)(void *)handle;
    if (v->validity == NULL) memset(v->bits, 0xff, sizeof v->bits), v->validity = v->bits;
}
static duckdb_logical_type type_of(duckdb_vector v) { return logical((duckdb_type)((vector *)(void *)v)->type); }

static duckdb_value get_parameter(duckdb_bind_info i, idx_t index) { return (void)index, (duckdb_value)(void *)i; }
static int64_t get_int64(duckdb_value value) { return (void)value, info.parameter; }
static void forget_value(duckdb_value *value) { (void)value; }
static void bind_error(duckdb_bind_info i, const char *text) { (void)i, info.error = text; }
static void init_error(duckdb_init_info i, const char *text) { (void)i, info.error = text; }
static void call_error(duckdb_function_info i, const char *text) { (void)i, info.error = text; }
static void result_column(duckdb_bind_info i, const char *name, duckdb_logical_type type) {
    (void)i, (void)name, (void)type, info.columns++;
}
static void keep_bound(duckdb_bind_info i, void *data, duckdb_delete_callback forget) {
    (void)i, (void)forget, info.bound = data;
}
static void *get_bound(duckdb_init_info i) { return (void)i, info.bound; }
static void most_threads(duckdb_init_info i, idx_t threads) { (void)i, (void)threads; }
static void keep_state(duckdb_init_info i, void *state, duckdb_delete_callback forget) {
    (void)i, info.state = state, info.forget = forget;
}
static void *get_state(duckdb_function_info i) { return (void)i, info.state; }

static void bind_duckdb(void) {
    duckdb_create_scalar_function = new_scalar, duckdb_destroy_scalar_function = drop_scalar;
    OF(scalar, set_name) = name_scalar, OF(scalar, add_parameter) = scalar_parameter;
    OF(scalar, set_return_type) = scalar_returns, OF(scalar, set_special_handling) = scalar_special;
    OF(scalar, set_volatile) = scalar_volatile, OF(scalar, set_extra_info) = scalar_extra;
    OF(scalar, set_function) = scalar_call, OF(scalar, set_error) = call_error;
    duckdb_register_scalar_function = register_scalar;
    duckdb_create_aggregate_function = new_aggregate, duckdb_destroy_aggregate_function = drop_aggregate;
    OF(aggregate, set_name) = name_aggregate, OF(aggregate, add_parameter) = aggregate_parameter;
    OF(aggregate, set_return_type) = aggregate_returns, OF(aggregate, set_special_handling) = aggregate_special;
    OF(aggregate, set_extra_info) = aggregate_extra, OF(aggregate, set_functions) = aggregate_calls;
    duckdb_register_aggregate_function = register_aggregate;
    duckdb_create_table_function = new_table, duckdb_destroy_table_function = drop_table;
    OF(table, set_name) = name_table, OF(table, add_parameter) = table_parameter, OF(table, set_bind) = table_bind;
    OF(table, set_init) = table_init, OF(table, set_function) = table_read;
    duckdb_register_table_function = register_table;
    duckdb_create_logical_type = logical, duckdb_destroy_logical_type = forget_type, duckdb_get_type_id = id_of;
    duckdb_query = query, duckdb_destroy_result = forget_result;
    duckdb_data_chunk_get_vector = get_vector, duckdb_data_chunk_get_size = size_of;
    duckdb_data_chunk_set_size = set_size, duckdb_vector_get_data = data_of, duckdb_vector_get_validity = validity_of;
    duckdb_vector_ensure_validity_writable = make_validity, duckdb_vector_get_column_type = type_of;
    duckdb_bind_get_parameter = get_parameter, duckdb_get_int64 = get_int64, duckdb_destroy_value = forget_value;
    duckdb_bind_set_error = bind_error, duckdb_init_set_error = init_error, duckdb_function_set_error = call_error;
    duckdb_bind_add_result_column = result_column, duckdb_bind_set_bind_data = keep_bound;
    duckdb_init_get_bind_data = get_bound, duckdb_init_set_max_threads = most_threads;
    duckdb_init_set_init_data = keep_state, duckdb_function_get_init_data = get_state;
}

#endif
