/* The worker's side of snapshots, and who may have one; see snapshot.h. */
#include "snapshot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "futex.h"
#include "lock.h"
#include "snapshot_parts.h"

enum {
    REST = 4, /* times its life: a fifth of the time at most */
    WAIT_MS = 20,
    ENDING_MS = 1000, /* before a child that does not end by itself is killed */
    MOST_REPLICAS = 64,
};
#define KEPT_BYTES ((uint64_t)4 << 20) /* of a load; more is given back at once */

unsigned gears_snapshot_wait_ms = 1000, gears_snapshot_age_ms = 60000;

/* Under the server lock. */
static gears_snapshot *current; /* its child lives, or was not reaped yet */
static uint64_t rests_until, ticks, ticked;

void gears_snapshot_tick(void) { ticks++; }

gears_load *gears_snapshot_load(const gears_snapshot *snapshot, const gears_channel *channel, uint32_t number) {
    uint64_t head = (sizeof(gears_board) + 4095) & ~(uint64_t)4095;
    uint64_t index = (uint64_t)(channel - snapshot->board->channels) * LOADS + number % LOADS;
    return (void *)((char *)snapshot->board + head + index * LOAD_BYTES);
}

/* ---- who may have one ----------------------------------------------------------------------------------------- */

static bool says(RedisModuleCtx *ctx, const char *section, const char *field, const char *value) {
    RedisModuleServerInfoData *info = RedisModule_GetServerInfo(ctx, section);
    const char *found = RedisModule_ServerInfoGetFieldC(info, field);
    bool same = found != NULL && strcmp(found, value) == 0;
    RedisModule_FreeServerInfo(ctx, info);
    return same;
}

/* 'slave0:ip=…,port=…,state=wait_bgsave,…': only one that is online has all that it needs. */
static bool has_waiting_replica(RedisModuleCtx *ctx) {
    RedisModuleServerInfoData *info = RedisModule_GetServerInfo(ctx, "replication");
    bool waits = false;
    for (int i = 0; i < MOST_REPLICAS && !waits; i++) {
        char name[24];
        snprintf(name, sizeof name, "slave%d", i);
        const char *told = RedisModule_ServerInfoGetFieldC(info, name);
        if (told == NULL) break;
        waits = strstr(told, "state=online") == NULL;
    }
    RedisModule_FreeServerInfo(ctx, info);
    return waits;
}

static const char *forbids(gears_stage *stage, RedisModuleCtx *ctx, bool *passes) {
    int flags = RedisModule_GetContextFlags(ctx);
    *passes = true;
    if (current != NULL) return "another query has the server's snapshot";
    *passes = false; /* as far as a query would wait for */
    if (flags & REDISMODULE_CTX_FLAGS_ACTIVE_CHILD)
        return "the server is saving, rewriting its append-only file, or sending its data to another";
    if (stage->slots != NULL && stage->slots->by_slot) return "slots move, or moved a moment ago";
    if (flags & REDISMODULE_CTX_FLAGS_REPLICA_IS_TRANSFERRING) return "the server gets its data from its primary";
    if (gears_lock_now() < rests_until || ticks == ticked) {
        *passes = true;
        return "the last snapshot was a moment ago, and they may take a fifth of the time";
    }
    if (says(ctx, "persistence", "aof_rewrite_scheduled", "1")) return "a rewrite of the append-only file is due";
    return has_waiting_replica(ctx) ? "a replica waits for the server's data" : NULL;
}

/* ---- its life ------------------------------------------------------------------------------------------------- */

/* From now on there is none, and none may begin for a while. Holds: server lock. */
static void bury(gears_snapshot *snapshot) {
    uint64_t now = gears_lock_now();
    current = NULL;
    rests_until = now + REST * (now - snapshot->began);
    ticked = ticks;
}

/* The server has reaped the child. Runs on: main thread. */
static void on_done(int exit_code, int by_signal, void *data) {
    gears_snapshot *snapshot = current;
    (void)exit_code, (void)by_signal, (void)data;
    if (snapshot == NULL) return;
    bury(snapshot);
    atomic_store(&snapshot->board->over, 1);
    atomic_fetch_add(&snapshot->board->news, 1);
    gears_futex_wake(&snapshot->board->news);
}

