/* For test_facets.py: what DuckDB calls: relations of the stage's own (given.c), bounds on what functions make of little
 * (grow.c), and which functions of users it is told of (hook_signature.c). DuckDB is none: it takes what is registered, and
 * this program calls it. */
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "fake_duckdb.h"
#include "function_parts.h"
#include "given.h"
#include "grow.h"
#include "hook_parts.h"
#include "scan.h"

static gears_stage stage;

/* Whether the stage has failed so; it has not, from then on. */
static bool said(const char *expected) {
    bool same = stage.error != NULL && strcmp(stage.error, expected) == 0;
    if (!same) printf("said: %s\n", stage.error ? stage.error : "nothing");
    free(stage.error);
    stage.error = NULL;
    return same;
}

/* ---- relations of the stage's own --------------------------------------------------------------------------------- */

enum { GIVEN_ROWS = GEARS_GIVEN_CHUNK + 5 };

/* A column of BIGINTs from `first` on; returns where the next begins. */
static char *put_numbers(char *at, int64_t first, size_t rows) {
    memset(at, 0xff, (rows + 63) / 64 * 8);
    at += (rows + 63) / 64 * 8;
    for (size_t i = 0; i < rows; i++, at += sizeof first) memcpy(at, &(int64_t){first + (int64_t)i}, sizeof first);
    return at;
}

static int64_t numbers[2][GEARS_GIVEN_CHUNK];

/* The rows of the next chunk; -1: an error. */
static long read_chunk(void) {
    chunk c = {.vectors = {{.data = numbers[0]}, {.data = numbers[1]}}, .size = 9999};
    info.error = NULL;
    on_read(NULL, (duckdb_data_chunk)(void *)&c);
    return info.error ? -1 : (long)c.size;
}

static void a_relation_is_read_chunk_by_chunk_and_anew_each_time(void) {
    char *bytes = malloc(1 << 16), *at = bytes;
    gears_hook_type *types[2] = {gears_hook_type_parse("BIGINT", 6), gears_hook_type_parse("BIGINT", 6)};
    char *names[2] = {"a", "b"};
    at = put_numbers(at, 0, GEARS_GIVEN_CHUNK), at = put_numbers(at, 50000, GEARS_GIVEN_CHUNK);
    at = put_numbers(at, GEARS_GIVEN_CHUNK, 5), at = put_numbers(at, 70000, 5);
    gears_given given = {GIVEN_ROWS, 2, names, types, {bytes, (size_t)(at - bytes)}};
    stage.given = &given, stage.given_count = 1;
    CHECK(gears_given_register(NULL) && strcmp(registered[0].name, "gears_given") == 0);
    info.parameter = 0, info.columns = 0;
    on_bind(NULL);
    CHECK(info.error == NULL && info.columns == 2 && info.bound == &given);
    for (int round = 0; round < 2; round++) {
        on_init(NULL);
        CHECK(read_chunk() == GEARS_GIVEN_CHUNK && numbers[0][0] == 0 && numbers[1][2047] == 52047);
        CHECK(read_chunk() == 5 && numbers[0][4] == GEARS_GIVEN_CHUNK + 4 && numbers[1][0] == 70000);
        CHECK(read_chunk() == 0 && read_chunk() == 0);
        info.forget(info.state);
    }
    given.bytes.length -= 8; /* of the client's: one value is missing */
    on_init(NULL);
    CHECK(read_chunk() == GEARS_GIVEN_CHUNK && read_chunk() == -1);
    info.forget(info.state);
    for (int64_t i = -1; i < 3; i += 2) { /* -1 and 1: there is one */
        info.parameter = i, info.error = NULL;
        on_bind(NULL);
        CHECK(info.error != NULL && strcmp(info.error, "the stage was given no such relation") == 0);
    }
    gears_hook_type_free(types[0]), gears_hook_type_free(types[1]);
    free(bytes);
    stage.given = NULL, stage.given_count = 0;
}

/* ---- what functions make of little -------------------------------------------------------------------------------- */

#define TOO_MUCH                                                                                                       \
    "the values of a batch would take more than 256 MiB (repeat, lpad, rpad, range, generate_series, list_resize)"

static const function *find(const char *name, int last_parameter) {
    for (int i = 0; i < registered_count; i++)
        if (strcmp(registered[i].name, name) == 0 &&
            registered[i].parameters[registered[i].count - 1] == last_parameter)
            return &registered[i];
    abort();
}

