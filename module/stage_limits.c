/* Bounds of stages; see stage_limits.h. Time is kept by one timer of the server, which ends stages as GEARSQL.CANCEL does: so
 * a client that froze leaves nothing running, and a stage that waits in the queue ends in time, too. */
#include "stage_limits.h"

#include <string.h>

#include "lock.h"
#include "worker.h"

unsigned gears_limits_time_ms, gears_limits_rows, gears_limits_shipped_rows, gears_limits_shipped_mb,
    gears_limits_frame_mb, gears_limits_memory_mb, gears_limits_frames_mb = 256;

/* MOST_READ is 260,000 tokens. Of FROM a,a,a,… DuckDB reads 340,000, and at 700,000 its stack overflows. */
enum { LONGEST_SLEEP_MS = 1000, REMEMBERED = 4096, MOST_READ = 768 << 20 };

/* ---- time; all on the main thread ------------------------------------------------------------------------------- */

static uint64_t armed_for; /* when the timer that counts fires; 0: there is none */
static uintptr_t armed;    /* its number: one that was armed before is nothing when it fires */

static void arm(RedisModuleCtx *ctx, uint64_t deadline);

static void find_next(gears_stage *stage, void *data) {
    uint64_t *next = data;
    if (stage->limits.deadline_us == 0 || atomic_load(&stage->cancelled)) return;
    if (*next == 0 || stage->limits.deadline_us < *next) *next = stage->limits.deadline_us;
}

static void on_timer(RedisModuleCtx *ctx, void *number) {
    uint64_t next = 0;
    if ((uintptr_t)number != armed) return;
    armed_for = 0;
    gears_stage_cancel_late(gears_lock_now(), "GEARSTIME the query's time is up");
    gears_stage_each(find_next, &next);
    if (next != 0) arm(ctx, next);
}

/* Timers that nobody waits for any more are left to fire, so none is set for long. */
static void arm(RedisModuleCtx *ctx, uint64_t deadline) {
    uint64_t now = gears_lock_now(), wait_ms = deadline > now ? (deadline - now + 999) / 1000 : 1;
    if (wait_ms > LONGEST_SLEEP_MS) wait_ms = LONGEST_SLEEP_MS;
    if (armed_for != 0 && armed_for <= now + wait_ms * 1000) return;
    armed_for = now + wait_ms * 1000;
    armed++;
    RedisModule_CreateTimer(ctx, (long long)wait_ms, on_timer, (void *)armed); /* NOLINT: a number, not an address */
}

/* ---- the bounds -------------------------------------------------------------------------------------------------- */

static void tighten(uint64_t *bound, uint64_t servers) {
    if (servers != 0 && (*bound == 0 || servers < *bound)) *bound = servers;
}

static bool within(gears_stage *stage, uint64_t count, uint64_t bound, const char *code, const char *what) {
    if (bound == 0 || count <= bound) return true;
    gears_stage_fail(stage, "%s more than %llu %s", code, (unsigned long long)bound, what);
    return false;
}

static _Atomic uint64_t held; /* by all stages */

static bool hold(gears_stage *stage, uint64_t bytes, const char *what) {
    uint64_t own = atomic_fetch_add(&stage->held_bytes, bytes) + bytes, bound = stage->limits.memory_bytes;
    uint64_t all = atomic_fetch_add(&held, bytes) + bytes, most = (uint64_t)gears_worker_memory_mb << 20;
    if (bound != 0 && own > bound)
        gears_stage_fail(stage, "GEARSMEMORY more than %llu %s on this shard", (unsigned long long)bound, what);
    else if (all > most)
        gears_stage_fail(stage, "GEARSMEMORY more than %llu %s by all stages (argument MEMORY)",
                         (unsigned long long)most, what);
    else
        return true;
    return false;
}

bool gears_limits_remembered(gears_stage *stage, uint64_t bytes) {
    return hold(stage, bytes, "bytes of names would be remembered");
}

bool gears_limits_reads(gears_stage *stage, uint64_t bytes) {
    static const char what[] = "bytes would be taken to read the query's text";
    bool fits = within(stage, bytes, MOST_READ, "GEARSMEMORY", what);
    return hold(stage, bytes, what) && fits;
}

void gears_limits_forgotten(gears_stage *stage, uint64_t bytes) {
    atomic_fetch_sub(&stage->held_bytes, bytes);
    atomic_fetch_sub(&held, bytes);
}

/* A stage that waits in the queue has it already. */
static bool bring(gears_stage *stage) {
    stage->brought_bytes = strlen(stage->sql);
    for (size_t i = 0; i < stage->given_count; i++) stage->brought_bytes += stage->given[i].bytes.length;
    return hold(stage, stage->brought_bytes, "bytes of text and relations would be kept");
}

bool gears_limits_start(RedisModuleCtx *ctx, gears_stage *stage) {
    tighten(&stage->limits.time_ms, gears_limits_time_ms);
    tighten(&stage->limits.rows, gears_limits_rows);
    tighten(&stage->limits.shipped_rows, gears_limits_shipped_rows);
    tighten(&stage->limits.shipped_bytes, (uint64_t)gears_limits_shipped_mb << 20);
    tighten(&stage->limits.frame_bytes, (uint64_t)gears_limits_frame_mb << 20);
    tighten(&stage->limits.memory_bytes, (uint64_t)gears_limits_memory_mb << 20);
    if (!bring(stage)) return false;
    if (stage->limits.time_ms == 0) return true;
    stage->limits.deadline_us = stage->started_us + stage->limits.time_ms * 1000;
    arm(ctx, stage->limits.deadline_us);
    return true;
}

bool gears_limits_scanned(gears_stage *stage, uint64_t rows) {
    uint64_t count = atomic_fetch_add_explicit(&stage->rows_scanned, rows, memory_order_relaxed) + rows;
    return within(stage, count, stage->limits.rows, "GEARSROWS", "rows were read on this shard");
}

static _Atomic uint64_t kept; /* bytes of all frames that their clients have not got yet */

void gears_limits_freed(uint64_t bytes) { atomic_fetch_sub(&kept, bytes); }

bool gears_limits_shipped(gears_stage *stage, uint64_t rows, uint64_t bytes, uint64_t frame) {
    uint64_t all_rows = atomic_fetch_add(&stage->rows_shipped, rows) + rows;
    uint64_t all_bytes = atomic_fetch_add(&stage->bytes_shipped, bytes) + bytes;
    uint64_t frames = atomic_fetch_add(&kept, bytes) + bytes, most = (uint64_t)gears_limits_frames_mb << 20;
    return within(stage, all_rows, stage->limits.shipped_rows, "GEARSROWS", "rows would be shipped by this shard") &&
           within(stage, all_bytes, stage->limits.shipped_bytes, "GEARSBYTES",
                  "bytes would be shipped by this shard") &&
           within(stage, frame, stage->limits.frame_bytes, "GEARSMEMORY",
                  "bytes would wait in one frame of this shard") &&
           within(stage, frames, most, "GEARSMEMORY", "bytes of frames wait for their clients (argument FRAMES)");
}

/* ---- once -------------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(uint64_t hash, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return hash;
}

bool gears_limits_first_time(const gears_stage *stage) {
    static uint64_t used[REMEMBERED];
    static size_t next;
    uint64_t hash = hash_of(14695981039346656037u, stage->user.data, stage->user.length + 1); /* with its NUL */
    hash = hash_of(hash, stage->id, strlen(stage->id));
    for (size_t i = 0; i < REMEMBERED; i++)
        if (used[i] == hash) return false;
    used[next++ % REMEMBERED] = hash;
    return true;
}
