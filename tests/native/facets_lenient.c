/* For test_facets.py: casts by DuckDB (scan_lenient.c): what it is asked, and what becomes of the rows whose values it could
 * not cast. DuckDB is none: a text that begins with a digit is a number, one that begins with 'x' is NULL. */
#include <stdlib.h>
#include <string.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "fake_duckdb.h"
#include "scan_parts.h"

enum { MOST = 8 };

/* ---- a DuckDB that casts ------------------------------------------------------------------------------------------ */

static char prepared[256];
static int connections, statements, results, chunks, selections; /* that are open */
static bool connects = true, prepares = true, executes = true, fetches = true, loses_a_row;
static idx_t bound_threads;
static int bound_types[4], made_types[4];

static duckdb_state connect(duckdb_database database, duckdb_connection *connection) {
    CHECK(database == (duckdb_database)(void *)&connections);
    if (!connects) return DuckDBError;
    connections++;
    *connection = (duckdb_connection)(void *)&connections;
    return DuckDBSuccess;
}
static void disconnect(duckdb_connection *connection) { *connection = NULL, connections--; }

static void bind_column(duckdb_bind_info i, const char *name, duckdb_logical_type type) {
    char expected[8];
    (void)i;
    snprintf(expected, sizeof expected, "c%d", info.columns);
    CHECK(strcmp(name, expected) == 0);
    bound_types[info.columns++] = (int)id_of(type);
}

/* It binds the table function, as DuckDB does when it prepares. */
static duckdb_state prepare(duckdb_connection connection, const char *sql, duckdb_prepared_statement *statement) {
    (void)connection;
    snprintf(prepared, sizeof prepared, "%s", sql);
    info.error = NULL, info.columns = 0;
    on_bind(NULL);
    CHECK(info.error == NULL);
    statements++; /* a failed one is destroyed, too */
    *statement = (duckdb_prepared_statement)(void *)&statements;
    return prepares ? DuckDBSuccess : DuckDBError;
}
static void destroy_statement(duckdb_prepared_statement *statement) { *statement = NULL, statements--; }

/* Chunks of ours have room for two columns and the keys. */
static duckdb_string_t texts[3][MOST];
static int64_t numbers[2][MOST], delivered[2][MOST];
static chunk text_chunk, value_chunk;

static duckdb_data_chunk create_chunk(duckdb_logical_type *types, idx_t count) {
    CHECK(count <= 3);
    for (idx_t i = 0; i < count; i++) {
        text_chunk.vectors[i] = (vector){.type = made_types[i] = (int)id_of(types[i]), .data = texts[i]};
    }
    chunks++;
    return (duckdb_data_chunk)(void *)&text_chunk;
}
static void destroy_chunk(duckdb_data_chunk *c) { *c = NULL, chunks--; }
static void reset_chunk(duckdb_data_chunk c) {
    ((chunk *)(void *)c)->size = 0;
    for (int i = 0; i < 3; i++) ((chunk *)(void *)c)->vectors[i].validity = NULL;
}
static void reference(duckdb_vector to, duckdb_vector from) { *(vector *)(void *)to = *(vector *)(void *)from; }

static uint32_t kept[MOST];
static duckdb_selection_vector create_selection(idx_t size) {
    CHECK(size == MOST);
    return selections++, (duckdb_selection_vector)(void *)kept;
}
static void destroy_selection(duckdb_selection_vector selection) { (void)selection, selections--; }
static uint32_t *selection_data(duckdb_selection_vector selection) { return (uint32_t *)(void *)selection; }

static bool is_valid(const vector *v, idx_t row) { return v->validity == NULL || (v->validity[0] >> row & 1); }

static void set_null(vector *v, idx_t row) {
    make_validity((duckdb_vector)(void *)v);
    v->validity[0] &= ~(UINT64_C(1) << row);
}

