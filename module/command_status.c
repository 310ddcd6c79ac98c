/* GEARSQL.STATUS and INFO: the same numbers; see command.h. */
#include <string.h>

#include "command.h"
#include "duckdb_api.h"
#include "interpreter.h"
#include "lock.h"
#include "session.h"
#include "version.h"
#include "worker.h"

const char *gears_version_of_duckdb(void) {
    const char *version = duckdb_library_version();
    return version[0] == 'v' ? version + 1 : version;
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

int gears_command_status(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    (void)argv;
    if (argc != 1) return RedisModule_WrongArity(ctx);
    stage_list list = {ctx, 0};
    RedisModule_ReplyWithArray(ctx, 28);
    reply_text(ctx, "module_version", GEARS_VERSION);
    reply_text(ctx, "duckdb_version", gears_version_of_duckdb());
    reply_text(ctx, "python_version", gears_interpreter_version());
    reply_number(ctx, "stages_running", gears_stage_open());
    reply_number(ctx, "stages_total", gears_worker_stages_total());
    reply_number(ctx, "rows_scanned_total", gears_worker_rows_total());
    reply_number(ctx, "python_memory", gears_interpreter_memory());
    reply_number(ctx, "duckdb_memory", gears_worker_duckdb_memory());
    reply_number(ctx, "workers", gears_worker_count());
    reply_number(ctx, "sessions", gears_session_count());
    reply_number(ctx, "session_processes", gears_session_process_count());
    reply_number(ctx, "sessions_ended", gears_session_ended_total());
    reply_number(ctx, "functions", gears_function_count());
    RedisModule_ReplyWithStringBuffer(ctx, "stages", strlen("stages"));
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    gears_stage_each(reply_stage, &list);
    RedisModule_ReplySetArrayLength(ctx, list.length);
    return REDISMODULE_OK;
}

/* A crash report may call this with anything broken: atomics only, no lock, no GIL. */
void gears_command_info(RedisModuleInfoCtx *ctx, int for_crash_report) {
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
    RedisModule_InfoAddFieldULongLong(ctx, "sessions", gears_session_count());
    RedisModule_InfoAddFieldULongLong(ctx, "session_processes", gears_session_process_count());
    RedisModule_InfoAddFieldULongLong(ctx, "sessions_ended", gears_session_ended_total());
    RedisModule_InfoAddFieldULongLong(ctx, "functions", gears_function_count());
}