static gears_snapshot *map_snapshot(unsigned channels) {
    gears_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL) return NULL;
    snapshot->channel_count = channels;
    snapshot->size = ((sizeof(gears_board) + 4095) & ~(uint64_t)4095) + channels * LOADS * LOAD_BYTES;
    int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
    snapshot->board = mmap(NULL, snapshot->size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (snapshot->board != MAP_FAILED) return snapshot;
    free(snapshot);
    return NULL;
}

static void unmap(gears_snapshot *snapshot) {
    munmap(snapshot->board, snapshot->size);
    free(snapshot);
}

static const char *fork_child(gears_stage *stage, gears_snapshot *snapshot, const gears_snapshot_reader *reader) {
    static char problem[96]; /* under the server lock */
    pid_t server = getpid();
    snapshot->began = gears_lock_now();
    snapshot->pid = RedisModule_Fork(on_done, NULL);
    if (snapshot->pid == 0) gears_snapshot_serve(snapshot, stage, reader, server);
    if (snapshot->pid < 0) {
        char reason[64];
        snprintf(problem, sizeof problem, "the server cannot fork: %s", strerror_r(errno, reason, sizeof reason));
        return problem;
    }
    atomic_fetch_add(&stage->pause_us, gears_lock_now() - snapshot->began);
    current = snapshot;
    return NULL;
}

const char *gears_snapshot_take(gears_stage *stage, RedisModuleCtx *ctx, const gears_snapshot_reader *reader,
                                bool *passes) {
    const char *problem = forbids(stage, ctx, passes);
    if (problem != NULL) return problem;
    unsigned channels = stage->scan_binds < CHANNELS ? stage->scan_binds : CHANNELS;
    gears_snapshot *snapshot = map_snapshot(channels ? channels : 1);
    if (snapshot == NULL) return "the server has no address space for it";
    problem = fork_child(stage, snapshot, reader);
    if (problem != NULL) {
        unmap(snapshot);
        return problem;
    }
    stage->snapshot = snapshot;
    if (stage->slots != NULL) stage->slots->at_once = true;
    return NULL;
}

void gears_snapshot_refuse(gears_stage *stage, const char *why) {
    snprintf(stage->fallback, sizeof stage->fallback, "%s", why);
}

void gears_snapshot_fail(gears_stage *stage) { gears_stage_fail(stage, "%s", stage->snapshot->board->error); }

/* Wait until the child is a zombie, or was reaped. Nobody's exit code is taken. False: it lives. */
static bool await_end(pid_t pid, unsigned milliseconds) {
    struct timespec step = {.tv_sec = 0, .tv_nsec = 1000000};
    for (unsigned waited = 0;; waited++) {
        siginfo_t told = {0};
        int status = waitid(P_PID, (id_t)pid, &told, WEXITED | WNOWAIT | WNOHANG);
        if ((status < 0 && errno == ECHILD) || (status == 0 && told.si_pid == pid)) return true;
        if (waited >= milliseconds) return false;
        nanosleep(&step, NULL);
    }
}

/* Under the lock the server cannot reap it, so the pid is the child's. */
static bool end_child(gears_snapshot *snapshot, RedisModuleCtx *ctx, bool kill_first) {
    static const atomic_bool never = false;
    if (!gears_lock_enter(ctx, &never)) return false;
    if (current == snapshot && kill_first) {
        kill(snapshot->pid, SIGKILL);
    } else if (current == snapshot) {
        RedisModule_KillForkChild(
            snapshot->pid); /* it is dead: reaps it at once, where the server's cron takes 0.1 s */
        bury(snapshot);
    }
    gears_lock_leave(ctx);
    return true;
}

void gears_snapshot_end(gears_stage *stage, RedisModuleCtx *ctx) {
    gears_snapshot *snapshot = stage->snapshot;
    if (snapshot == NULL) return;
    stage->snapshot = NULL;
    atomic_store(&snapshot->board->stop, 1);
    atomic_fetch_add(&snapshot->board->work, 1);
    gears_futex_wake(&snapshot->board->work);
    bool ended = await_end(snapshot->pid, ENDING_MS);
    while (!ended && end_child(snapshot, ctx, true) && !gears_lock_stopped())
        ended = await_end(snapshot->pid, ENDING_MS);
    /* A server that shuts down ends its children itself, and then its memory is its last worry. */
    if (ended && end_child(snapshot, ctx, false)) unmap(snapshot);
}

