/* Scans of tables with cast = 'duckdb': the texts of a chunk go through DuckDB's own TRY_CAST, all at once, in a query on
 * a connection of the scan's. A value that became NULL is a misfit, of the key that came along in a column of its own.
 *
 * In a scan like this columns are read as VARCHAR (stage_parse_scan.c), but for BLOB and JSON, so a snapshot's child has nothing else to do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duckdb_api.h"
#include "scan_parts.h"

struct gears_lenient {
    duckdb_connection connection;
    duckdb_prepared_statement cast;
    duckdb_data_chunk texts; /* a VARCHAR for each target, and last the keys */
    duckdb_selection_vector kept;
    const target *targets;
    duckdb_result result;
    duckdb_data_chunk values;
    size_t count, rows;
    bool given; /* the rows at hand to the query that casts */
};

static _Thread_local gears_lenient *thread_lenient;

/* ---- gears_texts(): the chunk at hand as a table -------------------------------------------------------------- */

static duckdb_logical_type text_type(const target *t) {
    return duckdb_create_logical_type(t->column->type.kind == GEARS_BLOB ? DUCKDB_TYPE_BLOB : DUCKDB_TYPE_VARCHAR);
}

static void texts_bind(duckdb_bind_info info) {
    char name[32];
    if (thread_lenient == NULL) {
        duckdb_bind_set_error(info, "no scan casts");
        return;
    }
    for (size_t i = 0; i < thread_lenient->count; i++) {
        duckdb_logical_type type = text_type(&thread_lenient->targets[i]);
        snprintf(name, sizeof name, "c%zu", i);
        duckdb_bind_add_result_column(info, name, type);
        duckdb_destroy_logical_type(&type);
    }
}

static void texts_init(duckdb_init_info info) { duckdb_init_set_max_threads(info, 1); }

static void texts_function(duckdb_function_info info, duckdb_data_chunk chunk) {
    gears_lenient *l = thread_lenient;
    (void)info;
    for (size_t i = 0; i < l->count && !l->given; i++)
        duckdb_vector_reference_vector(duckdb_data_chunk_get_vector(chunk, i),
                                       duckdb_data_chunk_get_vector(l->texts, i));
    duckdb_data_chunk_set_size(chunk, l->given ? 0 : l->rows);
    l->given = true;
}

bool gears_lenient_register(duckdb_connection connection) {
    duckdb_table_function function = duckdb_create_table_function();
    duckdb_table_function_set_name(function, "gears_texts");
    duckdb_table_function_set_bind(function, texts_bind);
    duckdb_table_function_set_init(function, texts_init);
    duckdb_table_function_set_function(function, texts_function);
    bool registered = duckdb_register_table_function(connection, function) == DuckDBSuccess;
    duckdb_destroy_table_function(&function);
    return registered;
}

/* ---- a scan's casts ------------------------------------------------------------------------------------------- */

void gears_lenient_free(gears_lenient *l) {
    if (l == NULL) return;
    if (l->cast != NULL) duckdb_destroy_prepare(&l->cast);
    if (l->texts != NULL) duckdb_destroy_data_chunk(&l->texts);
    if (l->kept != NULL) duckdb_destroy_selection_vector(l->kept);
    if (l->connection != NULL) duckdb_disconnect(&l->connection);
    free(l);
}

/* SELECT TRY_CAST(c0 AS …), … FROM gears_texts(). The names of types are canonical (stage_parse_scan.c): they are safe. */
static char *write_sql(const scan_state *s, size_t count) {
    size_t room = 64;
    for (size_t i = 0; i < count; i++) room += strlen(s->targets[i].column->type_name) + 48;
    char *sql = malloc(room), *at = sql;
    if (sql == NULL) return NULL;
    at += sprintf(at, "SELECT ");
    for (size_t i = 0; i < count; i++)
        at += sprintf(at, "%sTRY_CAST(c%zu AS %s)", i ? ", " : "", i, s->targets[i].column->type_name);
    sprintf(at, " FROM gears_texts()");
    return sql;
}

/* Of the targets, the last one the keys'. */
static duckdb_data_chunk new_texts(const target *targets, size_t count) {
    duckdb_logical_type *types = calloc(count, sizeof *types);
    if (types == NULL) return NULL;
    for (size_t i = 0; i < count; i++) types[i] = text_type(&targets[i]);
    duckdb_data_chunk chunk = duckdb_create_data_chunk(types, count);
    for (size_t i = 0; i < count; i++) duckdb_destroy_logical_type(&types[i]);
    free(types);
    return chunk;
}

