/* The module's door: OnLoad, its arguments, and the server's events. Everything here runs on the main thread. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "command.h"
#include "duckdb_api.h"
#include "flush.h"
#include "hook.h"
#include "interpreter.h"
#include "lock.h"
#include "server.h"
#include "session.h"
#include "shrink.h"
#include "snapshot.h"
#include "stage_limits.h"
#include "version.h"
#include "worker.h"

enum { MODULE_VERSION = 1, ENDING_MS = 3000 };

/* ---- events --------------------------------------------------------------------------------------------------- */

static void on_client_change(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)ctx, (void)event;
    if (subevent != REDISMODULE_SUBEVENT_CLIENT_CHANGE_DISCONNECTED || gears_stage_open() == 0) return;
    gears_stage_cancel_client(((RedisModuleClientInfoV1 *)data)->id, "the client is gone");
}

/* LeakSanitizer's, in a server that is run under it: else it would look in one of the handlers that are skipped. */
extern void __lsan_do_leak_check(void) __attribute__((weak));

/* Runs at exit() before the libraries' destructors, which it skips. The server has saved and closed all that is its own by
 * then. */
static void leave(int status, void *data) {
    (void)data;
    if (__lsan_do_leak_check != NULL) __lsan_do_leak_check();
    _exit(status);
}

/* After this the server tears itself down: no worker may take the lock again. Workers hold no lock that this thread waits
 * for. Nobody may be inside a library when its destructors run: a worker in DuckDB, a session's thread in Python (one that
 * imported hashlib when OpenSSL was gone already ended servers by a crash). */
static void on_shutdown(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)ctx, (void)event, (void)subevent, (void)data;
    gears_lock_stop();
    gears_session_stop_all();
    gears_stage_cancel_all("the server shuts down");
    bool ended = gears_worker_end_all(ENDING_MS);
    if (!ended || gears_session_threads() > 0) on_exit(leave, NULL);
}

/* ---- load ----------------------------------------------------------------------------------------------------- */

typedef struct arguments {
    const char *python, *libpython, *duckdb;
} arguments;

static const struct {
    const char *name;
    unsigned *value, least, most;
} numbers[] = {
    {"WORKERS", &gears_worker_limit, 1, GEARS_WORKERS},
    {"QUEUE", &gears_worker_queue_limit, 1, 10000},
    {"MEMORY", &gears_worker_memory_mb, 64, 1u << 20},
    {"SLICE_US", &gears_lock_slice_us, 10, 100000},
    {"PAUSE_US", &gears_lock_pause_us, 0, 100000},
    {"SNAPSHOT_WAIT_MS", &gears_snapshot_wait_ms, 0, 3600000},
    {"SNAPSHOT_AGE_MS", &gears_snapshot_age_ms, 100, 86400000},
    {"FETCH_TIMEOUT_MS", &gears_fetch_timeout_ms, 100, 86400000},
    {"QUERY_TIME_MS", &gears_limits_time_ms, 0, UINT_MAX},
    {"QUERY_ROWS", &gears_limits_rows, 0, UINT_MAX},
    {"QUERY_SHIPPED_ROWS", &gears_limits_shipped_rows, 0, UINT_MAX},
    {"QUERY_SHIPPED_MB", &gears_limits_shipped_mb, 0, 1u << 30},
    {"QUERY_FRAME_MB", &gears_limits_frame_mb, 0, 1u << 20},
    {"QUERY_MEMORY_MB", &gears_limits_memory_mb, 0, 1u << 20},
    {"FRAMES", &gears_limits_frames_mb, 2, 1u << 20},
    {"SESSIONS", &gears_session_limit, 1, 1024},
    {"SESSIONS_ENDED", &gears_session_ended_limit, 0, 1000000},
    {"HOOK_TIMEOUT_MS", &gears_session_timeout_ms, 10, 86400000},
    {"HOOK_MEMORY", &gears_session_memory_mb, 16, 1u << 20},
};

