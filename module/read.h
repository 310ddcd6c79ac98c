/* Keys that are no hashes as rows: a string is one row, of the other types each element is one.
 *
 *   string    value                         json     the members of an object in a string
 *   set       member                        zset     member, score
 *   list      index, value                  stream   id, and an entry's fields
 *
 * A key of up to GEARS_READ_WHOLE elements is read at one time. Of a larger one as much is read as the turn at the lock
 * allows, and the rest in the next turns, while clients may change it:
 *   - an element of a set or a zset, and an entry of a stream, that is there from begin to end is read exactly once,
 *     any other at most once (the server's scan may repeat members: those read are known by name);
 *   - a stream is read up to the entry that is its last one when the reading begins;
 *   - a list's elements have no names: if those read last, or a smaller length, tell that positions have moved,
 *     the stage ends with GEARSCHANGED. Appending moves none.
 *
 * Runs on: worker threads, within a turn at the server lock. */
#ifndef GEARS_READ_H
#define GEARS_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "names.h"
#include "pattern.h"
#include "server.h"
#include "stage.h"

enum { GEARS_READ_WHOLE = 512 };

typedef struct gears_read {
    gears_stage *stage;
    gears_key_type type;
    /* What an element's values are of, in order; each of a field or a part of the element. */
    size_t count;
    const gears_column **columns;
    gears_slice *names; /* of fields */
    gears_slice *values;
    bool (*row)(void *scan, const gears_slice *values); /* false: stop reading; the stage failed */
    bool (*misfit)(void *scan, gears_slice text);       /* the whole value does not fit; as `row` */
    bool (*full)(void *scan);                           /* the chunk at hand is full */
    void *scan;

    /* The key at hand; it has more elements while `open`. */
    bool open, failed, large;
    unsigned steps; /* in this turn */
    char *name;     /* malloc'ed */
    size_t name_length;

    RedisModuleScanCursor *cursor; /* sets, zsets */
    gears_names known[GEARS_NAME_PARTS];
    bool ended;              /* there is no more, and the names are still held */
    long long index, length; /* lists */
    uint64_t moved;          /* what tells that a list's positions moved */
    RedisModuleStreamID next, last;
    char *scratch; /* JSON */
    size_t scratch_size;
} gears_read;

/* `targets` are the columns that elements give. False: out of memory. */
bool gears_read_init(gears_read *r, gears_stage *stage, const gears_scan_spec *spec, size_t count,
                     const gears_column *const *columns);
void gears_read_free(gears_read *r);

/* What the server calls keys of this type. */
int gears_read_keytype(gears_key_type type);

/* Read a key of the scan's type from its beginning. r->open says whether there is more to read. */
void gears_read_begin(gears_read *r, RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key);
/* Read on. `key` is NULL, or of another type, when the one at hand has gone: then it is at its end. */
void gears_read_go_on(gears_read *r, RedisModuleCtx *ctx, RedisModuleKey *key);
/* After each turn, when the lock is free: a large key that ended counts as open until its members' names are freed here. */
void gears_read_rest(gears_read *r);

/* ---- for the read_*.c files ----------------------------------------------------------------------------------- */

/* Each reads on until the key's end (sets r->open = false, or gears_read_end), or until gears_read_must_stop. */
void gears_read_string(gears_read *r, RedisModuleCtx *ctx, RedisModuleString *name);
void gears_read_members(gears_read *r, RedisModuleKey *key);
void gears_read_list(gears_read *r, RedisModuleKey *key);
void gears_read_stream(gears_read *r, RedisModuleKey *key);

bool gears_read_must_stop(gears_read *r);
void gears_read_end(gears_read *r);
void gears_read_fail(gears_read *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Set what the values of this source hold. */
void gears_read_set(gears_read *r, gears_source_kind source, const char *bytes, size_t length);
/* Hand over the element at hand. */
void gears_read_row(gears_read *r);

/* A score as text, the shortest of 15 to 17 digits that reads back as the same; `text` has room for 32. */
GEARS_EXPORT size_t gears_read_score(double score, char *text);

#endif
