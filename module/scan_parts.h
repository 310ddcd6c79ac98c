/* What the files of scans share. scan.c is the table function, and makes rows of keys; scan_turn.c finds the keys, in turns
 * at the server lock, and scan_slots.c slot by slot; scan_snapshot.c has a child find them. scan_page.c keeps the rows until
 * the turn is over. */
#ifndef GEARS_SCAN_PARTS_H
#define GEARS_SCAN_PARTS_H

#include "elements.h"
#include "names.h"
#include "nested.h"
#include "read.h"
#include "repeat.h"
#include "snapshot.h"

enum { KEYS_PER_LOOK = 8, MAX_PLACEHOLDERS = 256, MOST_CELLS = 1 << 22 };

/* A column that DuckDB wants in this execution, and where its values go. */
typedef struct target {
    const gears_column *column; /* NULL: DuckDB asked for a row to count, its value is never looked at */
    idx_t position;             /* in the chunk */
    size_t width;               /* bytes of a value in the vector */
    duckdb_vector vector;       /* of the chunk at hand */
    char *data;                 /* its values in the page at hand */
    uint64_t *validity;         /* and which of them are not NULL */
} target;

typedef struct gears_lenient gears_lenient;

typedef struct scan_state {
    gears_stage *stage;
    const gears_scan_spec *spec;
    RedisModuleCtx *ctx;
    RedisModuleScanCursor *cursor;
    bool exhausted;
    size_t target_count, field_count; /* the targets that read fields, or parts of elements, come first */
    target *targets;

    /* Keys that RM_Scan handed over when the chunk was full already; read first in the next turn. */
    RedisModuleString **held;
    size_t held_count, held_capacity;

    /* Slot by slot (slots.h): the names of the slot at hand, and how far they were read. */
    RedisModuleCallReply *names;
    size_t names_at;
    unsigned next_slot;
    uint64_t listed_epoch;
    gears_slot_state slots_now;
    gears_slot_set large; /* slots too large to be listed; at the end RM_Scan `sieves` their keys out of all */
    bool sieves;

    /* Keys may come twice: `repeat` knows which, where slots have tables of their own. Where all keys share one and it
     * may be about to shrink, all names are known. */
    bool repeats, begun, knows;
    gears_repeat repeat;
    gears_names known[GEARS_NAME_PARTS];
    size_t known_bytes; /* that were counted */

    /* Of keys that are no hashes (read.h): the one at hand, and elements of it for which the chunk had no room. */
    bool by_element;
    gears_read reader;
    gears_elements waiting;

    /* The turn at hand. */
    RedisModuleUser *user;
    bool check_keys, failed;
    bool has_selectors; /* whose key patterns hold for their own commands only */
    long long now_ms;   /* what has expired by then is gone */
    size_t rows, capacity;
    size_t cells; /* of nested values in the chunk, or page, at hand */
    gears_nested_room room;
    uint64_t seen, skipped, withheld, misfits; /* published when the turn ends: atomics cost too much for each key */
    gears_slice captures[MAX_PLACEHOLDERS];

    /* The page at hand, and the load that it lies in: the scan's own, of `own_bytes`, or a snapshot's. */
    gears_load *load;
    gears_page *page;
    uint64_t page_at, texts_at; /* where it, and what is appended to it, begin in the load */
    uint64_t own_bytes;

    /* Of a snapshot: how the scan is ordered. */
    gears_channel *channel;
    bool ended;

    gears_lenient *lenient; /* scan_lenient.c; NULL: values are cast where they are read */
} scan_state;

/* ---- scan.c: keys into rows. Runs on: worker threads, within a turn; the child -------------------------------- */

/* The chunk or page has as many rows as it can, or as many cells of nested values as it should. */
bool gears_scan_is_full(void *scan);
/* Sets the stage's error; returns false. */
bool gears_scan_fail_memory(scan_state *s);
bool gears_scan_is_field(const gears_column *column);
void gears_scan_set_target(scan_state *s, target *t, uint64_t index);
/* Ends the stage with the error of a value that is none of its column's type. */
void gears_scan_fail_misfit(scan_state *s, const char *column, const char *type, gears_slice key, const char *bytes,
                            size_t length);
bool gears_scan_matches(scan_state *s, const char *bytes, size_t length);
void gears_scan_read_key(scan_state *s, RedisModuleString *name, RedisModuleKey *key);
void gears_scan_read_named(scan_state *s, RedisModuleString *name);
void gears_scan_read_open(scan_state *s);
void gears_scan_free(void *data);

/* ---- scan_page.c: rows before they are DuckDB's ---------------------------------------------------------------- */

/* Begin the scan's own load anew, with a page. False: the stage failed. Runs on: worker threads. */
bool gears_page_open(scan_state *s);
void gears_page_free(scan_state *s);
/* Begin the load's next page; without room for it the load has failed. Runs on: worker threads; the child. */
void gears_page_begin(scan_state *s);
void gears_page_set_null(target *t, size_t row);
void gears_page_set_valid(target *t, size_t row);
/* Without room for it the load has failed; the stage, too, if the load is the scan's own. */
void gears_page_set_string(scan_state *s, target *t, size_t row, const char *bytes, size_t length);
/* The page has as much text as one should. */
bool gears_page_is_heavy(const scan_state *s);
/* The page's rows into the vectors that are aimed at. False: the stage failed. Runs on: worker threads, without the
 * server lock. */
bool gears_page_copy(scan_state *s);

/* ---- scan_turn.c. Runs on: worker threads --------------------------------------------------------------------- */

/* Rows until the chunk is full or the turn is over. False: the stage is cancelled or has failed. Takes: turn, server lock. */
bool gears_scan_take_turn(scan_state *s);
/* No key is left to read; elements may wait. */
bool gears_scan_is_done(const scan_state *s);
/* The user and the time of a turn. False: the stage has failed. Holds: turn, server lock. */
bool gears_scan_begin_turn(scan_state *s);
/* Add the turn's counts to the stage's. */
void gears_scan_publish(scan_state *s, uint64_t locked);

/* ---- scan_slots.c. Runs on: worker threads, within a turn ------------------------------------------------------ */

/* At a turn's beginning. False: the stage has failed. */
bool gears_scan_look_at_slots(scan_state *s);
/* Read listed slots until the turn is over. True: only large ones are left, and RM_Scan is to sieve all keys. */
bool gears_scan_list_slots(scan_state *s);
bool gears_scan_is_in_large_slot(const scan_state *s, RedisModuleString *name);
void gears_scan_fail_moved(scan_state *s, unsigned slot);
void gears_scan_free_names(scan_state *s);

/* ---- scan_snapshot.c. Runs on: worker threads ----------------------------------------------------------------- */

/* Once for a stage, so that all of its scans are of one moment. False: the stage was stopped, or has failed.
 * Takes: turn, server lock. */
bool gears_scan_choose_mode(scan_state *s);
/* The chunk is a page. False: as above. */
bool gears_scan_take_page(scan_state *s);

/* ---- scan_lenient.c: cast = 'duckdb'. Runs on: worker threads, without the server lock ------------------------- */

/* NULL, or what went wrong. Adds a target for the keys. */
const char *gears_lenient_open(scan_state *s, duckdb_database database);
void gears_lenient_free(gears_lenient *lenient);
/* Aim the targets at a chunk of texts; cast them into DuckDB's chunk, which may leave no rows. False: the stage failed. */
void gears_lenient_aim(scan_state *s);
bool gears_lenient_cast(scan_state *s, duckdb_data_chunk chunk);
bool gears_lenient_register(duckdb_connection connection);

#endif
