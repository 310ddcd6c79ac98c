/* GEARSQL.EXECUTE, FETCH and CANCEL; see command.h. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "lock.h"
#include "stage_limits.h"
#include "worker.h"

/* Neither a transaction nor a script can wait for an answer. */
static bool may_block(RedisModuleCtx *ctx) {
    int flags = RedisModule_GetContextFlags(ctx);
    return !(flags & (REDISMODULE_CTX_FLAGS_LUA | REDISMODULE_CTX_FLAGS_MULTI | REDISMODULE_CTX_FLAGS_DENY_BLOCKING));
}

/* NULL, or why this server is not the one that the stage is for. */
static const char *at_wrong_node(RedisModuleCtx *ctx, const gears_stage *stage) {
    int flags = RedisModule_GetContextFlags(ctx);
    bool is_replica = flags & REDISMODULE_CTX_FLAGS_SLAVE;
    if (stage->on_replica) return is_replica ? NULL : GEARS_PRIMARY;
    return (flags & REDISMODULE_CTX_FLAGS_CLUSTER) && is_replica ? GEARS_REPLICA : NULL;
}

/* Block the client and hand it to the stage as the one that waits for the next frame. */
static int wait_for_frame(RedisModuleCtx *ctx, gears_stage *stage) {
    RedisModuleBlockedClient *blocked = RedisModule_BlockClient(ctx, NULL, NULL, NULL, 0);
    if (gears_stage_await(stage, blocked)) return REDISMODULE_OK;
    /* The stage ended a moment ago, and has said why. */
    RedisModuleCtx *reply = RedisModule_GetThreadSafeContext(blocked);
    RedisModule_ReplyWithError(reply, stage->error ? stage->error : "GEARSGONE the stage has ended");
    RedisModule_FreeThreadSafeContext(reply);
    free(gears_stage_last_word(stage->id, strlen(stage->id), stage->client));
    return RedisModule_UnblockClient(blocked, NULL);
}

bool gears_command_may_start(RedisModuleCtx *ctx) {
    const char *problem = NULL;
    if (!may_block(ctx))
        problem = "GEARSSTAGE a stage cannot run in a transaction or script";
    else if (gears_stage_of_client(RedisModule_GetClientId(ctx)))
        problem = "GEARSLIMIT this connection has an open stage: fetch it to its end first";
    if (problem != NULL) RedisModule_ReplyWithError(ctx, problem);
    return problem == NULL;
}

/* NULL: a worker will take it, or has. */
static const char *submit(RedisModuleCtx *ctx, gears_stage *stage) {
    if (!gears_limits_start(ctx, stage)) return stage->error ? stage->error : "GEARSLIMIT out of memory";
    if (gears_worker_submit(stage)) return NULL;
    return "GEARSQUEUE too many stages wait on this server (argument QUEUE)";
}

int gears_command_start(RedisModuleCtx *ctx, gears_stage *stage, char *error) {
    if (stage == NULL) {
        RedisModule_ReplyWithError(ctx, error ? error : "GEARSLIMIT out of memory");
        free(error);
        return REDISMODULE_OK;
    }
    const char *problem = at_wrong_node(ctx, stage);
    if (problem != NULL) {
        gears_stage_release(stage);
        return RedisModule_ReplyWithError(ctx, problem);
    }
    if (stage->once && !gears_limits_first_time(stage)) {
        gears_stage_release(stage);
        return RedisModule_ReplyWithError(ctx, "GEARSTWICE this server was sent a stage of this id before");
    }
    stage->started_us = gears_lock_now();
    stage->started_ms = gears_lock_calendar_ms();
    gears_stage_retain(stage);
    gears_stage_register(stage);
    problem = submit(ctx, stage);
    if (problem == NULL) {
        wait_for_frame(ctx, stage);
    } else {
        RedisModule_ReplyWithError(ctx, problem);
        gears_stage_unregister(stage);
        gears_stage_release(stage);
    }
    gears_stage_release(stage);
    return REDISMODULE_OK;
}

int gears_command_execute(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    char *error = NULL;
    if (argc < 8) return RedisModule_WrongArity(ctx);
    if (!gears_command_may_start(ctx)) return REDISMODULE_OK;
    gears_stage *stage = gears_stage_parse(ctx, argv, argc, &error);
    return gears_command_start(ctx, stage, error);
}

int gears_command_fetch(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    size_t length;
    if (argc != 2) return RedisModule_WrongArity(ctx);
    if (!may_block(ctx))
        return RedisModule_ReplyWithError(ctx, "GEARSSTAGE a stage cannot run in a transaction or script");
    const char *id = RedisModule_StringPtrLen(argv[1], &length);
    gears_stage *stage = gears_stage_find(id, length, RedisModule_GetClientId(ctx));
    if (stage == NULL) {
        char *error = gears_stage_last_word(id, length, RedisModule_GetClientId(ctx));
        RedisModule_ReplyWithError(ctx, error ? error : "GEARSGONE this connection has no such stage");
        free(error);
        return REDISMODULE_OK;
    }
    /* A scan asks itself; what is computed, or was forked, before the right was lost is held back here. */
    if (gears_command_may(ctx, "GEARSQL.EXECUTE", stage->id)) {
        wait_for_frame(ctx, stage);
    } else {
        gears_stage_cancel_client(stage->client, GEARS_NO_RIGHT);
        RedisModule_ReplyWithError(ctx, GEARS_NO_RIGHT);
    }
    gears_stage_release(stage);
    return REDISMODULE_OK;
}

/* A user cancels its own stages; who may end others' connections (CLIENT KILL) may end their stages as well. */
int gears_command_cancel(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 2) return RedisModule_WrongArity(ctx);
    gears_slice id, user;
    id.data = RedisModule_StringPtrLen(argv[1], &id.size);
    RedisModuleString *name = RedisModule_GetCurrentUserName(ctx);
    if (name == NULL) return RedisModule_ReplyWithLongLong(ctx, 0);
    user.data = RedisModule_StringPtrLen(name, &user.size);
    const gears_slice *only = gears_command_may(ctx, "CLIENT", "KILL") ? NULL : &user;
    size_t count = gears_stage_cancel_id(id, only, "by GEARSQL.CANCEL");
    RedisModule_FreeString(ctx, name);
    return RedisModule_ReplyWithLongLong(ctx, (long long)count);
}
