/* Which of the cluster's slots a stage counts, so that every slot of a query is counted exactly once.
 *
 * The coordinator gives each shard the slots that it shall count. If those are all that this server owns and nothing
 * moves, the whole keyspace is scanned, and slots that moved meanwhile fail the stage. Else the stage goes slot by
 * slot: each is listed and read while it is owned and at rest, or left; the coordinator asks for the left ones again.
 * Either way no slot is counted in part. */
#ifndef GEARS_SLOTS_H
#define GEARS_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server.h"

#define GEARS_PRIMARY "GEARSREPLICA this node is no replica any more"
#define GEARS_REPLICA "GEARSREPLICA this node is a replica now: its primary has the slots"

enum { GEARS_SLOT_COUNT = 16384 };

typedef struct gears_slot_set {
    uint64_t bits[GEARS_SLOT_COUNT / 64];
} gears_slot_set;

/* What this server said of itself at one moment. */
typedef struct gears_slot_state {
    gears_slot_set owned;  /* and at rest: neither migrating nor importing key by key */
    gears_slot_set moving; /* key by key */
    uint64_t epoch, migrations;
    bool primary, migrating; /* migrating: Valkey moves slots of ours, to us or away */
} gears_slot_state;

typedef struct gears_slots {
    gears_slot_set wanted, left;
    gears_slot_state at_start;
    bool opened, by_slot;
    bool at_once;                    /* all was read as of the moment of `at_start` */
    unsigned executions, open_scans; /* scans that read by these slots: of a self-join there are two */
} gears_slots;

/* The slot of a key: CRC16 of its hash tag. Any thread. */
unsigned gears_slot_of(const char *key, size_t length);

bool gears_slot_set_has(const gears_slot_set *set, unsigned slot);
void gears_slot_set_add(gears_slot_set *set, unsigned first, unsigned last);
/* A malloc'ed error reply that names the slots. */
char *gears_slots_moved(const gears_slot_set *set);
/* malloc'ed '0-99,200', cut with '...' after `limit` ranges (0: never). */
char *gears_slot_set_text(const gears_slot_set *set, size_t limit);

/* Ask the server for its own slots. False: it would not tell. Takes: server lock. */
bool gears_slots_ask(RedisModuleCtx *ctx, gears_slot_state *state);

/* At a stage's first turn: choose how to read. NULL, or what forbids the stage (static text). Takes: server lock. */
const char *gears_slots_open(gears_slots *slots, RedisModuleCtx *ctx);

/* After a scan's last key: NULL if what was counted stands, else a malloc'ed error reply. Takes: server lock. */
char *gears_slots_close(gears_slots *slots, RedisModuleCtx *ctx);

/* The keys of a slot, an array reply to be freed; NULL if the server would not tell. Takes: server lock. */
RedisModuleCallReply *gears_slots_keys(RedisModuleCtx *ctx, unsigned slot);

/* How many keys a slot has; -1 if the server would not tell. Takes: server lock. */
long long gears_slots_count(RedisModuleCtx *ctx, unsigned slot);

/* From now on, for some seconds, stages of this server go slot by slot. Any thread. */
void gears_slots_distrust(void);

/* Be told when Valkey moves slots atomically, where the server does that. Main thread, at load. */
void gears_slots_subscribe(RedisModuleCtx *ctx);

#endif
