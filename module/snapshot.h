/* Reading as of one moment: a forked child walks the keyspace while the server goes on.
 *
 *   worker, in the server                            child, a copy of the server as of the fork
 *     under its lock: may there be one? ─ RM_Fork ─► waits for orders
 *     order: a scan, its columns ──────────────────► RM_Scan, hash by hash, into a load
 *     rows into DuckDB's vectors ◄─────────── load ─ and the next, while at most LOADS are full
 *     end ─────────────────────────────────────────► exits; is reaped under the lock
 *
 * One child serves all scans of a stage, so they are of one moment, each through a channel. Memory that both see was
 * mapped before the fork; nothing else is shared. The child runs on a copy of the worker's thread alone: it calls the
 * server's API for reading, takes no lock, and knows neither DuckDB nor Python.
 *
 * A server has one child at a time, whatever for: while a snapshot lives, BGSAVE is refused and a replica waits. So
 * after one that lived for t none begins for 4 t, nor while another child is wanted. */
#ifndef GEARS_SNAPSHOT_H
#define GEARS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server.h"
#include "stage.h"

typedef struct gears_snapshot gears_snapshot;
typedef struct gears_channel gears_channel;

/* Some rows of a scan: pages of at most a vector's rows each. A page's columns lie one behind the other as the scan's
 * targets: for each a bitmap of what is not NULL, then the values. Long strings follow; offsets count from the load. */
typedef struct gears_page {
    uint64_t next; /* 0: the last one */
    uint64_t rows;
} gears_page;

typedef struct gears_load {
    uint64_t used;                             /* bytes, with this head; grows */
    uint64_t seen, skipped, withheld, misfits; /* keys, keys, keys, values */
    uint64_t last, failed;                     /* flags; failed: the child's stage->error says why */
} gears_load;

/* What a scan is to the child; scan_snapshot.c's. Runs on: the child. */
typedef struct gears_snapshot_reader {
    void *(*open)(void *context, unsigned scan, const uint32_t *columns, size_t count); /* NULL: out of memory */
    void (*fill)(void *scan, gears_load *load);
    void (*close)(void *scan);
    void *context;
} gears_snapshot_reader;

/* How long a stage waits for its turn to have a snapshot, and how old one may grow; module arguments. */
extern unsigned gears_snapshot_wait_ms, gears_snapshot_age_ms;

/* Take the stage's snapshot: sets stage->snapshot, or returns why not (static text, or until the next call). *passes:
 * it may be asked for again after a moment. Sets stage->pause_us. In the child this does not return.
 * Runs on: worker threads. Holds: server lock. */
const char *gears_snapshot_take(gears_stage *stage, RedisModuleCtx *ctx, const gears_snapshot_reader *reader,
                                bool *passes);

/* Order a scan's rows. NULL if too many scans are under way, or the stage was stopped (stage->error says so).
 * `last`: no order will follow. Runs on: worker threads. */
gears_channel *gears_snapshot_order(gears_stage *stage, unsigned scan, const uint32_t *columns, size_t count,
                                    bool last);

/* The channel's next load; NULL with stage->error set when the stage was stopped or the child died.
 * Runs on: worker threads, holding no lock. */
gears_load *gears_snapshot_await(gears_stage *stage, gears_channel *channel);
/* Give the load back. */
void gears_snapshot_took(gears_stage *stage, gears_channel *channel);
/* The order is done, or not wanted any more. */
void gears_snapshot_drop(gears_stage *stage, gears_channel *channel);

/* Say that the stage reads in slices, though asked for a snapshot. Runs on: worker threads. */
void gears_snapshot_refuse(gears_stage *stage, const char *why);
/* Set the stage's error to what the child says of the load that has failed. Runs on: worker threads. */
void gears_snapshot_fail(gears_stage *stage);

/* End the stage's snapshot, if it has one. Runs on: worker threads. Takes: turn, server lock. */
void gears_snapshot_end(gears_stage *stage, RedisModuleCtx *ctx);

/* Room for `size` bytes at the end of the load, 64-byte aligned if asked. 0: there is none. */
uint64_t gears_load_room(gears_load *load, uint64_t size, bool aligned);

/* The server has had the chance to start a child that it wanted. Runs on: main thread, after the server's cron. */
void gears_snapshot_tick(void);

#endif
