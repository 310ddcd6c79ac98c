/* A scan that goes on over other data would answer with parts of both; see flush.h. All here runs on the main thread,
 * between the scan's turns. */
#include "flush.h"

#include "function.h"
#include "stage.h"

/* A shard of a cluster that became a replica takes the data of its new primary: the query is to go there. */
static const char replica[] = GEARS_REPLICA;

static const char emptied[] = "GEARSREPLACED the database was emptied (FLUSHALL, FLUSHDB) while the query read it",
                  swapped[] = "GEARSREPLACED the database was swapped (SWAPDB) while the query read it",
                  loaded[] = "GEARSREPLACED the server loaded other data while the query read it";

static const char *reason(RedisModuleCtx *ctx, const char *text) {
    int flags = RedisModule_GetContextFlags(ctx), both = REDISMODULE_CTX_FLAGS_CLUSTER | REDISMODULE_CTX_FLAGS_SLAVE;
    return (flags & both) == both ? replica : text;
}

static void on_role(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)event, (void)data, (void)subevent;
    if (reason(ctx, NULL) == replica) gears_stage_cancel_all(replica);
}

static void on_flush(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    const RedisModuleFlushInfoV1 *told = data;
    (void)event;
    if (subevent != REDISMODULE_SUBEVENT_FLUSHDB_START || gears_stage_open() == 0) return;
    gears_stage_cancel_on_replica(told->dbnum < 0 ? NULL : &told->dbnum, emptied);
    if (told->dbnum < 0)
        gears_stage_cancel_all(reason(ctx, emptied));
    else
        gears_stage_cancel_database(told->dbnum, reason(ctx, emptied));
}

static void on_swap(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    const RedisModuleSwapDbInfoV1 *told = data;
    (void)ctx, (void)event, (void)subevent;
    gears_stage_cancel_database(told->dbnum_first, swapped);
    gears_stage_cancel_database(told->dbnum_second, swapped);
}

/* Of functions, what a primary sends is all that there is. (A server takes one callback of a module for an event.) */
static void on_loading(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)event, (void)data;
    if (subevent <= REDISMODULE_SUBEVENT_LOADING_REPL_START) gears_stage_cancel_on_replica(NULL, loaded);
    if (subevent <= REDISMODULE_SUBEVENT_LOADING_REPL_START) gears_stage_cancel_all(reason(ctx, loaded));
    if (subevent == REDISMODULE_SUBEVENT_LOADING_REPL_START) gears_function_clear();
}

static void on_async_load(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)event, (void)data;
    if (subevent == REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_COMPLETED) gears_stage_cancel_on_replica(NULL, loaded);
    if (subevent == REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_COMPLETED) gears_stage_cancel_all(reason(ctx, loaded));
}

bool gears_flush_subscribe(RedisModuleCtx *ctx) {
    static const struct {
        uint64_t id;
        RedisModuleEventCallback call;
    } events[] = {
        {REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, on_role},
        {REDISMODULE_EVENT_FLUSHDB, on_flush},
        {REDISMODULE_EVENT_SWAPDB, on_swap},
        {REDISMODULE_EVENT_LOADING, on_loading},
        {REDISMODULE_EVENT_REPL_ASYNC_LOAD, on_async_load},
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        RedisModuleEvent event = {.id = events[i].id, .dataver = 1};
        if (RedisModule_SubscribeToServerEvent(ctx, event, events[i].call) != REDISMODULE_OK) return false;
    }
    return true;
}
