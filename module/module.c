/* The module's door: OnLoad, the commands, INFO, and the server's events. Everything here runs on the main thread and
 * never waits for a worker: a command parses, queues, and blocks its client. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "duckdb_api.h"
#include "flush.h"
#include "interpreter.h"
#include "lock.h"
#include "server.h"
#include "stage.h"
#include "version.h"
#include "worker.h"

enum { MODULE_VERSION = 1, DRAIN_MS = 3000 };

const char *gears_version_of_duckdb(void) {
    const char *version = duckdb_library_version();
    return version[0] == 'v' ? version + 1 : version;
}

/* ---- commands ------------------------------------------------------------------------------------------------- */

/* Neither a transaction nor a script can wait for an answer. */
static bool may_block(RedisModuleCtx *ctx) {
    int flags = RedisModule_GetContextFlags(ctx);
    return !(flags & (REDISMODULE_CTX_FLAGS_LUA | REDISMODULE_CTX_FLAGS_MULTI | REDISMODULE_CTX_FLAGS_DENY_BLOCKING));
}

static bool is_replica_of_a_cluster(RedisModuleCtx *ctx) {
    int flags = RedisModule_GetContextFlags(ctx);
    return (flags & REDISMODULE_CTX_FLAGS_CLUSTER) && (flags & REDISMODULE_CTX_FLAGS_SLAVE);
}

/* Block the client and hand it to the stage as the one that waits for the next frame. */
static int wait_for_frame(RedisModuleCtx *ctx, gears_stage *stage) {
    RedisModuleBlockedClient *blocked = RedisModule_BlockClient(ctx, NULL, NULL, NULL, 0);
    if (gears_stage_await(stage, blocked)) return REDISMODULE_OK;
    RedisModule_UnblockClient(blocked, NULL); /* cannot be: a blocked client sends nothing */
    return REDISMODULE_ERR;
}

static int execute_command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    char *error = NULL;
    if (argc < 8) return RedisModule_WrongArity(ctx);
    if (!may_block(ctx))
        return RedisModule_ReplyWithError(ctx, "GEARSSTAGE a stage cannot run in a transaction or script");
    if (is_replica_of_a_cluster(ctx))
        return RedisModule_ReplyWithError(ctx, "GEARSREPLICA this node is a replica now: its primary has the slots");
    if (gears_stage_of_client(RedisModule_GetClientId(ctx)))
        return RedisModule_ReplyWithError(ctx,
                                          "GEARSLIMIT this connection has an open stage: fetch it to its end first");
    gears_stage *stage = gears_stage_parse(ctx, argv, argc, &error);
    if (stage == NULL) {
        RedisModule_ReplyWithError(ctx, error ? error : "GEARSLIMIT out of memory");
        free(error);
        return REDISMODULE_OK;
    }
    stage->started_us = gears_lock_now();
    gears_stage_register(stage);
    if (!gears_worker_submit(stage)) {
        gears_stage_unregister(stage);
        gears_stage_release(stage);
        return RedisModule_ReplyWithError(ctx, "GEARSLIMIT too many stages wait on this server");
    }
    return wait_for_frame(ctx, stage);
}

static int fetch_command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    size_t length;
    if (argc != 2) return RedisModule_WrongArity(ctx);
    if (!may_block(ctx))
        return RedisModule_ReplyWithError(ctx, "GEARSSTAGE a stage cannot run in a transaction or script");
    const char *id = RedisModule_StringPtrLen(argv[1], &length);
    gears_stage *stage = gears_stage_find(id, length, RedisModule_GetClientId(ctx));
    if (stage == NULL) return RedisModule_ReplyWithError(ctx, "GEARSGONE this connection has no such stage");
    int status = wait_for_frame(ctx, stage);
    gears_stage_release(stage);
    return status;
}

/* A user cancels its own stages only; an administrator has CLIENT KILL. */
static int cancel_command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 2) return RedisModule_WrongArity(ctx);
    gears_slice id, user;
    id.data = RedisModule_StringPtrLen(argv[1], &id.size);
    RedisModuleString *name = RedisModule_GetCurrentUserName(ctx);
    if (name == NULL) return RedisModule_ReplyWithLongLong(ctx, 0);
    user.data = RedisModule_StringPtrLen(name, &user.size);
    size_t count = gears_stage_cancel_id(id, user, "by GEARSQL.CANCEL");
    RedisModule_FreeString(ctx, name);
    return RedisModule_ReplyWithLongLong(ctx, (long long)count);
}