/* ---- orders and loads ----------------------------------------------------------------------------------------- */

/* False: the child is gone, or the stage is to stop; stage->error says which. */
static bool goes_on(gears_stage *stage, bool over) {
    gears_board *board = stage->snapshot->board;
    if (atomic_load(&stage->cancelled)) {
        gears_stage_fail_cancelled(stage);
        return false;
    }
    if (gears_lock_stopped()) {
        gears_stage_fail(stage, "GEARSCANCELLED the server shuts down");
        return false;
    }
    if (!over) return true;
    gears_stage_fail(stage, "%s",
                     *board->error ? board->error : "GEARSSNAPSHOT the process that read the snapshot died");
    return false;
}

static void send(gears_board *board, gears_channel *channel, bool open) {
    channel->open = open;
    atomic_fetch_add(&channel->serial, 1);
    atomic_fetch_add(&board->work, 1);
    gears_futex_wake(&board->work);
}

static gears_channel *free_channel(gears_snapshot *snapshot) {
    for (unsigned i = 0; i < snapshot->channel_count; i++)
        if (!snapshot->board->channels[i].used) return &snapshot->board->channels[i];
    return NULL;
}

/* A channel is used again when the child has forgotten what it was asked for before. */
static bool await_accepted(gears_stage *stage, gears_channel *channel) {
    gears_board *board = stage->snapshot->board;
    for (;;) {
        uint32_t seen = atomic_load(&board->news);
        bool over = atomic_load(&board->over); /* looked at first: its last deed may be the one we wait for */
        if (atomic_load(&channel->accepted) == atomic_load(&channel->serial)) return true;
        if (!goes_on(stage, over)) return false;
        gears_futex_wait(&board->news, seen, WAIT_MS);
    }
}

gears_channel *gears_snapshot_order(gears_stage *stage, unsigned scan, const uint32_t *columns, size_t count,
                                    bool last) {
    gears_snapshot *snapshot = stage->snapshot;
    gears_channel *channel = free_channel(snapshot);
    if (channel == NULL || count > COLUMNS) {
        gears_stage_fail(stage, "GEARSLIMIT the query reads too many tables at once for a snapshot");
        return NULL;
    }
    if (!await_accepted(stage, channel)) return NULL;
    channel->used = true;
    channel->scan = scan;
    channel->column_count = (uint32_t)count;
    memcpy(channel->columns, columns, count * sizeof *columns);
    send(snapshot->board, channel, true);
    if (last) atomic_store(&snapshot->board->last, 1);
    return await_accepted(stage, channel) ? channel : NULL;
}

gears_load *gears_snapshot_await(gears_stage *stage, gears_channel *channel) {
    gears_board *board = stage->snapshot->board;
    for (;;) {
        uint32_t seen = atomic_load(&board->news), taken = atomic_load(&channel->taken);
        bool over = atomic_load(&board->over);
        if (atomic_load(&channel->filled) != taken) return gears_snapshot_load(stage->snapshot, channel, taken);
        if (!goes_on(stage, over)) return NULL;
        gears_futex_wait(&board->news, seen, WAIT_MS);
    }
}

void gears_snapshot_took(gears_stage *stage, gears_channel *channel) {
    gears_board *board = stage->snapshot->board;
    uint32_t taken = atomic_load(&channel->taken);
    gears_load *load = gears_snapshot_load(stage->snapshot, channel, taken);
    uint64_t used = (load->used + 4095) & ~(uint64_t)4095;
    if (used > KEPT_BYTES) madvise((char *)load + KEPT_BYTES, used - KEPT_BYTES, MADV_REMOVE);
    atomic_store(&channel->taken, taken + 1);
    atomic_fetch_add(&board->work, 1);
    gears_futex_wake(&board->work);
}

void gears_snapshot_drop(gears_stage *stage, gears_channel *channel) {
    if (stage->snapshot == NULL) return;
    channel->used = false;
    send(stage->snapshot->board, channel, false);
}
