/* Bounds on what functions of DuckDB's allocate; see grow.h.
 *
 * A macro takes the place of each: repeat(s, n) calls DuckDB's own with gears_grow(n, s) for n, which is n, unless the
 * values of a batch would take more than BATCH_BYTES together. Then the stage fails, whatever TRY makes of the error.
 * Runs on: worker threads, inside DuckDB. */
#include "grow.h"

#include <string.h>

#include "scan.h"

enum { TYPE_LIST = 24, TYPE_ANY = 34, MAX_PARAMETERS = 3, ELEMENT_BYTES = 16, NUMBER_BYTES = 8 };
#define BATCH_BYTES ((double)(256 << 20))

static const char *const TOO_MUCH = "the values of a batch would take more than 256 MiB (repeat, lpad, rpad, range, "
                                    "generate_series, list_resize)";

static bool is_valid(duckdb_vector vector, idx_t row) {
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    return validity == NULL || validity[row / 64] >> (row % 64) & 1;
}

/* `numbers` of `width` bytes as they came, NULL where an argument is. */
static void pass_on(duckdb_data_chunk input, idx_t columns, idx_t which, size_t width, duckdb_vector output) {
    idx_t rows = duckdb_data_chunk_get_size(input);
    memcpy(duckdb_vector_get_data(output), duckdb_vector_get_data(duckdb_data_chunk_get_vector(input, which)),
           rows * width);
    duckdb_vector_ensure_validity_writable(output);
    uint64_t *validity = duckdb_vector_get_validity(output);
    for (idx_t row = 0; row < rows; row++)
        for (idx_t i = 0; i < columns; i++)
            if (!is_valid(duckdb_data_chunk_get_vector(input, i), row))
                validity[row / 64] &= ~((uint64_t)1 << (row % 64));
}

static void require(duckdb_function_info info, double bytes) {
    gears_stage *stage = gears_scan_stage();
    if (bytes <= BATCH_BYTES) return;
    if (stage != NULL) gears_stage_fail(stage, "GEARSMEMORY %s", TOO_MUCH);
    duckdb_scalar_function_set_error(info, TOO_MUCH);
}

/* ---- so many times a value -------------------------------------------------------------------------------------- */

typedef struct list_entry {
    uint64_t offset, length;
} list_entry;

static double size_of(int type, const void *data, idx_t row) {
    switch (type) {
    case DUCKDB_TYPE_VARCHAR:
    case DUCKDB_TYPE_BLOB: return (double)((const duckdb_string_t *)data)[row].inlined.length;
    case TYPE_LIST: return (double)((const list_entry *)data)[row].length * ELEMENT_BYTES;
    default: return NUMBER_BYTES;
    }
}

static void grow(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output, size_t width) {
    duckdb_vector counts = duckdb_data_chunk_get_vector(input, 0), values = duckdb_data_chunk_get_vector(input, 1);
    const void *numbers = duckdb_vector_get_data(counts), *data = duckdb_vector_get_data(values);
    duckdb_logical_type logical = duckdb_vector_get_column_type(values);
    int type = (int)duckdb_get_type_id(logical);
    double bytes = 0;
    duckdb_destroy_logical_type(&logical);
    for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++) {
        if (!is_valid(counts, row) || !is_valid(values, row)) continue;
        double count = width == sizeof(int32_t) ? ((const int32_t *)numbers)[row]
                                                : (double)((const int64_t *)numbers)[row];
        if (count > 0) bytes += count * size_of(type, data, row);
    }
    pass_on(input, 2, 0, width, output);
    require(info, bytes);
}

static void grow_64(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
    grow(info, input, output, sizeof(int64_t));
}

static void grow_32(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
    grow(info, input, output, sizeof(int32_t));
}

/* ---- from here to there, in steps ------------------------------------------------------------------------------- */

typedef struct interval {
    int32_t months, days;
    int64_t micros;
} interval;

static double step_of(int type, const void *data, idx_t row) {
    enum { SHORTEST_MONTH = 28 };
    if (type != DUCKDB_TYPE_INTERVAL) return (double)((const int64_t *)data)[row];
    interval step = ((const interval *)data)[row];
    return ((double)step.months * SHORTEST_MONTH + step.days) * 86400e6 + (double)step.micros;
}