/* The texts come from the table function, all of them at once; then there are no more. */
static duckdb_state execute(duckdb_prepared_statement statement, duckdb_result *result) {
    chunk read = {.size = 99};
    (void)statement;
    result->internal_data = &results, results++;
    if (!executes) return DuckDBError;
    on_init(NULL);
    on_read(NULL, (duckdb_data_chunk)(void *)&read);
    value_chunk = (chunk){.size = read.size, .vectors = {{.data = numbers[0]}, {.data = numbers[1]}}};
    for (idx_t row = 0; row < read.size; row++)
        for (int i = 0; i < info.columns; i++) {
            const duckdb_string_t *text = &((duckdb_string_t *)read.vectors[i].data)[row];
            const char *bytes = text->inlined.length > 12 ? text->pointer.ptr : text->inlined.bytes;
            if (is_valid(&read.vectors[i], row) && *bytes >= '0' && *bytes <= '9')
                numbers[i][row] = *bytes - '0';
            else
                set_null(&value_chunk.vectors[i], row);
        }
    on_read(NULL, (duckdb_data_chunk)(void *)&read);
    CHECK(read.size == 0);
    value_chunk.size -= loses_a_row;
    return DuckDBSuccess;
}
static void destroy_result(duckdb_result *result) { results -= result->internal_data != NULL; }
static duckdb_data_chunk fetch(duckdb_result result) {
    (void)result;
    return fetches ? (chunks++, (duckdb_data_chunk)(void *)&value_chunk) : NULL;
}
static void copy_selected(duckdb_vector from, duckdb_vector to, duckdb_selection_vector selection, idx_t count,
                          idx_t source, idx_t target) {
    vector *a = (vector *)(void *)from, *b = (vector *)(void *)to;
    CHECK(source == 0 && target == 0);
    for (idx_t i = 0; i < count; i++) {
        uint32_t row = selection_data(selection)[i];
        ((int64_t *)b->data)[i] = ((int64_t *)a->data)[row];
        if (!is_valid(a, row)) set_null(b, i);
    }
}
static void keep_threads(duckdb_init_info i, idx_t threads) { (void)i, bound_threads = threads; }

static void bind_casts(void) {
    bind_duckdb();
    duckdb_connect = connect, duckdb_disconnect = disconnect;
    duckdb_prepare = prepare, duckdb_destroy_prepare = destroy_statement, duckdb_execute_prepared = execute;
    duckdb_create_data_chunk = create_chunk, duckdb_destroy_data_chunk = destroy_chunk;
    duckdb_data_chunk_reset = reset_chunk, duckdb_vector_reference_vector = reference;
    duckdb_create_selection_vector = create_selection, duckdb_destroy_selection_vector = destroy_selection;
    duckdb_selection_vector_get_data_ptr = selection_data, duckdb_vector_copy_sel = copy_selected;
    duckdb_destroy_result = destroy_result, duckdb_fetch_chunk = fetch;
    duckdb_bind_add_result_column = bind_column, duckdb_init_set_max_threads = keep_threads;
}

/* ---- a scan of two columns ---------------------------------------------------------------------------------------- */

static gears_stage stage;
static gears_column columns[3] = {
    {.name = (char *)(uintptr_t)"age", .type_name = (char *)(uintptr_t)"BIGINT", .type = {.kind = GEARS_VARCHAR}},
    {.name = (char *)(uintptr_t)"raw", .type_name = (char *)(uintptr_t)"BLOB", .type = {.kind = GEARS_BLOB}},
    {.type = {.kind = GEARS_BLOB}},
};
static gears_scan_spec spec = {.lenient = true, .column_count = 2, .columns = columns};
static target aims[3];
static scan_state scan;
static chunk output;