static void reply_text(RedisModuleCtx *ctx, const char *name, const char *value) {
    RedisModule_ReplyWithStringBuffer(ctx, name, strlen(name));
    RedisModule_ReplyWithStringBuffer(ctx, value, strlen(value));
}

static void reply_number(RedisModuleCtx *ctx, const char *name, unsigned long long value) {
    RedisModule_ReplyWithStringBuffer(ctx, name, strlen(name));
    RedisModule_ReplyWithLongLong(ctx, (long long)value);
}

static const char *state_of(gears_stage *stage) {
    pthread_mutex_lock(&stage->mutex);
    const char *state = !stage->started ? "queued" : stage->waiter != NULL ? "running" : "waiting for FETCH";
    pthread_mutex_unlock(&stage->mutex);
    return state;
}

typedef struct stage_list {
    RedisModuleCtx *ctx;
    long length;
} stage_list;

static void reply_stage(gears_stage *stage, void *data) {
    stage_list *list = data;
    RedisModuleCtx *ctx = list->ctx;
    list->length++;
    RedisModule_ReplyWithArray(ctx, 16);
    reply_text(ctx, "id", stage->id);
    reply_number(ctx, "client", stage->client);
    reply_text(ctx, "user", stage->user.data);
    reply_text(ctx, "state", state_of(stage));
    reply_number(ctx, "rows_scanned", stage->rows_scanned);
    reply_number(ctx, "keys_seen", stage->keys_seen);
    reply_number(ctx, "keys_total", stage->keys_total);
    reply_number(ctx, "running_us", gears_lock_now() - stage->started_us);
}

static int status_command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    (void)argv;
    if (argc != 1) return RedisModule_WrongArity(ctx);
    stage_list list = {ctx, 0};
    RedisModule_ReplyWithArray(ctx, 20);
    reply_text(ctx, "module_version", GEARS_VERSION);
    reply_text(ctx, "duckdb_version", gears_version_of_duckdb());
    reply_text(ctx, "python_version", gears_interpreter_version());
    reply_number(ctx, "stages_running", gears_stage_open());
    reply_number(ctx, "stages_total", gears_worker_stages_total());
    reply_number(ctx, "rows_scanned_total", gears_worker_rows_total());
    reply_number(ctx, "python_memory", gears_interpreter_memory());
    reply_number(ctx, "duckdb_memory", gears_worker_duckdb_memory());
    reply_number(ctx, "workers", gears_worker_count());
    RedisModule_ReplyWithStringBuffer(ctx, "stages", strlen("stages"));
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    gears_stage_each(reply_stage, &list);
    RedisModule_ReplySetArrayLength(ctx, list.length);
    return REDISMODULE_OK;
}

/* A crash report may call this with anything broken: atomics only, no lock, no GIL. */
static void info(RedisModuleInfoCtx *ctx, int for_crash_report) {
    (void)for_crash_report;
    if (RedisModule_InfoAddSection(ctx, "status") != REDISMODULE_OK) return;
    RedisModule_InfoAddFieldCString(ctx, "version", GEARS_VERSION);
    RedisModule_InfoAddFieldCString(ctx, "duckdb_version", gears_version_of_duckdb());
    RedisModule_InfoAddFieldCString(ctx, "python_version", gears_interpreter_version());
    RedisModule_InfoAddFieldULongLong(ctx, "stages_running", gears_stage_open());
    RedisModule_InfoAddFieldULongLong(ctx, "stages_total", gears_worker_stages_total());
    RedisModule_InfoAddFieldULongLong(ctx, "rows_scanned_total", gears_worker_rows_total());
    RedisModule_InfoAddFieldULongLong(ctx, "python_memory", gears_interpreter_memory());
    RedisModule_InfoAddFieldULongLong(ctx, "duckdb_memory", gears_worker_duckdb_memory());
}

/* ---- events --------------------------------------------------------------------------------------------------- */

static void on_client_change(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)ctx, (void)event;
    if (subevent != REDISMODULE_SUBEVENT_CLIENT_CHANGE_DISCONNECTED || gears_stage_open() == 0) return;
    gears_stage_cancel_client(((RedisModuleClientInfoV1 *)data)->id, "the client is gone");
}

/* After this the server tears itself down: no worker may take the lock again, nor be inside DuckDB when the
 * libraries' destructors run. Workers hold no lock that this thread waits for. */
static void on_shutdown(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)ctx, (void)event, (void)subevent, (void)data;
    gears_lock_stop();
    gears_stage_cancel_all("the server shuts down");
    gears_worker_drain(DRAIN_MS);
}

/* ---- load ----------------------------------------------------------------------------------------------------- */

typedef struct arguments {
    const char *python, *libpython, *duckdb;
} arguments;

