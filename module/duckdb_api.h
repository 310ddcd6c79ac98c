/* The part of DuckDB's C API that the module uses, declared here because the wheel ships no header, and bound by
 * dlsym from the wheel's shared object. Signatures are DuckDB's public API, version 2.0. */
#ifndef GEARS_DUCKDB_API_H
#define GEARS_DUCKDB_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ArrowSchema;
struct ArrowArray;

typedef uint64_t idx_t;
typedef struct gears_duckdb_handle *duckdb_database, *duckdb_connection, *duckdb_config, *duckdb_prepared_statement,
    *duckdb_data_chunk, *duckdb_vector, *duckdb_logical_type, *duckdb_value, *duckdb_table_function, *duckdb_bind_info,
    *duckdb_init_info, *duckdb_function_info, *duckdb_replacement_scan_info, *duckdb_arrow_options, *duckdb_error_data,
    *duckdb_scalar_function, *duckdb_aggregate_function, *duckdb_aggregate_state, *duckdb_selection_vector;

typedef enum { DuckDBSuccess = 0, DuckDBError = 1 } duckdb_state;

/* Only the statement type that a stage may have. */
enum { DUCKDB_STATEMENT_TYPE_SELECT = 1 };

/* Type ids of the columns that a scan can yield and of hooks' arguments and results. */
typedef enum {
    DUCKDB_TYPE_BOOLEAN = 1,
    DUCKDB_TYPE_TINYINT = 2,
    DUCKDB_TYPE_SMALLINT = 3,
    DUCKDB_TYPE_INTEGER = 4,
    DUCKDB_TYPE_BIGINT = 5,
    DUCKDB_TYPE_UTINYINT = 6,
    DUCKDB_TYPE_USMALLINT = 7,
    DUCKDB_TYPE_UINTEGER = 8,
    DUCKDB_TYPE_UBIGINT = 9,
    DUCKDB_TYPE_FLOAT = 10,
    DUCKDB_TYPE_DOUBLE = 11,
    DUCKDB_TYPE_TIMESTAMP = 12,
    DUCKDB_TYPE_DATE = 13,
    DUCKDB_TYPE_TIME = 14,
    DUCKDB_TYPE_INTERVAL = 15,
    DUCKDB_TYPE_HUGEINT = 16,
    DUCKDB_TYPE_VARCHAR = 17,
    DUCKDB_TYPE_BLOB = 18,
    DUCKDB_TYPE_TIMESTAMP_S = 20,
    DUCKDB_TYPE_TIMESTAMP_MS = 21,
    DUCKDB_TYPE_TIMESTAMP_NS = 22,
    DUCKDB_TYPE_UUID = 27,
    DUCKDB_TYPE_TIME_TZ = 30,
    DUCKDB_TYPE_TIMESTAMP_TZ = 31,
    DUCKDB_TYPE_UHUGEINT = 32,
    DUCKDB_TYPE_TIME_NS = 39,
} duckdb_type;

typedef struct {
    idx_t column_count;
    idx_t row_count;
    idx_t rows_changed;
    void *columns;
    char *error_message;
    void *internal_data;
} duckdb_result;

/* A VARCHAR or BLOB value in a vector: up to 12 bytes live in place. */
typedef union {
    struct {
        uint32_t length;
        char prefix[4];
        char *ptr;
    } pointer;
    struct {
        uint32_t length;
        char bytes[12];
    } inlined;
} duckdb_string_t;

typedef void (*duckdb_bind_callback)(duckdb_bind_info);
typedef void (*duckdb_init_callback)(duckdb_init_info);
typedef void (*duckdb_function_callback)(duckdb_function_info, duckdb_data_chunk);
typedef void (*duckdb_delete_callback)(void *);
typedef void (*duckdb_scalar_callback)(duckdb_function_info, duckdb_data_chunk, duckdb_vector);
typedef idx_t (*duckdb_aggregate_size_callback)(duckdb_function_info);
typedef void (*duckdb_aggregate_init_callback)(duckdb_function_info, duckdb_aggregate_state);
typedef void (*duckdb_aggregate_update_callback)(duckdb_function_info, duckdb_data_chunk, duckdb_aggregate_state *);
typedef void (*duckdb_aggregate_combine_callback)(duckdb_function_info, duckdb_aggregate_state *,
                                                  duckdb_aggregate_state *, idx_t);
