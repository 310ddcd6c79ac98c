/* The server lock, taken by worker threads in short turns. Order: turn → server lock → (main GIL → session GIL). */
#ifndef GEARS_LOCK_H
#define GEARS_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server.h"

/* Microseconds of the monotonic clock. */
uint64_t gears_lock_now(void);
/* Milliseconds of the calendar, since 1970. */
uint64_t gears_lock_calendar_ms(void);

/* How long the lock may be held in one turn, and how long it is left alone after it; module arguments. A turn ends
 * sooner, and the pause is as short as can be, when clients wait: see gears_lock_may_stay. */
extern unsigned gears_lock_slice_us, gears_lock_pause_us;

/* Take the server lock for one turn: waits until the last turn of any worker is a pause old, then tries again and
 * again. False, holding nothing, when `cancelled` or the server's shutdown says stop.
 * Runs on: worker threads. Takes: turn, server lock. GIL: must be released. */
bool gears_lock_enter(RedisModuleCtx *ctx, const atomic_bool *cancelled);
void gears_lock_leave(RedisModuleCtx *ctx);

/* The slice begins now, not with the turn: what a turn must ask first (users, slots) may take longer than a slice, and
 * each turn is to read something. Runs on: worker threads, within a turn. */
void gears_lock_begin_slice(void);
/* Whether the turn may go on: its slice is not over, and no client's command waits for the main thread (looked at
 * every 25 µs). Runs on: worker threads, within a turn. */
bool gears_lock_may_stay(void);
/* Microseconds since the turn began. Runs on: worker threads, within a turn. */
uint64_t gears_lock_held(void);

/* Find the descriptor that tells so. Without one (no /proc, no epoll) turns last a whole slice.
 * Runs on: main thread, once, in OnLoad. */
void gears_lock_find_event_loop(void);

/* From now on no worker enters. Runs on: main thread, at the Shutdown event. */
void gears_lock_stop(void);
bool gears_lock_stopped(void);

#endif