static const struct {
    const char *name;
    unsigned *value, least, most;
} numbers[] = {
    {"WORKERS", &gears_worker_limit, 1, 64},           {"QUEUE", &gears_worker_queue_limit, 1, 10000},
    {"MEMORY", &gears_worker_memory_mb, 64, 1u << 20}, {"SLICE_US", &gears_lock_slice_us, 10, 100000},
    {"PAUSE_US", &gears_lock_pause_us, 0, 100000},     {"FETCH_TIMEOUT_MS", &gears_fetch_timeout_ms, 100, 86400000},
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
        else if (!read_number(name, argv[i + 1]))
            return name;
    }
    if (!out->python) return "PYTHON";
    if (!out->libpython) return "LIBPYTHON";
    return out->duckdb ? NULL : "DUCKDB";
}

/* A type of our own, never instantiated: a module that has one is never unloaded, and ours cannot be, since Python
 * and DuckDB cannot. */
static void *no_load(RedisModuleIO *io, int version) {
    (void)io, (void)version;
    return NULL;
}
static void no_save(RedisModuleIO *io, void *value) { (void)io, (void)value; }
static void no_rewrite(RedisModuleIO *io, RedisModuleString *key, void *value) { (void)io, (void)key, (void)value; }
static void no_free(void *value) { (void)value; }

static bool forbid_unload(RedisModuleCtx *ctx) {
    RedisModuleTypeMethods methods = {
        .version = 1, .rdb_load = no_load, .rdb_save = no_save, .aof_rewrite = no_rewrite, .free = no_free};
    return RedisModule_CreateDataType(ctx, "gearsql-0", 0, &methods) != NULL;
}

/* All of them read: a `+@read` user may query. Redis 7.0 knows no categories of modules: there a user needs
 * `+gearsql.execute +gearsql.fetch +gearsql.cancel +gearsql.status`. */
static bool put_into_category(RedisModuleCtx *ctx, const char *name) {
    if (RedisModule_SetCommandACLCategories == NULL) return true;
    RedisModuleCommand *command = RedisModule_GetCommand(ctx, name);
    return command != NULL && RedisModule_SetCommandACLCategories(command, "read") == REDISMODULE_OK;
}

static bool create_commands(RedisModuleCtx *ctx) {
    static const struct {
        const char *name, *flags;
        RedisModuleCmdFunc function;
    } commands[] = {
        {"GEARSQL.EXECUTE", "readonly", execute_command},
        {"GEARSQL.FETCH", "readonly", fetch_command},
        {"GEARSQL.CANCEL", "readonly allow-loading allow-stale", cancel_command},
        {"GEARSQL.STATUS", "readonly allow-loading allow-stale", status_command},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (RedisModule_CreateCommand(ctx, commands[i].name, commands[i].function, commands[i].flags, 0, 0, 0) !=
                REDISMODULE_OK ||
            !put_into_category(ctx, commands[i].name))
            return false;
    return true;
}

static bool subscribe(RedisModuleCtx *ctx) {
    RedisModuleEvent client_change = {.id = REDISMODULE_EVENT_CLIENT_CHANGE, .dataver = 1};
    RedisModuleEvent shutdown = {.id = REDISMODULE_EVENT_SHUTDOWN, .dataver = 1};
    return RedisModule_SubscribeToServerEvent(ctx, client_change, on_client_change) == REDISMODULE_OK &&
           RedisModule_SubscribeToServerEvent(ctx, shutdown, on_shutdown) == REDISMODULE_OK &&
           RedisModule_RegisterInfoFunc(ctx, info) == REDISMODULE_OK;
}

static const char *start_libraries(const arguments *given) {
    const char *problem = gears_interpreter_start(given->libpython, given->python);
    return problem ? problem : gears_duckdb_bind(given->duckdb);
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
    if (!forbid_unload(ctx) || !create_commands(ctx) || !subscribe(ctx) || !gears_flush_subscribe(ctx)) {
        RedisModule_Log(ctx, "warning", "the server refused a command, event or type of gearsql");
        return REDISMODULE_ERR;
    }
    gears_slots_subscribe(ctx);
    RedisModule_SetModuleOptions(ctx, REDISMODULE_OPTIONS_HANDLE_IO_ERRORS |
                                          REDISMODULE_OPTIONS_HANDLE_ATOMIC_SLOT_MIGRATION);
    RedisModule_Log(ctx, "notice", "gearsql %s: DuckDB %s, Python %s", GEARS_VERSION, gears_version_of_duckdb(),
                    gears_interpreter_version());
    return REDISMODULE_OK;
}
