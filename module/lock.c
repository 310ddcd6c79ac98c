/* Turns at the server lock; see lock.h. A worker never blocks on the lock: the main thread holds it while it exits,
 * and whoever gets it then runs in a server that is being torn down. So: try, look at the stop flag, try again. */
#include "lock.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

unsigned gears_lock_slice_us = 500, gears_lock_pause_us = 50;

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_left; /* under `turn` */
static atomic_bool stopping;

uint64_t gears_lock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void sleep_us(uint64_t microseconds) {
    struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)microseconds * 1000};
    nanosleep(&pause, NULL);
}

bool gears_lock_stopped(void) { return atomic_load(&stopping); }

void gears_lock_stop(void) { atomic_store(&stopping, true); }

/* A busy server frees its lock only for the microseconds of its poll, so first spin for it, then sleep between. */
static bool acquire(RedisModuleCtx *ctx, const atomic_bool *cancelled) {
    enum { SPINS = 2000, NAP_US = 20 };
    for (unsigned attempt = 0;; attempt++) {
        if (gears_lock_stopped() || atomic_load_explicit(cancelled, memory_order_relaxed)) return false;
        if (RedisModule_ThreadSafeContextTryLock(ctx) == REDISMODULE_OK) {
            if (!gears_lock_stopped()) return true;
            RedisModule_ThreadSafeContextUnlock(ctx);
            return false;
        }
        if (attempt < SPINS)
            sched_yield();
        else
            sleep_us(NAP_US);
    }
}

bool gears_lock_enter(RedisModuleCtx *ctx, const atomic_bool *cancelled) {
    pthread_mutex_lock(&turn);
    uint64_t idle = gears_lock_now() - last_left;
    if (idle < gears_lock_pause_us) sleep_us(gears_lock_pause_us - idle);
    if (acquire(ctx, cancelled)) return true;
    pthread_mutex_unlock(&turn);
    return false;
}

void gears_lock_leave(RedisModuleCtx *ctx) {
    RedisModule_ThreadSafeContextUnlock(ctx);
    last_left = gears_lock_now();
    pthread_mutex_unlock(&turn);
}