static void span(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
    duckdb_vector vectors[MAX_PARAMETERS];
    double bytes = 0;
    for (idx_t i = 0; i < MAX_PARAMETERS; i++) vectors[i] = duckdb_data_chunk_get_vector(input, i);
    const int64_t *first = duckdb_vector_get_data(vectors[0]), *last = duckdb_vector_get_data(vectors[1]);
    const void *steps = duckdb_vector_get_data(vectors[2]);
    duckdb_logical_type logical = duckdb_vector_get_column_type(vectors[2]);
    int type = (int)duckdb_get_type_id(logical);
    duckdb_destroy_logical_type(&logical);
    for (idx_t row = 0; row < duckdb_data_chunk_get_size(input); row++) {
        if (!is_valid(vectors[0], row) || !is_valid(vectors[1], row) || !is_valid(vectors[2], row)) continue;
        double step = step_of(type, steps, row),
               count = step == 0 ? 0 : ((double)last[row] - (double)first[row]) / step;
        if (count > 0) bytes += count * NUMBER_BYTES;
    }
    pass_on(input, MAX_PARAMETERS, 1, sizeof *last, output);
    require(info, bytes);
}

/* ---- registration ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    size_t count;
    int parameters[MAX_PARAMETERS], returns;
    duckdb_scalar_callback call;
} functions[] = {
    {"gears_grow", 2, {DUCKDB_TYPE_BIGINT, TYPE_ANY}, DUCKDB_TYPE_BIGINT, grow_64},
    {"gears_grow_32", 2, {DUCKDB_TYPE_INTEGER, TYPE_ANY}, DUCKDB_TYPE_INTEGER, grow_32},
    {"gears_span", 3, {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_BIGINT}, DUCKDB_TYPE_BIGINT, span},
    {"gears_span",
     3,
     {DUCKDB_TYPE_TIMESTAMP, DUCKDB_TYPE_TIMESTAMP, DUCKDB_TYPE_INTERVAL},
     DUCKDB_TYPE_TIMESTAMP,
     span},
    {"gears_span",
     3,
     {DUCKDB_TYPE_TIMESTAMP_TZ, DUCKDB_TYPE_TIMESTAMP_TZ, DUCKDB_TYPE_INTERVAL},
     DUCKDB_TYPE_TIMESTAMP_TZ,
     span},
};

/* A character has four bytes at most. */
static const char *const macros[] = {
    "CREATE MACRO repeat(s, n) AS system.main.repeat(s, gears_grow(n, s))",
    "CREATE MACRO lpad(s, n, p) AS system.main.lpad(s, gears_grow_32(n, 'four'), p)",
    "CREATE MACRO rpad(s, n, p) AS system.main.rpad(s, gears_grow_32(n, 'four'), p)",
    "CREATE MACRO range(b) AS system.main.range(gears_grow(b, 8)),"
    " (a, b) AS system.main.range(a, gears_span(a, b, 1)),"
    " (a, b, c) AS system.main.range(a, gears_span(a, b, c), c)",
    "CREATE MACRO generate_series(b) AS system.main.generate_series(gears_grow(b, 8)),"
    " (a, b) AS system.main.generate_series(a, gears_span(a, b, 1)),"
    " (a, b, c) AS system.main.generate_series(a, gears_span(a, b, c), c)",
    "CREATE MACRO list_resize(l, n) AS system.main.list_resize(l, gears_grow(CAST(n AS BIGINT), [0])),"
    " (l, n, v) AS system.main.list_resize(l, gears_grow(CAST(n AS BIGINT), [0]), v)",
    "CREATE MACRO array_resize(l, n) AS system.main.list_resize(l, gears_grow(CAST(n AS BIGINT), [0])),"
    " (l, n, v) AS system.main.list_resize(l, gears_grow(CAST(n AS BIGINT), [0]), v)",
};

static bool register_function(duckdb_connection connection, size_t which) {
    duckdb_scalar_function f = duckdb_create_scalar_function();
    duckdb_scalar_function_set_name(f, functions[which].name);
    for (size_t i = 0; i < functions[which].count; i++) {
        duckdb_logical_type type = duckdb_create_logical_type((duckdb_type)functions[which].parameters[i]);
        duckdb_scalar_function_add_parameter(f, type);
        duckdb_destroy_logical_type(&type);
    }
    duckdb_logical_type returns = duckdb_create_logical_type((duckdb_type)functions[which].returns);
    duckdb_scalar_function_set_return_type(f, returns);
    duckdb_destroy_logical_type(&returns);
    duckdb_scalar_function_set_special_handling(f);
    duckdb_scalar_function_set_function(f, functions[which].call);
    bool registered = duckdb_register_scalar_function(connection, f) == DuckDBSuccess;
    duckdb_destroy_scalar_function(&f);
    return registered;
}

static bool create(duckdb_connection connection, const char *macro) {
    duckdb_result result;
    memset(&result, 0, sizeof result);
    bool created = duckdb_query(connection, macro, &result) == DuckDBSuccess;
    duckdb_destroy_result(&result);
    return created;
}

bool gears_grow_register(duckdb_connection connection) {
    bool registered = true;
    for (size_t i = 0; i < sizeof functions / sizeof *functions && registered; i++)
        registered = register_function(connection, i);
    for (size_t i = 0; i < sizeof macros / sizeof *macros && registered; i++)
        registered = create(connection, macros[i]);
    return registered;
}
