/* Columns of nested types for the portable reader (gearsql/native.py, through ctypes, in the client's process): the same
 * walk into vectors of the client's DuckDB, which makes Arrow of them. */
#include <string.h>

#include "binary_column.h"
#include "nested.h"

enum { CLIENT_MEMORY = 1024, MOST_CELLS = 1 << 22 };

static duckdb_arrow_options options;

/* Binds DuckDB from its file, once, before the next one. NULL, or what went wrong (static storage). */
GEARS_EXPORT const char *gears_nested_open(const char *path) {
    duckdb_connection connection = NULL;
    char *error = NULL;
    const char *problem = gears_duckdb_bind(path);
    if (problem != NULL) return problem;
    duckdb_database database = gears_duckdb_database(CLIENT_MEMORY, &error);
    if (database == NULL || duckdb_connect(database, &connection) != DuckDBSuccess) return "DuckDB does not open";
    duckdb_connection_get_arrow_options(connection, &options);
    return NULL;
}

/* What a call read of a column. */
typedef struct {
    int64_t rows;       /* from `from` on */
    int64_t misfit;     /* the row that ended the cast, or -1 */
    int64_t misfits;    /* values that became NULL */
    uint8_t *is_misfit; /* a byte for each row of the column */
} gears_nested_taken;

static const char *read_rows(const gears_hook_type *type, const gears_binary_column *in, int64_t from, bool stop,
                             duckdb_vector vector, gears_nested_taken *out) {
    gears_nested_room room = {0};
    const char *problem = NULL;
    size_t cells = 0;
    int64_t most = (int64_t)duckdb_vector_size(), row;
    for (row = from; row < in->length && row - from < most && cells < MOST_CELLS && problem == NULL; row++) {
        size_t n = 0;
        const char *s = gears_column_is_null(in, row) ? NULL : gears_column_value(in, row, &n);
        gears_nested_fit fit = s == NULL ? GEARS_NESTED_NULL : gears_nested_judge(type, s, n, &room, &cells);
        if (fit == GEARS_NESTED_MISFIT) {
            out->is_misfit[row] = 1;
            out->misfits++;
            if (stop) out->misfit = row;
            if (stop) break;
        }
        bool written = fit != GEARS_NESTED_NO_MEMORY;
        if (fit == GEARS_NESTED_VALUE)
            written = gears_nested_write(type, s, n, &room, vector, (idx_t)(row - from));
        else
            gears_nested_write_null(type, vector, (idx_t)(row - from));
        if (!written) problem = "out of memory";
    }
    out->rows = row - from;
    gears_nested_free(&room);
    return problem;
}

static bool has_failed(duckdb_error_data error) {
    bool failed = error != NULL && duckdb_error_data_has_error(error);
    if (error != NULL) duckdb_destroy_error_data(&error);
    return failed;
}

static const char *to_arrow(duckdb_logical_type *logical, duckdb_data_chunk chunk, struct ArrowSchema *schema,
                            struct ArrowArray *array) {
    static const char *const name = "v";
    if (has_failed(duckdb_to_arrow_schema(options, logical, (const char **)&name, 1, schema))) return "no Arrow schema";
    return has_failed(duckdb_data_chunk_to_arrow(options, chunk, array)) ? "no Arrow array" : NULL;
}

/* Casts rows from `from` on, as many as a chunk holds, to a struct of one column. NULL, or what went wrong. */
GEARS_EXPORT const char *gears_nested_column(const char *name, size_t length, const gears_binary_column *in,
                                             int64_t from, bool stop, gears_nested_taken *out,
                                             struct ArrowSchema *schema, struct ArrowArray *array) {
    gears_hook_type *type = gears_hook_type_parse(name, length);
    if (type == NULL || !gears_nested_is(type)) {
        gears_hook_type_free(type);
        return "no nested type of columns";
    }
    duckdb_logical_type logical = gears_hook_type_logical(type);
    duckdb_data_chunk chunk = duckdb_create_data_chunk(&logical, 1);
    const char *problem = read_rows(type, in, from, stop, duckdb_data_chunk_get_vector(chunk, 0), out);
    duckdb_data_chunk_set_size(chunk, (idx_t)out->rows);
    if (problem == NULL) problem = to_arrow(&logical, chunk, schema, array);
    duckdb_destroy_data_chunk(&chunk);
    duckdb_destroy_logical_type(&logical);
    gears_hook_type_free(type);
    return problem;
}
