/* Keeps RM_Scan from handing over a key twice, where each slot has a table of its own (Valkey, Redis 7.4 and later).
 *
 * A table that shrinks while a scan is in its middle gives keys again that were read before. Only the table in which a
 * turn at the server lock ends can do that, so a turn goes on until a slot begins: then all of that slot's keys that
 * were read are known, a handful, and the next turn compares. In between a key costs nothing. */
#ifndef GEARS_REPEAT_H
#define GEARS_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "names.h"
#include "server.h"

typedef struct gears_repeat {
    bool looking;  /* compare and note keys */
    bool ending;   /* the turn is over as soon as a slot begins */
    bool complete; /* a slot has begun since: all of its keys that were read are in `names` */
    unsigned slot; /* of the last key looked at */
    long long keys_then;
    gears_names names;
} gears_repeat;

/* Whether this server's tables are such. */
bool gears_repeat_applies(void);

/* A turn begins. False: the slot it goes on in has fewer keys than at the last turn's end, too many were read of it to
 * know them all, and some may come again. Takes: server lock. */
bool gears_repeat_begin(gears_repeat *r, RedisModuleCtx *ctx);

/* The turn's work is done: look for the beginning of a slot. */
void gears_repeat_look(gears_repeat *r);

/* The turn ends. Takes: server lock. */
void gears_repeat_end(gears_repeat *r, RedisModuleCtx *ctx);

/* While r->looking: true if the key was read before. */
bool gears_repeat_has(gears_repeat *r, RedisModuleString *name);

void gears_repeat_free(gears_repeat *r);

#endif