static bool open_scan(gears_on_error on_error) {
    memset(&scan, 0, sizeof scan);
    memset(aims, 0, sizeof aims);
    spec.on_error = on_error;
    scan.stage = &stage, scan.spec = &spec, scan.targets = aims, scan.target_count = 2, scan.capacity = MOST;
    for (idx_t i = 0; i < 2; i++) aims[i].column = &columns[i], aims[i].position = 1 - i; /* as DuckDB wants them */
    const char *problem = gears_lenient_open(&scan, (duckdb_database)(void *)&connections);
    CHECK(problem == NULL || strcmp(problem, "the casts cannot be prepared") == 0);
    return problem == NULL;
}

static void close_scan(void) {
    gears_lenient_free(scan.lenient);
    CHECK(connections == 0 && statements == 0 && chunks == 0 && selections == 0 && results == 0);
}

/* As scan.c writes them. */
static void put(int column, size_t row, const char *text) {
    duckdb_string_t *cell = &((duckdb_string_t *)((vector *)(void *)aims[column].vector)->data)[row];
    size_t length = text ? strlen(text) : 0;
    memset(cell, 0, sizeof *cell);
    cell->inlined.length = (uint32_t)length;
    if (length > sizeof cell->inlined.bytes)
        cell->pointer.ptr = (char *)(uintptr_t)text;
    else if (length > 0)
        memcpy(cell->inlined.bytes, text, length);
    if (text == NULL) set_null((vector *)(void *)aims[column].vector, row);
}

/* Reads the rows and casts them. */
static bool cast(size_t rows, const char *const (*cells)[3]) {
    output = (chunk){.vectors = {{.data = delivered[0]}, {.data = delivered[1]}}};
    memset(delivered, 0xee, sizeof delivered);
    gears_lenient_aim(&scan);
    for (size_t row = 0; row < rows; row++)
        for (int i = 0; i < 3; i++) put(i, row, cells[row][i]);
    scan.rows = rows;
    bool done = gears_lenient_cast(&scan, (duckdb_data_chunk)(void *)&output);
    CHECK(results == 0 && chunks == 1); /* what DuckDB gave is given back, whatever came of it */
    return done;
}

/* Whether the stage has failed so; it has not, from then on. */
static bool said(const char *expected) {
    bool same = stage.error != NULL && strcmp(stage.error, expected) == 0;
    if (!same) printf("said: %s\n", stage.error ? stage.error : "nothing");
    free(stage.error);
    stage.error = NULL;
    scan.failed = false;
    return same;
}

static bool is_number(int column, idx_t row, int64_t value) {
    return is_valid(&output.vectors[1 - column], row) && delivered[1 - column][row] == value;
}
static bool is_null(int column, idx_t row) { return !is_valid(&output.vectors[1 - column], row); }

#define LONG_KEY "user:a-name-of-more-than-twelve-bytes"
static const char *const MIXED[][3] = {
    {"1", "2", "k0"}, {"x", "3", "k1"}, {NULL, "4", "k2"}, {"5", "x or longer than twelve", LONG_KEY}, {"6", "7", "k4"},
};

static void duckdb_is_asked_for_each_columns_type(void) {
    CHECK(open_scan(GEARS_ON_ERROR_FAIL));
    CHECK(strcmp(prepared, "SELECT TRY_CAST(c0 AS BIGINT), TRY_CAST(c1 AS BLOB) FROM gears_texts()") == 0);
    CHECK(info.columns == 2 && bound_types[0] == DUCKDB_TYPE_VARCHAR && bound_types[1] == DUCKDB_TYPE_BLOB);
    CHECK(made_types[0] == DUCKDB_TYPE_VARCHAR && made_types[1] == DUCKDB_TYPE_BLOB);
    CHECK(scan.target_count == 3 && aims[2].column == &columns[2] && made_types[2] == DUCKDB_TYPE_BLOB); /* the keys */
    close_scan();
}

