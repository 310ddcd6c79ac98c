/* One shard stage: what EXECUTE asked for, how far it is, and the client that waits for its next frame.
 *
 *   EXECUTE ─ parse ─► queued ─ worker ─► running ─ frame ─► (waits for FETCH) ─ … ─► last frame ─► gone
 *                                            └──────── error, cancel, client gone ──────────────► gone
 *
 * The main thread parses, queues, and sets `waiter`; the worker alone produces frames and answers the waiter. At
 * most one frame exists at a time, so a result of any size costs the server one frame. The registry and the worker
 * hold references; the last one frees. */
#ifndef GEARS_STAGE_H
#define GEARS_STAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arrow_ipc.h"
#include "cast.h"
#include "duckdb_api.h"
#include "function.h"
#include "hook_type.h"
#include "pattern.h"
#include "server.h"
#include "slots.h"

typedef enum { GEARS_ON_ERROR_FAIL, GEARS_ON_ERROR_NULL, GEARS_ON_ERROR_SKIP } gears_on_error;
typedef enum { GEARS_MODE_SLICED, GEARS_MODE_SNAPSHOT } gears_mode;

/* What keys a scan reads: hashes, or keys whose elements are rows (read.h); JSON is an object in a string. */
typedef enum {
    GEARS_KEYS_HASH,
    GEARS_KEYS_STRING,
    GEARS_KEYS_JSON,
    GEARS_KEYS_SET,
    GEARS_KEYS_LIST,
    GEARS_KEYS_ZSET,
    GEARS_KEYS_STREAM
} gears_key_type;

/* CONSTANT: a text that all keys of the pattern have, cut out of it by who planned the stage. FIELD: of a hash or a stream's entry, or a member of a JSON object. VALUE: of a string or a list, or a member of a set
 * or sorted set. INDEX: of a list, or a stream entry's id. */
typedef enum {
    GEARS_SOURCE_KEY,
    GEARS_SOURCE_PLACEHOLDER,
    GEARS_SOURCE_CONSTANT,
    GEARS_SOURCE_FIELD,
    GEARS_SOURCE_VALUE,
    GEARS_SOURCE_INDEX,
    GEARS_SOURCE_SCORE
} gears_source_kind;

typedef struct gears_bytes {
    char *data;
    size_t length;
} gears_bytes;

typedef struct gears_column {
    char *name, *type_name;
    gears_type declared, type; /* what DuckDB is told, and what values are read as */
    gears_hook_type *nested;   /* what the text, which is JSON, is written as; NULL: `type` says it all */
    gears_source_kind source;
    unsigned placeholder;
    RedisModuleString *field; /* or CONSTANT's text; prepared once: HashGet by it costs no conversion */
} gears_column;

typedef struct gears_scan_spec {
    gears_on_error on_error;
    gears_key_type key_type;
    bool is_template;
    bool lenient;        /* texts are read, and DuckDB casts them; `columns` has one more, of the keys */
    gears_bytes pattern; /* of `glob` */
    gears_glob glob;
    gears_slice *literals; /* of `key_template`, each malloc'ed */
    size_t literal_count;
    gears_template key_template;
    size_t null_count, column_count;
    gears_bytes *nulls;
    gears_column *columns;
} gears_scan_spec;

/* Rows that the stage brings along: chunks of GEARS_GIVEN_CHUNK rows, each a column of mailbox.h after the other. */
typedef struct gears_given {
    uint64_t rows;
    size_t column_count;
    char **names;
    gears_hook_type **types;
    gears_bytes bytes;
} gears_given;

/* 0: no bound. stage_limits.c */
typedef struct gears_limits {
    uint64_t time_ms, deadline_us, rows, shipped_rows, shipped_bytes, frame_bytes, memory_bytes;
} gears_limits;

