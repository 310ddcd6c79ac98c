/* The child of a snapshot; see snapshot.h. All here runs in the child, which is a copy of the server with one thread:
 * the worker's, that held the server's lock at the fork. Nobody else changes its memory, so it needs no lock. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "futex.h"
#include "lock.h"
#include "snapshot_parts.h"

enum { WAIT_MS = 100, HEARTBEAT_US = 1000000 };

typedef struct child {
    gears_snapshot *snapshot;
    gears_board *board;
    gears_stage *stage;
    const gears_snapshot_reader *reader;
    pid_t server;
    uint64_t deadline, heartbeat;
    void *scans[CHANNELS]; /* the orders at hand */
    uint32_t serials[CHANNELS];
} child;

uint64_t gears_load_room(gears_load *load, uint64_t size, bool aligned) {
    uint64_t at = aligned ? (load->used + LOAD_ALIGN - 1) & ~(uint64_t)(LOAD_ALIGN - 1) : load->used;
    if (size > LOAD_BYTES || at > LOAD_BYTES - size) return 0;
    load->used = at + size;
    return at;
}

static void tell(gears_board *board) {
    atomic_fetch_add(&board->news, 1);
    gears_futex_wake(&board->news);
}

/* The server's death is a signal to us (PDEATHSIG); another parent than before is the sign that it came too early. */
static bool must_end(child *c) {
    uint64_t now = gears_lock_now();
    if (atomic_load(&c->board->stop) || getppid() != c->server) return true;
    if (now > c->deadline) {
        snprintf(c->board->error, ERROR_BYTES,
                 "GEARSLIMIT the snapshot grew too old: the module's argument SNAPSHOT_AGE_MS sets the limit");
        return true;
    }
    if (now >= c->heartbeat) {
        c->heartbeat = now + HEARTBEAT_US;
        RedisModule_SendChildHeartbeat(-1);
    }
    return false;
}

static void close_order(child *c, unsigned i) {
    if (c->scans[i] != NULL) c->reader->close(c->scans[i]);
    c->scans[i] = NULL;
}

/* An order has come, or the one at hand is not wanted any more. */
static void accept_order(child *c, unsigned i, uint32_t serial) {
    gears_channel *channel = &c->board->channels[i];
    close_order(c, i);
    c->serials[i] = serial;
    atomic_store(&channel->filled, 0);
    atomic_store(&channel->taken, 0);
    if (channel->open)
        c->scans[i] = c->reader->open(c->reader->context, channel->scan, channel->columns, channel->column_count);
    atomic_store(&channel->accepted, serial);
    tell(c->board);
}

static void fill(child *c, unsigned i) {
    gears_channel *channel = &c->board->channels[i];
    uint32_t number = atomic_load(&channel->filled);
    gears_load *load = gears_snapshot_load(c->snapshot, channel, number);
    memset(load, 0, sizeof *load);
    load->used = sizeof *load;
    c->reader->fill(c->scans[i], load);
    if (load->failed) snprintf(c->board->error, ERROR_BYTES, "%s", c->stage->error ? c->stage->error : "GEARSLIMIT");
    if (load->failed || load->last) close_order(c, i);
    atomic_store(&channel->filled, number + 1);
    tell(c->board);
}

static bool has_room(const gears_channel *channel) {
    return atomic_load(&channel->filled) - atomic_load(&channel->taken) < LOADS;
}

/* True: something was done. */
static bool work(child *c) {
    bool worked = false;
    for (unsigned i = 0; i < c->snapshot->channel_count; i++) {
        uint32_t serial = atomic_load(&c->board->channels[i].serial);
        if (serial != c->serials[i]) accept_order(c, i, serial);
        if (c->scans[i] == NULL || !has_room(&c->board->channels[i])) continue;
        fill(c, i);
        worked = true;
    }
    return worked;
}

static bool is_idle(const child *c) {
    for (unsigned i = 0; i < c->snapshot->channel_count; i++)
        if (c->scans[i] != NULL) return false;
    return true;
}

static void begin(pid_t server) {
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* at the end of the worker's thread, which is the server's */
    if (getppid() != server) _exit(0);
    prctl(PR_SET_NAME, "gearsql-scan");
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void gears_snapshot_serve(gears_snapshot *snapshot, gears_stage *stage, const gears_snapshot_reader *reader,
                          pid_t server) {
    child c = {.snapshot = snapshot, .board = snapshot->board, .stage = stage, .reader = reader, .server = server};
    begin(server);
    c.deadline = gears_lock_now() + (uint64_t)gears_snapshot_age_ms * 1000;
    c.heartbeat = gears_lock_now() + HEARTBEAT_US;
    while (!must_end(&c)) {
        uint32_t seen = atomic_load(&c.board->work);
        bool last = atomic_load(&c.board->last);
        bool worked = work(&c);
        if (last && is_idle(&c)) {
            atomic_store(&c.board->over, 1);
            RedisModule_ExitFromChild(0); /* tells the server what the copy cost */
        }
        if (!worked) gears_futex_wait(&c.board->work, seen, WAIT_MS);
    }
    atomic_store(&c.board->over, 1);
    tell(c.board);
    _exit(0);
}