static void what_fits_arrives_where_it_is_wanted(void) {
    static const char *const cells[][3] = {{"1", "2", "a"}, {NULL, "3", "b"}, {"4", NULL, "c"}};
    CHECK(open_scan(GEARS_ON_ERROR_FAIL));
    for (int round = 0; round < 2; round++) {
        CHECK(cast(3, cells) && scan.rows == 3 && bound_threads == 1);
        CHECK(is_number(0, 0, 1) && is_number(1, 0, 2) && is_number(1, 1, 3) && is_number(0, 2, 4));
        CHECK(is_null(0, 1) && is_null(1, 2)); /* a NULL is no misfit */
    }
    CHECK(stage.misfits == 0 && stage.error == NULL);
    static const char *const others[][3] = {{"1", "2", "a"}, {"5", "3", "b"}, {"4", "6", "c"}};
    CHECK(cast(3, others) && is_number(0, 1, 5) && is_number(1, 2, 6));
    CHECK(cast(0, NULL) && scan.rows == 0);
    close_scan();
}

static void a_misfit_names_its_key_and_text(void) {
    CHECK(open_scan(GEARS_ON_ERROR_FAIL));
    CHECK(!cast(5, MIXED) && scan.failed && stage.misfits == 1);
    CHECK(said("GEARSMISFIT column=age type=BIGINT key=k1 value=x"));
    CHECK(!cast(2, &MIXED[3]) &&
          said("GEARSMISFIT column=raw type=BLOB key=" LONG_KEY " value=x%20or%20longer%20than%20twelve"));
    close_scan();
    stage.misfits = 0;
}

static void a_misfit_is_null_or_its_row_is_skipped(void) {
    CHECK(open_scan(GEARS_ON_ERROR_NULL));
    CHECK(cast(5, MIXED) && scan.rows == 5 && stage.misfits == 2);
    CHECK(is_null(0, 1) && is_number(1, 1, 3) && is_null(0, 2) && is_number(0, 3, 5) && is_null(1, 3));
    CHECK(is_number(0, 4, 6) && is_number(1, 4, 7));
    close_scan();
    CHECK(open_scan(GEARS_ON_ERROR_SKIP));
    CHECK(cast(5, MIXED) && scan.rows == 3 && stage.misfits == 4);
    CHECK(is_number(0, 0, 1) && is_null(0, 1) && is_number(1, 1, 4) && is_number(0, 2, 6) && is_number(1, 2, 7));
    close_scan();
    CHECK(stage.error == NULL);
}

static void a_duckdb_that_fails_ends_the_stage_and_leaves_nothing(void) {
    static const char memory[] = "GEARSLIMIT out of memory for the casts";
    connects = false;
    CHECK(!open_scan(GEARS_ON_ERROR_NULL));
    close_scan();
    connects = true, prepares = false;
    CHECK(!open_scan(GEARS_ON_ERROR_NULL));
    close_scan();
    prepares = true;
    CHECK(open_scan(GEARS_ON_ERROR_NULL));
    executes = false;
    CHECK(!cast(5, MIXED) && said(memory));
    executes = true, fetches = false;
    CHECK(!cast(5, MIXED) && said(memory));
    fetches = true, loses_a_row = true; /* rows would be of other keys */
    CHECK(!cast(5, MIXED) && said(memory));
    loses_a_row = false;
    CHECK(cast(5, MIXED) && scan.rows == 5);
    close_scan();
    info.error = NULL;
    on_bind(NULL); /* by a text of a client's, outside of a scan */
    CHECK(info.error != NULL && strcmp(info.error, "no scan casts") == 0);
}

int main(void) {
    fake_server();
    bind_casts();
    CHECK(gears_lenient_register(NULL) && registered_count == 1 && strcmp(registered[0].name, "gears_texts") == 0);
    duckdb_is_asked_for_each_columns_type();
    what_fits_arrives_where_it_is_wanted();
    a_misfit_names_its_key_and_text();
    a_misfit_is_null_or_its_row_is_skipped();
    a_duckdb_that_fails_ends_the_stage_and_leaves_nothing();
    return failed;
}
