/* What snapshot.c (the worker's side) and snapshot_child.c share: the memory between them. */
#ifndef GEARS_SNAPSHOT_PARTS_H
#define GEARS_SNAPSHOT_PARTS_H

#include <stdatomic.h>
#include <sys/types.h>

#include "snapshot.h"

enum {
    CHANNELS = 8,
    LOADS = 3,      /* of a channel: one is read, two are ahead */
    COLUMNS = 4096, /* of a scan at most; stage_parse_scan.c says so */
    ERROR_BYTES = 4096,
    LOAD_ALIGN = 64,
};
#define LOAD_BYTES ((uint64_t)1 << 30) /* of address space; what is touched costs memory */

struct gears_channel {
    /* The order, written by the worker before it raises `serial`. */
    uint32_t scan, column_count;
    uint32_t columns[COLUMNS + 1];
    bool open, used; /* used: the worker's alone */
    _Atomic uint32_t serial;
    _Atomic uint32_t accepted; /* the serial that the child has seen; the counts below are of this order */
    _Atomic uint32_t filled, taken;
};

/* At the beginning of the memory; the loads follow. */
typedef struct gears_board {
    _Atomic uint32_t work;   /* futex: the child has something to do */
    _Atomic uint32_t news;   /* futex: the worker has */
    _Atomic uint32_t stop;   /* the worker wants no more */
    _Atomic uint32_t last;   /* no order will follow */
    _Atomic uint32_t over;   /* the child ends, or is gone */
    char error[ERROR_BYTES]; /* of the load that has failed, or why the child ended before its work was done */
    gears_channel channels[CHANNELS];
} gears_board;

struct gears_snapshot {
    pid_t pid;
    uint64_t began; /* microseconds */
    size_t size;
    unsigned channel_count;
    gears_board *board;
};

gears_load *gears_snapshot_load(const gears_snapshot *snapshot, const gears_channel *channel, uint32_t number);

/* The child's life; does not return. */
void gears_snapshot_serve(gears_snapshot *snapshot, gears_stage *stage, const gears_snapshot_reader *reader,
                          pid_t server) __attribute__((noreturn));

#endif
