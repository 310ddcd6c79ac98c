/* For test_batch.py: DuckDB functions that write their argument as a column and read it back, with the bytes changed
 * in between if asked. DuckDB is the wheel's, bound as the module binds it. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../module/batch.h"

#define DEFINE(type, name, parameters) type(*duckdb_##name) parameters;
GEARS_DUCKDB_FUNCTIONS(DEFINE)

static duckdb_database database;
static duckdb_connection connection;
static char *payload;
static size_t capacity;
static unsigned random_state; /* 0: bytes are left as they are */

static unsigned next_random(void) { return random_state = random_state * 1103515245u + 12345u; }

/* A few words or bytes, wherever they are. */
static void spoil(char *bytes, size_t size) {
    static const uint64_t odd[] = {
        0, 1, 7, 63, 64, 65, ~(uint64_t)0, (uint64_t)1 << 32, (uint64_t)1 << 62, 0x8000000000000000u};
    for (unsigned i = next_random() >> 16 & 3; size >= 8; i--) {
        size_t at = next_random() % size;
        if (next_random() >> 16 & 1)
            bytes[at] = (char)(next_random() >> 16);
        else
            memcpy(bytes + at / 8 * 8, &odd[(next_random() >> 16) % 10], at / 8 * 8 + 8 <= size ? 8 : 0);
        if (i == 0) break;
    }
}

static void echo(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
    const gears_hook_type *type = duckdb_scalar_function_get_extra_info(info);
    idx_t rows = duckdb_data_chunk_get_size(input);
    gears_batch_writer writer = {payload, payload + capacity, false};
    gears_batch_write(&writer, type, duckdb_data_chunk_get_vector(input, 0), rows);
    if (writer.full) {
        duckdb_scalar_function_set_error(info, "full");
        return;
    }
    size_t size = (size_t)(writer.at - payload);
    /* A copy of its own length, so that the address sanitizer sees a byte read behind it. */
    size_t length = random_state != 0 && size > 0 && (next_random() >> 16) % 4 == 0 ? next_random() % size : size;
    char *copy = malloc(length), *at = copy;
    memcpy(copy, payload, length);
    if (random_state != 0) spoil(copy, length);
    const char *problem = gears_batch_read(&at, copy + length, type, output, 0, rows);
    if (problem == NULL && random_state == 0 && at != copy + length) problem = "bytes are left";
    free(copy);
    if (problem != NULL) duckdb_scalar_function_set_error(info, problem);
}

const char *echo_open(const char *path, size_t room) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return dlerror();
#define BIND(type, name, parameters)                                                                                   \
    *(void **)&duckdb_##name = dlsym(library, "duckdb_" #name);                                                        \
    if (duckdb_##name == NULL) return "this DuckDB lacks duckdb_" #name;
    GEARS_DUCKDB_FUNCTIONS(BIND)
    char *error = NULL;
    if (duckdb_open_ext(NULL, &database, NULL, &error) != DuckDBSuccess) return error;
    if (duckdb_connect(database, &connection) != DuckDBSuccess) return "no connection";
    capacity = room;
    payload = malloc(room);
    return NULL;
}

bool echo_register(const char *name, const char *text) {
    gears_hook_type *type = gears_hook_type_parse(text, strlen(text));
    if (type == NULL) return false;
    duckdb_scalar_function function = duckdb_create_scalar_function();
    duckdb_logical_type logical = gears_hook_type_logical(type);
    duckdb_scalar_function_set_name(function, name);
    duckdb_scalar_function_add_parameter(function, logical);
    duckdb_scalar_function_set_return_type(function, logical);
    duckdb_scalar_function_set_special_handling(function);
    duckdb_scalar_function_set_volatile(function);
    duckdb_scalar_function_set_extra_info(function, type, NULL);
    duckdb_scalar_function_set_function(function, echo);
    duckdb_destroy_logical_type(&logical);
    bool registered = duckdb_register_scalar_function(connection, function) == DuckDBSuccess;
    duckdb_destroy_scalar_function(&function);
    return registered;
}

/* The statement's only number (BIGINT); -1 with `error` filled. */
int64_t echo_number(const char *sql, unsigned seed, char *error, size_t size) {
    duckdb_result result;
    memset(&result, 0, sizeof result);
    random_state = seed;
    int64_t number = -1;
    if (duckdb_query(connection, sql, &result) == DuckDBSuccess) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
        if (chunk != NULL) {
            number = *(int64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
            duckdb_destroy_data_chunk(&chunk);
        }
    } else {
        snprintf(error, size, "%s", duckdb_result_error(&result));
    }
    duckdb_destroy_result(&result);
    return number;
}