typedef struct gears_stage {
    atomic_int references;
    struct gears_stage *next; /* registry */

    char *id, *sql;
    unsigned long long client;
    int database;
    gears_bytes user;
    size_t scan_count;
    gears_scan_spec *scans;
    size_t given_count;
    gears_given *given;
    gears_slots *slots; /* NULL: all keys, whatever their slots */
    bool on_replica;    /* it is for a replica, and for nobody else */
    gears_slots *only;  /* on a replica: keys of other slots are no rows; NULL: all keys are */
    gears_mode mode;    /* as asked for */
    bool mode_chosen;   /* worker only, as the next three: whether `snapshot` says what it will be */
    struct gears_snapshot *snapshot;
    unsigned scan_binds, scan_starts; /* how often the SQL names a scan; how many began */
    bool withhold; /* keys that the user may not read are left out and counted; else they are an error */
    size_t hook_count;
    gears_function **hooks;          /* retained; what the first argument of a call counts in */
    gears_bytes hook_session;        /* a named session; none: by user and set of functions */
    bool is_check;                   /* of a definition: in the session of the user's checks */
    char shard[48];                  /* who this server is, for hooks */
    struct gears_hooks *running;     /* worker only: hook.c's */
    const void *engine;              /* worker only: whose DuckDB runs it: NULL for the server's, else a worker's */
    bool ending;                     /* worker only: its sessions hear of the end, and are answered nothing */
    bool left;                       /* its hooks' only: the worker has left it to a thread that ends its hooks */
    uint64_t started_us, started_ms; /* monotonic; of the calendar */
    gears_limits limits;             /* main thread, before it is queued */
    bool once;                       /* ONCE: no second stage of this id */

    atomic_bool cancelled;
    _Atomic uint64_t rows_scanned, keys_seen, keys_total, keys_skipped, misfits, scan_us, locked_us;
    _Atomic uint64_t slices, longest_us; /* turns at the server's lock, and how long the longest was */
    _Atomic uint64_t keys_withheld;      /* that the user may not read */
    _Atomic uint64_t rows_shipped, bytes_shipped;
    uint64_t brought_bytes;               /* its text and relations, as far as they were counted; main thread */
    _Atomic uint64_t held_bytes;          /* these, what its text takes to read, and names that its scans remember */
    _Atomic uint64_t queued_us;           /* until a worker took it */
    _Atomic uint64_t pause_us;            /* for which a snapshot's fork held up the server */
    _Atomic uint64_t hook_nulls, hook_us; /* rows that ON ERROR NULL made NULL; time waited for hooks */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    RedisModuleBlockedClient *waiter; /* under mutex */
    duckdb_connection running_on;     /* under mutex; set while DuckDB runs, so that cancel may interrupt */
    const char *cancel_reason;        /* under mutex; static storage; 'GEARS…', 'NOPERM…': with a code of its own */
    bool started, fetched;            /* under mutex; fetched: the worker waits for FETCH */
    bool closed;                      /* under mutex: nobody waits for frames any more, `error` stays */
    char fallback[128];               /* worker only: why there was no snapshot; '': there was, or none was asked for */
    char *error;                      /* worker only: '<CODE> text', what the client gets */
} gears_stage;

enum { GEARS_STAGE_HOOKS = 64 };

#define GEARS_NO_RIGHT "NOPERM the user lost the right to run this stage (GEARSQL.EXECUTE) here"

/* Decode the arguments of GEARSQL.EXECUTE. NULL on malformed input, with *error set to a malloc'ed reply.
 * Runs on: main thread. */
gears_stage *gears_stage_parse(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, char **error);
/* A stage that is `SELECT 0` with one hook: it compiles in a session of the calling user. For DEFINE CHECK, as the
 * above. Retains the function. */
gears_stage *gears_stage_for_check(RedisModuleCtx *ctx, gears_function *function, char **error);
void gears_stage_retain(gears_stage *stage);
void gears_stage_release(gears_stage *stage);

/* The registry of stages that are queued, running or waiting. */
void gears_stage_register(gears_stage *stage);
void gears_stage_unregister(gears_stage *stage);
bool gears_stage_of_client(unsigned long long client);
/* A retained stage, or NULL. */
gears_stage *gears_stage_find(const char *id, size_t length, unsigned long long client);
size_t gears_stage_open(void); /* no lock, so INFO may call it */
void gears_stage_each(void (*visit)(gears_stage *, void *), void *data);

/* Ask stages to stop: those of a user with this id, of a client, or all. Returns how many. Any thread. */
/* Of a stage, or of all of a query ('<query>.<n>' are its stages); of all users if `user` is NULL. */
size_t gears_stage_cancel_id(gears_slice id, const gears_slice *user, const char *reason);
size_t gears_stage_cancel_late(uint64_t now, const char *reason);
size_t gears_stage_cancel_client(unsigned long long client, const char *reason);
size_t gears_stage_cancel_all(const char *reason);
/* Those that read a replica as such; of all databases, or of one. */
size_t gears_stage_cancel_on_replica(const int *database, const char *reason);
size_t gears_stage_cancel_database(int database, const char *reason);

/* Main thread: hand the stage the client that waits for its next frame. False if it has one already. */
bool gears_stage_await(gears_stage *stage, RedisModuleBlockedClient *waiter);

/* Worker: answer the waiting client with a frame, or with stage->error; waits for the client to ask. False if the
 * stage was cancelled, or the client did not ask in time: then stage->error says so, and is delivered in turn to a
 * client that asks later. */
bool gears_stage_deliver(gears_stage *stage, const gears_buffer *frame, bool more);

/* Main thread: what is left to say to a client of a stage that is gone, malloc'ed; NULL: nothing. */
char *gears_stage_last_word(const char *id, size_t length, unsigned long long client);

/* Worker: set the stage's error unless it has one; printf-like; `%` of the text is the caller's business. */
void gears_stage_fail(gears_stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Worker: set the error of a stage that was cancelled. */
void gears_stage_fail_cancelled(gears_stage *stage);

/* malloc'ed copy with control characters, '%', non-ASCII bytes and (if asked) spaces percent-escaped; at most
 * `limit` source bytes. An error reply is one line. */
char *gears_escape(const char *bytes, size_t length, size_t limit, bool spaces);

extern unsigned gears_fetch_timeout_ms;

#endif