static const struct {
    const char *name, *yes, *no;
    bool *value;
} choices[] = {
    {"HOOK_MAIN", "yes", "no", &gears_session_allow_main},
    {"HOOK_PROCESS", "yes", "no", &gears_session_only_processes},
    {"HOOK_EXECUTE", "read", "no", &gears_hook_execute},
};

static bool read_number(const char *name, RedisModuleString *argument) {
    long long value;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcasecmp(name, numbers[i].name) != 0) continue;
        if (RedisModule_StringToLongLong(argument, &value) != REDISMODULE_OK) return false;
        if (value < numbers[i].least || value > numbers[i].most) return false;
        *numbers[i].value = (unsigned)value;
        return true;
    }
    return false;
}

static bool read_choice(const char *name, const char *value) {
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (strcasecmp(name, choices[i].name) != 0) continue;
        *choices[i].value = strcasecmp(value, choices[i].yes) == 0;
        return *choices[i].value || strcasecmp(value, choices[i].no) == 0;
    }
    return false;
}

/* NULL, or the argument that is wrong. */
static const char *read_arguments(RedisModuleString **argv, int argc, arguments *out) {
    for (int i = 0; i < argc; i += 2) {
        const char *name = RedisModule_StringPtrLen(argv[i], NULL);
        if (i + 1 == argc) return name;
        const char *value = RedisModule_StringPtrLen(argv[i + 1], NULL);
        if (strcasecmp(name, "PYTHON") == 0)
            out->python = value;
        else if (strcasecmp(name, "LIBPYTHON") == 0)
            out->libpython = value;
        else if (strcasecmp(name, "DUCKDB") == 0)
            out->duckdb = value;
        else if (!read_number(name, argv[i + 1]) && !read_choice(name, value))
            return name;
    }
    if (!out->python) return "PYTHON";
    if (!out->libpython) return "LIBPYTHON";
    return out->duckdb ? NULL : "DUCKDB";
}

/* A type of our own, never instantiated: its aux data are the functions. A module that has one is never unloaded, and
 * ours cannot be, since Python and DuckDB cannot. */
static void *no_load(RedisModuleIO *io, int version) {
    (void)io, (void)version;
    return NULL;
}
static void no_save(RedisModuleIO *io, void *value) { (void)io, (void)value; }
static void no_rewrite(RedisModuleIO *io, RedisModuleString *key, void *value) { (void)io, (void)key, (void)value; }
static void no_free(void *value) { (void)value; }

static bool create_type(RedisModuleCtx *ctx) {
    RedisModuleTypeMethods methods = {
        .rdb_load = no_load, .rdb_save = no_save, .aof_rewrite = no_rewrite, .free = no_free};
    gears_function_save_with(&methods);
    return RedisModule_CreateDataType(ctx, "gearsql-0", 0, &methods) != NULL;
}

/* Redis 7.0 knows no categories of modules: there a user needs `+gearsql.execute +gearsql.fetch …`, one by one. */
static bool put_into_categories(RedisModuleCtx *ctx, const char *name, const char *categories) {
    if (RedisModule_SetCommandACLCategories == NULL) return true;
    RedisModuleCommand *command = RedisModule_GetCommand(ctx, name);
    return command != NULL && RedisModule_SetCommandACLCategories(command, categories) == REDISMODULE_OK;
}

/* A `+@read` user may query. Defining functions is running code on the server: @gearsql is the right to do that, where
 * the server lets modules have categories, and @admin and @dangerous have it, as they have all such things. */
