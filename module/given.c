/* A stage's own relations as a table function; see given.h. A client made the bytes: batch_read.c believes none. */
#include "given.h"

#include <stdlib.h>

#include "batch.h"
#include "scan.h"

typedef struct reading {
    const gears_given *given;
    char *at;
    uint64_t left;
} reading;

/* Runs on: worker threads. Each chunk is its columns, one behind the other. */
static void read_chunk(duckdb_function_info info, duckdb_data_chunk chunk) {
    reading *r = duckdb_function_get_init_data(info);
    const gears_given *given = r->given;
    idx_t rows = r->left < GEARS_GIVEN_CHUNK ? r->left : GEARS_GIVEN_CHUNK;
    for (size_t i = 0; i < given->column_count && rows > 0; i++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, i);
        const char *problem = gears_batch_read(&r->at, given->bytes.data + given->bytes.length, given->types[i], vector,
                                               0, rows);
        if (problem == NULL) continue;
        duckdb_function_set_error(info, problem);
        return;
    }
    r->left -= rows;
    duckdb_data_chunk_set_size(chunk, rows);
}

static void begin(duckdb_init_info info) {
    reading *r = malloc(sizeof *r);
    if (r == NULL) {
        duckdb_init_set_error(info, "out of memory");
        return;
    }
    const gears_given *given = duckdb_init_get_bind_data(info);
    *r = (reading){given, given->bytes.data, given->rows};
    duckdb_init_set_max_threads(info, 1);
    duckdb_init_set_init_data(info, r, free);
}

static void bind(duckdb_bind_info info) {
    duckdb_value parameter = duckdb_bind_get_parameter(info, 0);
    int64_t index = duckdb_get_int64(parameter);
    duckdb_destroy_value(&parameter);
    gears_stage *stage = gears_scan_stage();
    if (stage == NULL || index < 0 || (size_t)index >= stage->given_count) {
        duckdb_bind_set_error(info, "the stage was given no such relation");
        return;
    }
    gears_given *given = &stage->given[index];
    for (size_t i = 0; i < given->column_count; i++) {
        duckdb_logical_type type = gears_hook_type_logical(given->types[i]);
        duckdb_bind_add_result_column(info, given->names[i], type);
        duckdb_destroy_logical_type(&type);
    }
    duckdb_bind_set_bind_data(info, given, NULL);
}

bool gears_given_register(duckdb_connection connection) {
    duckdb_table_function function = duckdb_create_table_function();
    duckdb_logical_type bigint = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
    duckdb_table_function_set_name(function, "gears_given");
    duckdb_table_function_add_parameter(function, bigint);
    duckdb_table_function_set_bind(function, bind);
    duckdb_table_function_set_init(function, begin);
    duckdb_table_function_set_function(function, read_chunk);
    bool registered = duckdb_register_table_function(connection, function) == DuckDBSuccess;
    duckdb_destroy_logical_type(&bigint);
    duckdb_destroy_table_function(&function);
    return registered;
}