/* Calls it with up to two rows of vectors; true if it let them pass. */
static bool passes(const function *f, chunk *in, vector *out) {
    memset(out->bits, 0, sizeof out->bits), out->validity = NULL;
    info.error = NULL;
    f->call(NULL, (duckdb_data_chunk)(void *)in, (duckdb_vector)(void *)out);
    CHECK((info.error == NULL) == (stage.error == NULL));
    CHECK(info.error == NULL || (strcmp(info.error, TOO_MUCH) == 0 && said("GEARSMEMORY " TOO_MUCH)));
    return info.error == NULL;
}

enum { MIB = 1 << 20, TYPE_ANY = 34 };

static void a_batch_of_values_has_a_bound(void) {
    int64_t counts[2], result[2], small = 0;
    int32_t counts_32[2], result_32[2];
    duckdb_string_t texts[2] = {{.inlined = {.length = 4}}, {.inlined = {.length = 1}}};
    struct {
        uint64_t offset, length;
    } lists[2] = {{0, 2}, {2, 0}};
    chunk in = {.vectors = {{.data = counts}, {DUCKDB_TYPE_VARCHAR, .data = texts}}, .size = 2};
    vector out = {.data = result};
    const function *f = find("gears_grow", TYPE_ANY);
    counts[0] = 63 * MIB, counts[1] = 4 * MIB; /* 4 bytes and 1 each: 256 MiB together */
    CHECK(passes(f, &in, &out) && result[0] == 63 * MIB && result[1] == 4 * MIB);
    counts[1]++;
    CHECK(!passes(f, &in, &out));
    counts[1] = -64 * (int64_t)MIB; /* takes nothing, and gives nothing to the other */
    CHECK(passes(f, &in, &out) && result[1] == counts[1]);
    counts[0] = 65 * MIB;
    CHECK(!passes(f, &in, &out));
    in.vectors[1].validity = in.vectors[1].bits, in.vectors[1].bits[0] = 2; /* the first text is NULL */
    CHECK(passes(f, &in, &out) && out.bits[0] % 4 == 2);
    in.vectors[0].validity = in.vectors[0].bits, in.vectors[0].bits[0] = 1;
    CHECK(passes(f, &in, &out) && out.bits[0] % 4 == 0);
    in = (chunk){.vectors = {{.data = counts}, {TYPE_LIST, .data = lists}}, .size = 2};
    counts[0] = 8 * MIB, counts[1] = INT64_MAX; /* an empty list is nothing, however often */
    CHECK(passes(f, &in, &out));
    counts[0]++;
    CHECK(!passes(f, &in, &out));
    in = (chunk){.vectors = {{.data = counts}, {DUCKDB_TYPE_INTEGER, .data = &small}}, .size = 1};
    counts[0] = 32 * MIB;
    CHECK(passes(f, &in, &out));
    counts[0] = INT64_MAX;
    CHECK(!passes(f, &in, &out));
    in = (chunk){.vectors = {{.data = counts_32}, {DUCKDB_TYPE_VARCHAR, .data = texts}}, .size = 2};
    out.data = result_32;
    counts_32[0] = -5, counts_32[1] = INT32_MAX;
    CHECK(!passes(find("gears_grow_32", TYPE_ANY), &in, &out));
    counts_32[1] = 7;
    CHECK(passes(find("gears_grow_32", TYPE_ANY), &in, &out) && result_32[0] == -5 && result_32[1] == 7);
}

static void a_span_has_a_bound_in_its_steps(void) {
    struct {
        int32_t months, days;
        int64_t micros;
    } step_of_1 = {1, -27, 1 - INT64_C(86400000000)}; /* the shortest month has 28 days */
    int64_t first = 0, last = 0, step = 1, result;
    const function *f = find("gears_span", DUCKDB_TYPE_BIGINT);
    chunk in = {.vectors = {{.data = &first}, {.data = &last}, {DUCKDB_TYPE_BIGINT, .data = &step}}, .size = 1};
    vector out = {.data = &result};
    static const struct {
        int64_t first, last, step;
        bool passes;
    } cases[] = {
        {0, 32 * MIB, 1, true},           {0, 32 * MIB + 1, 1, false},
        {0, 64 * MIB, 2, true},           {0, -32 * MIB, 1, true},
        {0, -32 * MIB - 1, -1, false},    {5, INT64_MAX, 0, true},
        {INT64_MIN, INT64_MAX, 1, false}, {INT64_MIN, INT64_MAX, INT64_MAX, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        first = cases[i].first, last = cases[i].last, step = cases[i].step;
        if (passes(f, &in, &out) != cases[i].passes) printf("case %zu\n", i), failed = 1;
        CHECK(result == last);
    }
    in.vectors[2] = (vector){DUCKDB_TYPE_INTERVAL, .data = &step_of_1};
    first = 0, last = 32 * MIB;
    CHECK(passes(find("gears_span", DUCKDB_TYPE_INTERVAL), &in, &out));
    last++;
    CHECK(!passes(find("gears_span", DUCKDB_TYPE_INTERVAL), &in, &out));
}

/* ---- which functions of users DuckDB knows ------------------------------------------------------------------------ */

static gears_function *define(const char *name, const char *kind, const char *stability, const char *type) {
    const char *const texts[] = {"1", "ab", name,      kind, "SESSION",    stability, "PARAMS",
                                 "1", type, "RETURNS", type, "DEFINITION", "{}"};
    gears_slice words[sizeof texts / sizeof *texts];
    char *error = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) words[i] = (gears_slice){texts[i], strlen(texts[i])};
    gears_function *f = gears_function_parse(words, sizeof texts / sizeof *texts, &error);
    if (f == NULL) printf("%s\n", error), abort();
    return f;
}

