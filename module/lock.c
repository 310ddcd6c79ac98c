/* Turns at the server lock; see lock.h. A worker never blocks on the lock: the main thread holds it while it exits,
 * and whoever gets it then runs in a server that is being torn down. So: try, look at the stop flag, try again. */
#include "lock.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

unsigned gears_lock_slice_us = 1000, gears_lock_pause_us = 50;

enum { LOOK_US = 25, MOST_LEAST_US = 300, HAND_OVER_US = 60, HAND_OVER_NAP_US = 20, MOST_HAND_OVER_US = 2000 };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
/* Under `turn`. */
static uint64_t entered, left;
static uint64_t begun, next_look; /* when the slice began */
static uint64_t least;            /* a turn may last this long although the main thread wants the lock */
static bool handed_over;          /* the last turn ended because it wanted it */

static int event_loop = -1; /* the main thread's epoll descriptor; -1: not found */
static atomic_bool stopping;

/* An epoll descriptor can itself be polled: it is readable while events wait in it, so it tells a worker that the main
 * thread has something to do, without a word from the main thread. The server's own is the first that it made. */
void gears_lock_find_event_loop(void) {
    enum { FIRST = 3, LAST = 256 };
    for (int fd = FIRST; fd < LAST && event_loop < 0; fd++) {
        char path[32], target[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, target, sizeof target - 1);
        if (length <= 0) continue;
        target[length] = 0;
        if (strcmp(target, "anon_inode:[eventpoll]") == 0) event_loop = fd;
    }
}

static bool wanted(void) {
    struct pollfd polled = {.fd = event_loop, .events = POLLIN};
    return event_loop >= 0 && poll(&polled, 1, 0) > 0;
}

uint64_t gears_lock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t gears_lock_calendar_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
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

/* Free although events wait: the main thread, which has been woken, has no processor yet. */
static bool is_free(RedisModuleCtx *ctx) {
    if (RedisModule_ThreadSafeContextTryLock(ctx) != REDISMODULE_OK) return false;
    RedisModule_ThreadSafeContextUnlock(ctx);
    return true;
}

/* Until the main thread has taken in the events that ended the last turn, or holds the lock. */
static void hand_over(RedisModuleCtx *ctx) {
    for (uint64_t now = left; now < left + MOST_HAND_OVER_US && wanted(); now = gears_lock_now()) {
        if (now >= left + HAND_OVER_US && !is_free(ctx)) return;
        sleep_us(HAND_OVER_NAP_US);
    }
}

/* Between two turns the main thread runs. */
static void stand_back(RedisModuleCtx *ctx) {
    uint64_t now = gears_lock_now();
    if (handed_over)
        hand_over(ctx);
    else if (now < left + gears_lock_pause_us)
        sleep_us(left + gears_lock_pause_us - now);
}

bool gears_lock_enter(RedisModuleCtx *ctx, const atomic_bool *cancelled) {
    pthread_mutex_lock(&turn);
    stand_back(ctx);
    uint64_t asked = gears_lock_now();
    if (!acquire(ctx, cancelled)) {
        pthread_mutex_unlock(&turn);
        return false;
    }
    entered = gears_lock_now();
    /* A server that is busy all the time shares evenly: we may keep it waiting as long as it kept us. */
    least = handed_over ? entered - asked : 0;
    if (least > MOST_LEAST_US) least = MOST_LEAST_US;
    handed_over = false;
    gears_lock_begin_slice();
    return true;
}

void gears_lock_begin_slice(void) {
    begun = gears_lock_now();
    next_look = begun + LOOK_US;
}

uint64_t gears_lock_held(void) { return gears_lock_now() - entered; }

bool gears_lock_may_stay(void) {
    uint64_t now = gears_lock_now();
    if (now - begun >= gears_lock_slice_us) return false;
    if (now < next_look) return true;
    next_look = now + LOOK_US;
    handed_over = now - begun >= least && wanted();
    return !handed_over;
}

void gears_lock_leave(RedisModuleCtx *ctx) {
    RedisModule_ThreadSafeContextUnlock(ctx);
    left = gears_lock_now();
    pthread_mutex_unlock(&turn);
}