typedef void (*duckdb_aggregate_finalize_callback)(duckdb_function_info, duckdb_aggregate_state *, duckdb_vector, idx_t,
                                                   idx_t);
typedef void (*duckdb_replacement_callback)(duckdb_replacement_scan_info, const char *, void *);

#define GEARS_DUCKDB_FUNCTIONS(X)                                                                                      \
    X(const char *, library_version, (void))                                                                           \
    X(duckdb_state, create_config, (duckdb_config *))                                                                  \
    X(duckdb_state, set_config, (duckdb_config, const char *, const char *))                                           \
    X(void, destroy_config, (duckdb_config *))                                                                         \
    X(duckdb_state, open_ext, (const char *, duckdb_database *, duckdb_config, char **))                               \
    X(void, close, (duckdb_database *))                                                                                \
    X(duckdb_state, connect, (duckdb_database, duckdb_connection *))                                                   \
    X(void, disconnect, (duckdb_connection *))                                                                         \
    X(void, interrupt, (duckdb_connection))                                                                            \
    X(void, free, (void *))                                                                                            \
    X(duckdb_state, query, (duckdb_connection, const char *, duckdb_result *))                                         \
    X(void, destroy_result, (duckdb_result *))                                                                         \
    X(const char *, result_error, (duckdb_result *))                                                                   \
    X(idx_t, column_count, (duckdb_result *))                                                                          \
    X(const char *, column_name, (duckdb_result *, idx_t))                                                             \
    X(duckdb_logical_type, column_logical_type, (duckdb_result *, idx_t))                                              \
    X(duckdb_data_chunk, fetch_chunk, (duckdb_result))                                                                 \
    X(duckdb_state, prepare, (duckdb_connection, const char *, duckdb_prepared_statement *))                           \
    X(const char *, prepare_error, (duckdb_prepared_statement))                                                        \
    X(int, prepared_statement_type, (duckdb_prepared_statement))                                                       \
    X(duckdb_state, bind_varchar_length, (duckdb_prepared_statement, idx_t, const char *, idx_t))                      \
    X(duckdb_state, execute_prepared, (duckdb_prepared_statement, duckdb_result *))                                    \
    X(duckdb_state, execute_prepared_streaming, (duckdb_prepared_statement, duckdb_result *))                          \
    X(void, destroy_prepare, (duckdb_prepared_statement *))                                                            \
    X(duckdb_table_function, create_table_function, (void))                                                            \
    X(void, destroy_table_function, (duckdb_table_function *))                                                         \
    X(void, table_function_set_name, (duckdb_table_function, const char *))                                            \
    X(void, table_function_add_parameter, (duckdb_table_function, duckdb_logical_type))                                \
    X(void, table_function_set_extra_info, (duckdb_table_function, void *, duckdb_delete_callback))                    \
    X(void *, init_get_extra_info, (duckdb_init_info))                                                                 \
    X(void, table_function_set_bind, (duckdb_table_function, duckdb_bind_callback))                                    \
    X(void, table_function_set_init, (duckdb_table_function, duckdb_init_callback))                                    \
    X(void, table_function_set_function, (duckdb_table_function, duckdb_function_callback))                            \
    X(void, table_function_supports_projection_pushdown, (duckdb_table_function, bool))                                \
    X(duckdb_state, register_table_function, (duckdb_connection, duckdb_table_function))                               \
    X(duckdb_value, bind_get_parameter, (duckdb_bind_info, idx_t))                                                     \
    X(void, bind_add_result_column, (duckdb_bind_info, const char *, duckdb_logical_type))                             \
    X(void, bind_set_bind_data, (duckdb_bind_info, void *, duckdb_delete_callback))                                    \
    X(void, bind_set_error, (duckdb_bind_info, const char *))                                                          \
    X(void *, init_get_bind_data, (duckdb_init_info))                                                                  \
    X(idx_t, init_get_column_count, (duckdb_init_info))                                                                \
    X(idx_t, init_get_column_index, (duckdb_init_info, idx_t))                                                         \
    X(void, init_set_init_data, (duckdb_init_info, void *, duckdb_delete_callback))                                    \
    X(void, init_set_max_threads, (duckdb_init_info, idx_t))                                                           \
    X(void, init_set_error, (duckdb_init_info, const char *))                                                          \
    X(void *, function_get_init_data, (duckdb_function_info))                                                          \
    X(void, function_set_error, (duckdb_function_info, const char *))                                                  \
    X(void, add_replacement_scan, (duckdb_database, duckdb_replacement_callback, void *, duckdb_delete_callback))      \
    X(void, replacement_scan_set_function_name, (duckdb_replacement_scan_info, const char *))                          \
    X(void, replacement_scan_add_parameter, (duckdb_replacement_scan_info, duckdb_value))                              \
    X(duckdb_value, create_int64, (int64_t))                                                                           \
    X(int64_t, get_int64, (duckdb_value))                                                                              \
    X(void, destroy_value, (duckdb_value *))                                                                           \
    X(duckdb_logical_type, create_logical_type, (duckdb_type))                                                         \
    X(duckdb_logical_type, create_decimal_type, (uint8_t, uint8_t))                                                    \
    X(duckdb_logical_type, create_enum_type, (const char **, idx_t))                                                   \
    X(duckdb_logical_type, create_list_type, (duckdb_logical_type))                                                    \
    X(duckdb_logical_type, create_struct_type, (duckdb_logical_type *, const char **, idx_t))                          \
    X(duckdb_logical_type, create_map_type, (duckdb_logical_type, duckdb_logical_type))                                \
    X(duckdb_logical_type, create_array_type, (duckdb_logical_type, idx_t))                                            \
    X(void, logical_type_set_alias, (duckdb_logical_type, const char *))                                               \
    X(void, destroy_logical_type, (duckdb_logical_type *))                                                             \
    X(duckdb_data_chunk, create_data_chunk, (duckdb_logical_type *, idx_t))                                            \
    X(void, data_chunk_reset, (duckdb_data_chunk))                                                                     \
    X(void, vector_reference_vector, (duckdb_vector, duckdb_vector))                                                   \
    X(void, vector_copy_sel, (duckdb_vector, duckdb_vector, duckdb_selection_vector, idx_t, idx_t, idx_t))             \
    X(duckdb_selection_vector, create_selection_vector, (idx_t))                                                       \
    X(void, destroy_selection_vector, (duckdb_selection_vector))                                                       \
    X(uint32_t *, selection_vector_get_data_ptr, (duckdb_selection_vector))                                            \
    X(idx_t, vector_size, (void))                                                                                      \
    X(duckdb_data_chunk, create_data_chunk, (duckdb_logical_type *, idx_t))                                            \
    X(idx_t, data_chunk_get_size, (duckdb_data_chunk))                                                                 \
    X(void, data_chunk_set_size, (duckdb_data_chunk, idx_t))                                                           \
    X(duckdb_vector, data_chunk_get_vector, (duckdb_data_chunk, idx_t))                                                \
    X(void, destroy_data_chunk, (duckdb_data_chunk *))                                                                 \
    X(void *, vector_get_data, (duckdb_vector))                                                                        \
    X(duckdb_logical_type, vector_get_column_type, (duckdb_vector))                                                    \
    X(duckdb_type, get_type_id, (duckdb_logical_type))                                                                 \
    X(uint64_t *, vector_get_validity, (duckdb_vector))                                                                \
    X(void, vector_ensure_validity_writable, (duckdb_vector))                                                          \
    X(void, unsafe_vector_assign_string_element_len, (duckdb_vector, idx_t, const char *, idx_t))                      \
    X(duckdb_scalar_function, create_scalar_function, (void))                                                          \
    X(void, destroy_scalar_function, (duckdb_scalar_function *))                                                       \
    X(void, scalar_function_set_name, (duckdb_scalar_function, const char *))                                          \
    X(void, scalar_function_set_special_handling, (duckdb_scalar_function))                                            \
    X(void, scalar_function_set_volatile, (duckdb_scalar_function))                                                    \
    X(void, scalar_function_add_parameter, (duckdb_scalar_function, duckdb_logical_type))                              \
    X(void, scalar_function_set_return_type, (duckdb_scalar_function, duckdb_logical_type))                            \
    X(void, scalar_function_set_extra_info, (duckdb_scalar_function, void *, duckdb_delete_callback))                  \
    X(void, scalar_function_set_function, (duckdb_scalar_function, duckdb_scalar_callback))                            \
    X(duckdb_state, register_scalar_function, (duckdb_connection, duckdb_scalar_function))                             \
    X(void *, scalar_function_get_extra_info, (duckdb_function_info))                                                  \
    X(void, scalar_function_set_error, (duckdb_function_info, const char *))                                           \
    X(duckdb_aggregate_function, create_aggregate_function, (void))                                                    \
    X(void, destroy_aggregate_function, (duckdb_aggregate_function *))                                                 \
    X(void, aggregate_function_set_name, (duckdb_aggregate_function, const char *))                                    \
    X(void, aggregate_function_set_special_handling, (duckdb_aggregate_function))                                      \
    X(void, aggregate_function_add_parameter, (duckdb_aggregate_function, duckdb_logical_type))                        \
    X(void, aggregate_function_set_return_type, (duckdb_aggregate_function, duckdb_logical_type))                      \
    X(void, aggregate_function_set_extra_info, (duckdb_aggregate_function, void *, duckdb_delete_callback))            \
    X(void, aggregate_function_set_functions,                                                                          \
      (duckdb_aggregate_function, duckdb_aggregate_size_callback, duckdb_aggregate_init_callback,                      \
       duckdb_aggregate_update_callback, duckdb_aggregate_combine_callback, duckdb_aggregate_finalize_callback))       \
    X(duckdb_state, register_aggregate_function, (duckdb_connection, duckdb_aggregate_function))                       \
    X(void *, aggregate_function_get_extra_info, (duckdb_function_info))                                               \
    X(void, aggregate_function_set_error, (duckdb_function_info, const char *))                                        \
    X(duckdb_vector, list_vector_get_child, (duckdb_vector))                                                           \
    X(idx_t, list_vector_get_size, (duckdb_vector))                                                                    \
    X(duckdb_state, list_vector_set_size, (duckdb_vector, idx_t))                                                      \
    X(duckdb_state, list_vector_reserve, (duckdb_vector, idx_t))                                                       \
    X(duckdb_vector, struct_vector_get_child, (duckdb_vector, idx_t))                                                  \
    X(duckdb_vector, array_vector_get_child, (duckdb_vector))                                                          \
    X(void, connection_get_arrow_options, (duckdb_connection, duckdb_arrow_options *))                                 \
    X(void, destroy_arrow_options, (duckdb_arrow_options *))                                                           \
    X(duckdb_error_data, to_arrow_schema,                                                                              \
      (duckdb_arrow_options, duckdb_logical_type *, const char **, idx_t, struct ArrowSchema *))                       \
    X(duckdb_error_data, data_chunk_to_arrow, (duckdb_arrow_options, duckdb_data_chunk, struct ArrowArray *))          \
    X(bool, error_data_has_error, (duckdb_error_data))                                                                 \
    X(const char *, error_data_message, (duckdb_error_data))                                                           \
    X(void, destroy_error_data, (duckdb_error_data *))

#define GEARS_DECLARE(type, name, parameters) extern type(*duckdb_##name) parameters;
GEARS_DUCKDB_FUNCTIONS(GEARS_DECLARE)
#undef GEARS_DECLARE

/* Open the wheel's shared object at `path` and bind every function above. Returns NULL, or what went wrong
 * (static storage). libpython must be global before: the object has undefined Python symbols.
 * Runs on: main thread, once, in OnLoad. */
const char *gears_duckdb_bind(const char *path);

/* The one in-memory database of this server, locked down (no files, no network, no extensions, fixed settings),
 * opened at the first call. Returns NULL and logs on failure. Runs on: worker threads. GIL: released. */
duckdb_database gears_duckdb_database(unsigned memory_megabytes, char **error);
/* One more like it, of which memory_limit may be set: DuckDB knows no bound of one connection. */
duckdb_database gears_duckdb_bounded(unsigned memory_megabytes, char **error);

#endif