static void a_signature_is_registered_once_for_each_duckdb(void) {
    gears_function *f = define("f", "SCALAR", "IMMUTABLE", "BIGINT"), *g = define("g", "SCALAR", "IMMUTABLE", "BIGINT"),
                   *v = define("v", "SCALAR", "VOLATILE", "BIGINT"),
                   *a = define("a", "AGGREGATE", "IMMUTABLE", "BIGINT"),
                   *other = define("o", "SCALAR", "IMMUTABLE", "VARCHAR"), *functions[] = {f, g, v, a, a, other};
    char expected[64];
    stage.hooks = functions, stage.hook_count = 6;
    registered_count = 0;
    const gears_hook_signature *one = gears_hook_signature_of(&stage, NULL, 0);
    CHECK(one != NULL && registered_count == 1 && strcmp(registered[0].name, f->call) == 0 &&
          !registered[0].is_volatile);
    CHECK(registered[0].count == 2 && registered[0].parameters[0] == DUCKDB_TYPE_INTEGER); /* which, and the argument */
    CHECK(gears_hook_signature_of(&stage, NULL, 1) == one && registered_count == 1); /* of another function: the same */
    CHECK(gears_hook_signature_of(&stage, NULL, 2) != one && registered_count == 2 && registered[1].is_volatile);
    /* A state without a row has no argument that tells its function: so each place of an aggregate has its own. */
    const gears_hook_signature *third = gears_hook_signature_of(&stage, NULL, 3);
    CHECK(gears_hook_signature_of(&stage, NULL, 4) != third && registered_count == 6);
    CHECK(gears_hook_signature_of(&stage, NULL, 3) == third && registered_count == 6);
    snprintf(expected, sizeof expected, "%s_4_state", a->call);
    CHECK(strcmp(registered[5].name, expected) == 0);
    stage.engine = &stage; /* a DuckDB of a worker's own knows none of it */
    CHECK(gears_hook_signature_of(&stage, NULL, 0) != one && registered_count == 7);
    stage.engine = NULL;
    /* DuckDB would read one type as the other. */
    free(other->call);
    other->call = strdup(f->call);
    CHECK(gears_hook_signature_of(&stage, NULL, 5) == NULL && registered_count == 7);
    snprintf(expected, sizeof expected, "GEARSFUNCTION another signature has the name %s", f->call);
    CHECK(strncmp(stage.error, expected, strlen(expected)) == 0);
    free(stage.error), stage.error = NULL;
    for (int i = 0; i < 6; i++)
        if (i != 4) gears_function_release(functions[i]); /* the signatures stay */
    CHECK(strcmp(one->text, "scalar immutable (BIGINT) -> BIGINT") == 0);
}

static void a_function_that_duckdb_refuses_ends_the_stage(void) {
    gears_function *f = define("f", "SCALAR", "IMMUTABLE", "DOUBLE");
    char expected[64];
    stage.hooks = &f, stage.hook_count = 1;
    refuses = true;
    __lsan_disable(); /* what was refused is not freed: DuckDB may hold one form of it */
    CHECK(gears_hook_signature_of(&stage, NULL, 0) == NULL);
    __lsan_enable();
    snprintf(expected, sizeof expected, "GEARSFUNCTION DuckDB refused %s", f->call);
    CHECK(said(expected));
    refuses = false;
    CHECK(gears_hook_signature_of(&stage, NULL, 0) != NULL); /* the next one tries again */
    gears_function_release(f);
}

int main(void) {
    fake_server();
    bind_duckdb();
    gears_scan_set_stage(&stage, NULL);
    a_relation_is_read_chunk_by_chunk_and_anew_each_time();
    CHECK(gears_grow_register(NULL));
    a_batch_of_values_has_a_bound();
    a_span_has_a_bound_in_its_steps();
    a_signature_is_registered_once_for_each_duckdb();
    a_function_that_duckdb_refuses_ends_the_stage();
    return failed;
}
