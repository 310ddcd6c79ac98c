/* The mailbox between the server and one session: one message at a time, in memory that both see.
 *
 * A session is a thread of the server with a sub-interpreter, or a process beside it; the mailbox is the same: a
 * header page and GEARS_MAILBOX_BYTES of payload behind it, mapped with MAP_NORESERVE, so that only touched pages cost
 * memory. The server writes a message and gives the turn away; the session answers and gives it back. Whoever does not
 * have the turn waits on it (futex) and reads nothing.
 *
 * Compiled into the module and into gearsql.shard._mailbox. This file is the reference of the format. */
#ifndef GEARS_MAILBOX_H
#define GEARS_MAILBOX_H

#include <stdatomic.h>
#include <stdint.h>

enum { GEARS_MAILBOX_HEADER = 4096 };
#define GEARS_MAILBOX_BYTES ((uint64_t)1 << 30)

enum { GEARS_TURN_SERVER = 0, GEARS_TURN_SESSION = 1 };

/* `ended`: why nobody will answer any more; set once, by the session or its supervisor, with a wake on `turn`.
 * MEMORY: a process that ran out of its memory and could not say so in a message. */
enum {
    GEARS_ENDED_NOT = 0,
    GEARS_ENDED_RETURNED = 1,
    GEARS_ENDED_MEMORY = 2,
    GEARS_ENDED_SIGNAL = 256, /* + signal */
    GEARS_ENDED_EXIT = 512,   /* + exit code */
};

typedef struct gears_mailbox {
    _Atomic uint32_t turn;  /* futex word */
    _Atomic uint32_t ended; /* GEARS_ENDED_… */
    _Atomic uint32_t stop;  /* the server has abandoned the session: end as soon as you see this */
    uint32_t kind;          /* of the message that lies here: gears_message */
    uint64_t size;          /* bytes of its payload, which begins GEARS_MAILBOX_HEADER behind this */
    _Atomic uint32_t pid;   /* of a session that is a process; 0 before it runs */
} gears_mailbox;

/* From the server. All but ANSWER begin with gears_request. Integers are little-endian, parts 8-byte aligned. */
enum {
    GEARS_BEGIN = 1, /* JSON (see below): a stage begins. → DONE or ERROR */
    GEARS_CALL,      /* columns of the arguments → RESULT, a column of the function's type */
    GEARS_UPDATE,    /* uint64 handles[rows], columns of the arguments: state handles[i].accumulate(row i) → DONE */
    GEARS_COMBINE,   /* uint64 sources[rows], uint64 targets[rows]: target.merge(source); sources stay → DONE */
    GEARS_STATE,     /* uint64 handles[rows] → RESULT, a BLOB column: partial states that travel */
    GEARS_FINISH,    /* uint64 handles[rows] → RESULT, a column of the function's type */
    GEARS_MERGE,     /* a column BLOB[] of such states: merge each list and finish → RESULT. NULL is an empty list */
    GEARS_WHOLE,     /* a column LIST of STRUCT(a0, a1, …) of the arguments: a whole group at once → RESULT */
    GEARS_END,       /* the stage is over; its states are freed → DONE */
    GEARS_ANSWER,    /* to EXECUTE: an encoded reply (see reply.h); to LOG: nothing */
};

/* From the session. */
enum {
    GEARS_DONE = 32, /* nothing */
    GEARS_RESULT,    /* one column */
    GEARS_ERROR,     /* JSON: {"kind", "type", "message", "traceback", "function", "row", "arguments"} */
    GEARS_EXECUTE,   /* uint32 count, then count × (uint32 length, bytes): a server command, as the calling user */
    GEARS_LOG,       /* UTF-8 text for the server's log */
};

typedef struct gears_request {
    uint64_t stage;    /* told apart by the server: several stages may share a session, a message at a time */
    uint32_t function; /* index into BEGIN's "functions" */
    uint32_t rows;
} gears_request;

/* BEGIN's JSON: {"query": id, "shard": "host:port or run id", "user": name, "functions": [definition, …]}.
 *
 * A definition is the JSON that CREATE FUNCTION stored (catalog/function.py writes it):
 *   {"name", "hash", "kind": "scalar"|"aggregate"|"table", "parameters": [[name, type], …], "returns": type,
 *    "source", "vectorised": null|"lists"|"numpy"|"arrow", "called_on_null": bool, "volatile": bool,
 *    "isolation": "session"|"process"|"main", "on_error": "fail"|"null", "requires": [module, …]}
 *
 * A column of `rows` values, by its type:
 *   uint64 validity[(rows + 63) / 64]      bit set: not NULL; always there
 *   then
 *   fixed width        rows × width bytes, padded to 8: DuckDB's own bytes. BOOLEAN 1; TINYINT…BIGINT, U…; HUGEINT,
 *                      UHUGEINT 16 (low, high); FLOAT 4; DOUBLE 8; DATE int32 days; TIME, TIMESTAMP int64 µs; UUID 16 (as
 *                      HUGEINT, its top bit flipped); DECIMAL(p, s) int16 for p ≤ 4, int32 ≤ 9, int64 ≤ 18, else HUGEINT;
 *                      TIMESTAMP WITH TIME ZONE int64 µs UTC; INTERVAL 16: int32 months, int32 days, int64 µs.
 *                      Cells of NULLs hold anything.
 *   VARCHAR, BLOB      uint64 offsets[rows + 1], offsets[0] = 0, then the bytes, padded to 8
 *   T[]                uint64 offsets[rows + 1], offsets[0] = 0, then a column T of offsets[rows] values
 *   STRUCT(…)          a column of `rows` values for each member
 *
 * Types are written in one canonical way: BIGINT, DECIMAL(10,2), TIMESTAMP WITH TIME ZONE, VARCHAR[],
 * STRUCT("a" BIGINT, "b" VARCHAR)[]: names in double quotes (doubled inside), ', ' between members. */

#endif