static bool create_commands(RedisModuleCtx *ctx) {
    bool own = RedisModule_AddACLCategory != NULL && RedisModule_AddACLCategory(ctx, "gearsql") == REDISMODULE_OK;
    const char *defining = own ? "admin dangerous gearsql" : "admin dangerous";
    const struct {
        const char *name, *flags, *categories;
        RedisModuleCmdFunc function;
    } commands[] = {
        {"GEARSQL.EXECUTE", "readonly", "read", gears_command_execute},
        {"GEARSQL.FETCH", "readonly", "read", gears_command_fetch},
        {"GEARSQL.CANCEL", "readonly allow-loading allow-stale", "read", gears_command_cancel},
        {"GEARSQL.STATUS", "readonly allow-loading allow-stale", "read", gears_command_status},
        {"GEARSQL.FUNCTIONS", "readonly", "read", gears_command_functions},
        {"GEARSQL.DEFINE", "write deny-oom", defining, gears_command_define},
        {"GEARSQL.UNDEFINE", "write deny-oom", defining, gears_command_undefine},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (RedisModule_CreateCommand(ctx, commands[i].name, commands[i].function, commands[i].flags, 0, 0, 0) !=
                REDISMODULE_OK ||
            !put_into_categories(ctx, commands[i].name, commands[i].categories))
            return false;
    return true;
}

static bool subscribe(RedisModuleCtx *ctx) {
    RedisModuleEvent client_change = {.id = REDISMODULE_EVENT_CLIENT_CHANGE, .dataver = 1};
    RedisModuleEvent shutdown = {.id = REDISMODULE_EVENT_SHUTDOWN, .dataver = 1};
    return RedisModule_SubscribeToServerEvent(ctx, client_change, on_client_change) == REDISMODULE_OK &&
           RedisModule_SubscribeToServerEvent(ctx, shutdown, on_shutdown) == REDISMODULE_OK &&
           RedisModule_RegisterInfoFunc(ctx, gears_command_info) == REDISMODULE_OK;
}

static const char *start_libraries(const arguments *given) {
    const char *problem = gears_interpreter_start(given->libpython, given->python);
    return problem ? problem : gears_duckdb_bind(given->duckdb);
}

/* Hooks that need no process work without it, and who needs one tries again. */
static void start_supervisor(RedisModuleCtx *ctx, const arguments *given) {
    const char *problem = gears_session_start(given->python);
    if (problem != NULL) RedisModule_Log(ctx, "warning", "no supervisor of hooks' processes: %s", problem);
}

__attribute__((visibility("default"))) int RedisModule_OnLoad(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    const char *missing = gears_server_bind(ctx);
    if (missing != NULL) {
        fprintf(stderr, "gearsql: this server lacks %s; Redis 7.0 or Valkey 8.1 is needed\n", missing);
        return REDISMODULE_ERR;
    }
    RedisModule_SetModuleAttribs(ctx, "gearsql", MODULE_VERSION, REDISMODULE_APIVER_1);
    arguments given = {NULL, NULL, NULL};
    const char *wrong = read_arguments(argv, argc, &given);
    if (wrong != NULL) {
        RedisModule_Log(ctx, "warning", "module argument %s is missing or wrong; `gearsql module` prints the line",
                        wrong);
        return REDISMODULE_ERR;
    }
    const char *problem = start_libraries(&given);
    if (problem != NULL) {
        RedisModule_Log(ctx, "warning", "%s", problem);
        return REDISMODULE_ERR;
    }
    if (!create_type(ctx) || !create_commands(ctx) || !subscribe(ctx) || !gears_flush_subscribe(ctx) ||
        !gears_shrink_subscribe(ctx)) {
        RedisModule_Log(ctx, "warning", "the server refused a command, event or type of gearsql");
        return REDISMODULE_ERR;
    }
    gears_function_spread(ctx);
    start_supervisor(ctx, &given);
    gears_slots_subscribe(ctx);
    gears_lock_find_event_loop();
    RedisModule_SetModuleOptions(ctx, REDISMODULE_OPTIONS_HANDLE_IO_ERRORS |
                                          REDISMODULE_OPTIONS_HANDLE_ATOMIC_SLOT_MIGRATION);
    RedisModule_Log(ctx, "notice", "gearsql %s: DuckDB %s, Python %s", GEARS_VERSION, gears_version_of_duckdb(),
                    gears_interpreter_version());
    return REDISMODULE_OK;
}