/* Targets that read nothing come with them: DuckDB asks for one only if it asks for no column. */
const char *gears_lenient_open(scan_state *s, duckdb_database database) {
    gears_lenient *l = calloc(1, sizeof *l);
    if (l == NULL) return "out of memory";
    s->lenient = l;
    l->count = s->target_count;
    l->targets = s->targets;
    gears_scan_set_target(s, &s->targets[s->target_count++], s->spec->column_count);
    char *sql = write_sql(s, l->count);
    bool opened = sql != NULL && duckdb_connect(database, &l->connection) == DuckDBSuccess;
    if (opened) l->texts = new_texts(s->targets, s->target_count);
    if (opened) l->kept = duckdb_create_selection_vector(s->capacity);
    thread_lenient = l;
    opened = opened && l->texts != NULL && duckdb_prepare(l->connection, sql, &l->cast) == DuckDBSuccess;
    thread_lenient = NULL;
    free(sql);
    return opened ? NULL : "the casts cannot be prepared";
}

void gears_lenient_aim(scan_state *s) {
    duckdb_data_chunk_reset(s->lenient->texts);
    for (size_t i = 0; i < s->target_count; i++) {
        s->targets[i].vector = duckdb_data_chunk_get_vector(s->lenient->texts, i);
    }
}

static bool is_null(duckdb_vector vector, size_t row) {
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    return validity != NULL && !(validity[row / 64] >> (row % 64) & 1);
}

static gears_slice text_at(const target *t, size_t row) {
    const duckdb_string_t *value = &((const duckdb_string_t *)duckdb_vector_get_data(t->vector))[row];
    bool is_short = value->inlined.length <= sizeof value->inlined.bytes;
    return (gears_slice){is_short ? value->inlined.bytes : value->pointer.ptr, value->inlined.length};
}

/* Whether a row is kept. */
static bool judge(scan_state *s, size_t row, uint64_t *misfits) {
    gears_lenient *l = s->lenient;
    for (size_t i = 0; i < l->count; i++) {
        const target *t = &s->targets[i];
        if (is_null(t->vector, row) || !is_null(duckdb_data_chunk_get_vector(l->values, i), row)) continue;
        ++*misfits;
        if (s->spec->on_error == GEARS_ON_ERROR_FAIL) {
            gears_slice text = text_at(t, row);
            gears_scan_fail_misfit(s, t->column->name, t->column->type_name, text_at(&s->targets[l->count], row),
                                   text.data, text.size);
        }
        if (s->spec->on_error != GEARS_ON_ERROR_NULL) return false;
    }
    return true;
}

static bool run(gears_lenient *l) {
    thread_lenient = l;
    l->given = false;
    bool done = duckdb_execute_prepared(l->cast, &l->result) == DuckDBSuccess;
    thread_lenient = NULL;
    if (done) l->values = duckdb_fetch_chunk(l->result);
    return done && l->values != NULL && duckdb_data_chunk_get_size(l->values) == l->rows;
}

/* From the chunk of texts into DuckDB's chunk, without the rows that are skipped. */
static bool cast_rows(scan_state *s, duckdb_data_chunk chunk) {
    gears_lenient *l = s->lenient;
    uint32_t *kept = duckdb_selection_vector_get_data_ptr(l->kept);
    uint64_t misfits = 0;
    size_t rows = 0;
    for (size_t row = 0; row < l->rows && !s->failed; row++)
        if (judge(s, row, &misfits)) kept[rows++] = (uint32_t)row;
    atomic_fetch_add_explicit(&s->stage->misfits, misfits, memory_order_relaxed);
    for (size_t i = 0; i < l->count && !s->failed; i++)
        duckdb_vector_copy_sel(duckdb_data_chunk_get_vector(l->values, i),
                               duckdb_data_chunk_get_vector(chunk, s->targets[i].position), l->kept, rows, 0, 0);
    s->rows = rows;
    return !s->failed;
}

bool gears_lenient_cast(scan_state *s, duckdb_data_chunk chunk) {
    gears_lenient *l = s->lenient;
    l->rows = s->rows;
    duckdb_data_chunk_set_size(l->texts, l->rows);
    bool done = run(l);
    if (!done) gears_stage_fail(s->stage, "GEARSLIMIT out of memory for the casts");
    if (done) done = cast_rows(s, chunk);
    if (l->values != NULL) duckdb_destroy_data_chunk(&l->values);
    duckdb_destroy_result(&l->result);
    memset(&l->result, 0, sizeof l->result);
    return done;
}
