/* GEARSQL.STATUS and INFO: the same numbers; see command.h. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "duckdb_api.h"
#include "interpreter.h"
#include "lock.h"
#include "rights.h"
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

static uint64_t left_ms(const gears_stage *stage) {
    uint64_t now = gears_lock_now();
    return stage->limits.deadline_us > now ? (stage->limits.deadline_us - now) / 1000 + 1 : 1;
}

bool gears_command_may(RedisModuleCtx *ctx, const char *command, const char *word) {
    RedisModuleString *name = RedisModule_GetCurrentUserName(ctx);
    RedisModuleUser *user = name != NULL ? RedisModule_GetModuleUserFromUserName(name) : NULL;
    if (name != NULL) RedisModule_FreeString(ctx, name);
    if (user == NULL) return false;
    bool may = gears_rights_may(user, RedisModule_GetSelectedDb(ctx), command, word);
    RedisModule_FreeModuleUser(user);
    return may;
}

static const char *state_of(gears_stage *stage) {
    pthread_mutex_lock(&stage->mutex);
    const char *state = "running";
    if (atomic_load(&stage->cancelled))
        state = "ending";
    else if (!stage->started)
        state = "queued";
    else if (stage->fetched && stage->waiter == NULL)
        state = "waiting for FETCH";
    pthread_mutex_unlock(&stage->mutex);
    return state;
}

enum { SQL_SHOWN = 4096 };

typedef struct stage_list {
    RedisModuleCtx *ctx;
    const char *user;
    bool sees_all, sees_sql; /* of others */
    long length;
} stage_list;

static void reply_client(RedisModuleCtx *ctx, const gears_stage *stage) {
    RedisModuleClientInfoV1 client = {.version = 1};
    char address[80] = "";
    if (RedisModule_GetClientInfoById(&client, stage->client) == REDISMODULE_OK && *client.addr != 0)
        snprintf(address, sizeof address, "%s:%u", client.addr, client.port);
    reply_number(ctx, "client", stage->client);
    reply_text(ctx, "address", address);
}

static void reply_stage(gears_stage *stage, void *data) {
    stage_list *list = data;
    RedisModuleCtx *ctx = list->ctx;
    bool own = strcmp(stage->user.data, list->user) == 0;
    if (!own && !list->sees_all) return;
    size_t length = strlen(stage->sql), query = strcspn(stage->id, ".");
    list->length++;
    RedisModule_ReplyWithMap(ctx, 15);
    reply_text(ctx, "id", stage->id);
    RedisModule_ReplyWithStringBuffer(ctx, "query", strlen("query"));
    RedisModule_ReplyWithStringBuffer(ctx, stage->id, query);
    reply_text(ctx, "user", stage->user.data);
    reply_client(ctx, stage);
    reply_text(ctx, "state", state_of(stage));
    reply_number(ctx, "started_ms", stage->started_ms);
    reply_number(ctx, "running_us", gears_lock_now() - stage->started_us);
    reply_number(ctx, "left_ms", stage->limits.deadline_us == 0 ? 0 : left_ms(stage));
    reply_number(ctx, "rows_scanned", stage->rows_scanned);
    reply_number(ctx, "keys_seen", stage->keys_seen);
    reply_number(ctx, "keys_total", stage->keys_total);
    reply_number(ctx, "rows_shipped", stage->rows_shipped);
    reply_number(ctx, "bytes_shipped", stage->bytes_shipped);
    RedisModule_ReplyWithStringBuffer(ctx, "sql", strlen("sql"));
    if (!own && !list->sees_sql) length = 0;
    RedisModule_ReplyWithStringBuffer(ctx, stage->sql, length < SQL_SHOWN ? length : SQL_SHOWN);
}

/* Own stages are seen by everybody; others' by who may CLIENT LIST, their SQL by who may SLOWLOG GET. */
static void reply_stages(RedisModuleCtx *ctx) {
    RedisModuleString *name = RedisModule_GetCurrentUserName(ctx);
    stage_list list = {.ctx = ctx, .user = name != NULL ? RedisModule_StringPtrLen(name, NULL) : ""};
    list.sees_all = gears_command_may(ctx, "CLIENT", "LIST");
    list.sees_sql = list.sees_all && gears_command_may(ctx, "SLOWLOG", "GET");
    RedisModule_ReplyWithStringBuffer(ctx, "stages", strlen("stages"));
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    gears_stage_each(reply_stage, &list);
    RedisModule_ReplySetArrayLength(ctx, list.length);
    if (name != NULL) RedisModule_FreeString(ctx, name);
}

int gears_command_status(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    (void)argv;
    if (argc != 1) return RedisModule_WrongArity(ctx);
    RedisModule_ReplyWithMap(ctx, 15);
    reply_text(ctx, "module_version", GEARS_VERSION);
    reply_text(ctx, "duckdb_version", gears_version_of_duckdb());
    reply_text(ctx, "python_version", gears_interpreter_version());
    reply_number(ctx, "stages_running", gears_stage_open());
    reply_number(ctx, "stages_queued", gears_worker_queued());
    reply_number(ctx, "stages_total", gears_worker_stages_total());
    reply_number(ctx, "rows_scanned_total", gears_worker_rows_total());
    reply_number(ctx, "python_memory", gears_interpreter_memory());
    reply_number(ctx, "duckdb_memory", gears_worker_duckdb_memory());
    reply_number(ctx, "workers", gears_worker_count());
    reply_number(ctx, "sessions", gears_session_count());
    reply_number(ctx, "session_processes", gears_session_process_count());
    reply_number(ctx, "sessions_ended", gears_session_ended_total());
    reply_number(ctx, "functions", gears_function_count());
    reply_stages(ctx);
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
