/* Binds DuckDB's C API by name and opens the server's locked-down database; see duckdb_api.h. */
#include "duckdb_api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"

#define GEARS_DEFINE(type, name, parameters) type(*duckdb_##name) parameters;
GEARS_DUCKDB_FUNCTIONS(GEARS_DEFINE)
#undef GEARS_DEFINE

const char *gears_duckdb_bind(const char *path) {
    static char problem[512];
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(problem, sizeof problem, "cannot load DuckDB: %s", dlerror());
        return problem;
    }
#define GEARS_BIND(type, name, parameters)                                                                             \
    *(void **)&duckdb_##name = dlsym(library, "duckdb_" #name);                                                        \
    if (duckdb_##name == NULL) return "this DuckDB lacks duckdb_" #name "; duckdb 2.0 is needed";
    GEARS_DUCKDB_FUNCTIONS(GEARS_BIND)
#undef GEARS_BIND
    return NULL;
}

/* Every setting that changes answers or opens a door is fixed here, then the configuration is locked. One thread:
 * the calling worker runs its stage alone, and the scan (under the server's lock) is the bottleneck anyway. The allocator's
 * own threads give memory back that queries left; without them it would stay until the next queries. */
static const char *const fixed_settings[][2] = {
    {"threads", "1"},
    {"async_threads", "1"},
    {"allocator_background_threads", "true"},
    {"autoinstall_known_extensions", "false"},
    {"autoload_known_extensions", "false"},
    {"arrow_lossless_conversion", "true"},
    {"preserve_insertion_order", "false"},
};

static duckdb_database open_locked_down(unsigned memory_megabytes, char **error) {
    duckdb_config config = NULL;
    duckdb_database database = NULL;
    char memory[32];
    snprintf(memory, sizeof memory, "%uMiB", memory_megabytes);
    if (duckdb_create_config(&config) != DuckDBSuccess) return NULL;
    const char *refused = duckdb_set_config(config, "memory_limit", memory) == DuckDBSuccess ? NULL : "memory_limit";
    for (size_t i = 0; i < sizeof fixed_settings / sizeof *fixed_settings && refused == NULL; i++)
        if (duckdb_set_config(config, fixed_settings[i][0], fixed_settings[i][1]) != DuckDBSuccess)
            refused = fixed_settings[i][0];
    if (refused != NULL)
        *error = strdup(refused);
    else if (duckdb_open_ext(NULL, &database, config, error) != DuckDBSuccess)
        database = NULL;
    duckdb_destroy_config(&config);
    return database;
}

/* What the configuration call does not take: an empty text, an extension's setting, and locks that come last. */
static bool lock_configuration(duckdb_database database, bool bounded, char **error) {
    duckdb_connection connection = NULL;
    if (duckdb_connect(database, &connection) != DuckDBSuccess) return false;
    const char *const statements[] = {"SET GLOBAL temp_directory = ''", "SET GLOBAL enable_external_access = false",
                                      "SET GLOBAL TimeZone = 'UTC'",
                                      bounded ? "SET GLOBAL allowed_configs = ['streaming_buffer_size', 'memory_limit']"
                                              : "SET GLOBAL allowed_configs = ['streaming_buffer_size']",
                                      "SET GLOBAL lock_configuration = true"};
    bool locked = true;
    for (size_t i = 0; i < sizeof statements / sizeof *statements && locked; i++) {
        duckdb_result result;
        memset(&result, 0, sizeof result);
        locked = duckdb_query(connection, statements[i], &result) == DuckDBSuccess;
        if (!locked) *error = strdup(duckdb_result_error(&result));
        duckdb_destroy_result(&result);
    }
    duckdb_disconnect(&connection);
    return locked;
}

static duckdb_database open_database(unsigned memory_megabytes, bool bounded, char **error) {
    duckdb_database opened = open_locked_down(memory_megabytes, error);
    bool whole = opened != NULL && gears_scan_register(opened) && lock_configuration(opened, bounded, error);
    if (!whole && opened != NULL) duckdb_close(&opened);
    return opened;
}

duckdb_database gears_duckdb_bounded(unsigned memory_megabytes, char **error) {
    return open_database(memory_megabytes, true, error);
}

duckdb_database gears_duckdb_database(unsigned memory_megabytes, char **error) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static duckdb_database database;
    pthread_mutex_lock(&mutex);
    if (database == NULL) database = open_database(memory_megabytes, false, error);
    pthread_mutex_unlock(&mutex);
    return database;
}
