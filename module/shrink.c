/* Tables that may shrink; see shrink.h. */
#include "shrink.h"

#include <stdatomic.h>

#include "lock.h"
#include "snapshot.h"

enum {
    DATABASES = 64,      /* those beyond are always held to be shrinking */
    SETTLE_US = 10000000 /* without a forked child, in whose time a server does not resize: it has shrunk by then */
};

static _Atomic uint64_t peaks[DATABASES];

static bool is_low(uint64_t keys, uint64_t peak) { return keys * 3 < peak; }

bool gears_shrink_may(int database, uint64_t keys) {
    if (database < 0 || database >= DATABASES) return true;
    uint64_t peak = atomic_load(&peaks[database]);
    while (keys > peak && !atomic_compare_exchange_weak(&peaks[database], &peak, keys)) {
    }
    return is_low(keys, peak);
}

/* Runs on: main thread, ten times a second or more often. */
static void look(RedisModuleCtx *ctx, int database) {
    static uint64_t since[DATABASES];
    uint64_t keys = RedisModule_DbSize(ctx), now = gears_lock_now();
    bool waits = RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_ACTIVE_CHILD;
    if (!gears_shrink_may(database, keys) || waits || since[database] == 0) {
        since[database] = now;
    } else if (now - since[database] > SETTLE_US) {
        atomic_store(&peaks[database], keys);
    }
}

static void on_cron(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)event, (void)subevent, (void)data;
    int selected = RedisModule_GetSelectedDb(ctx);
    for (int i = 0; i < DATABASES && RedisModule_SelectDb(ctx, i) == REDISMODULE_OK; i++) look(ctx, i);
    RedisModule_SelectDb(ctx, selected);
    gears_snapshot_tick(); /* here, since a server takes one callback of a module for an event */
}

bool gears_shrink_subscribe(RedisModuleCtx *ctx) {
    RedisModuleEvent event = {.id = REDISMODULE_EVENT_CRON_LOOP, .dataver = 1};
    return RedisModule_SubscribeToServerEvent(ctx, event, on_cron) == REDISMODULE_OK;
}
