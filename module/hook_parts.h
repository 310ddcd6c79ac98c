/* What the hook*.c files share; only they include it.
 *
 *   hook.c            a stage's sessions: acquire, BEGIN, END; whose error it was
 *   hook_message.c    one message and its answer, with what the session wants in between (EXECUTE, LOG)
 *   hook_call.c       DuckDB's callbacks
 *   hook_signature.c  the functions that DuckDB knows
 *
 * All of it runs on the stage's worker thread. */
#ifndef GEARS_HOOK_PARTS_H
#define GEARS_HOOK_PARTS_H

#include "batch.h"
#include "hook.h"
#include "session.h"

enum { GEARS_HOOK_GROUPS = 3 }; /* one for each isolation */

/* A function that DuckDB knows: a signature, and of aggregates the index too, because a state that never saw a row
 * has no argument to tell it. Made once, never freed. */
typedef struct gears_hook_signature {
    struct gears_hook_signature *next;
    const void *engine; /* whose DuckDB knows it: stage->engine */
    char *text, *call;  /* `call` of the signature, without the index */
    bool aggregate, is_volatile;
    uint32_t index;
    size_t parameter_count;
    gears_hook_type **parameters, *returns;
    struct gears_hook_form {
        struct gears_hook_signature *signature;
        bool is_state; /* gives the partial state, as a BLOB */
    } plain, state;
} gears_hook_signature;

typedef struct gears_hook_form gears_hook_form;

/* The hooks of a stage that share a session. */
typedef struct gears_hook_group {
    gears_session *session; /* NULL: the stage has none of this isolation */
    uint32_t count;
    bool begun;
} gears_hook_group;

typedef struct gears_hooks {
    gears_stage *stage;
    RedisModuleCtx *ctx;
    uint64_t number; /* of the stage, in messages */
    gears_hook_group groups[GEARS_HOOK_GROUPS];
    struct {
        const gears_hook_signature *signature;
        gears_hook_group *group;
        uint32_t at; /* in the group */
    } members[GEARS_STAGE_HOOKS];

    gears_session *locked;     /* left so by an exception of DuckDB: the next message or the end unlocks it */
    char *answer, *answer_end; /* private copy of the last answer */
    size_t answer_capacity;
    char *error; /* JSON of the last ERROR */
    unsigned logged;

    uint64_t handles;  /* of aggregate states, given so far */
    uint64_t *numbers; /* room for handles that go into a message */
    size_t number_count, number_capacity;
} gears_hooks;

/* A message that is being written: between open and send the session is locked. */
typedef struct gears_hook_message {
    gears_hooks *hooks;
    gears_session *session;
    const char *name; /* of the function, for errors: as it was defined, any text */
    gears_batch_writer writer;
} gears_hook_message;

/* Lock the session and write the head of the message. False: the stage has failed. */
bool gears_hook_message_open(gears_hook_message *message, gears_hooks *hooks, const gears_hook_group *group,
                             const char *name, uint32_t function, uint32_t rows);
/* Send it and wait. True: the answer is of kind `expected`, its payload is in hooks->answer. False: the stage has
 * failed, or the session answered ERROR: then hooks->error is new. */
bool gears_hook_message_send(gears_hook_message *message, uint32_t kind, uint32_t expected);
/* An answer was not in the format: nobody uses the session again, and the stage has failed. */
void gears_hook_message_broken(gears_hooks *hooks, gears_session *session, const char *name, const char *problem);

/* The signature of a function at a place of the stage, registered in DuckDB. NULL: the stage has failed. */
const gears_hook_signature *gears_hook_signature_of(gears_stage *stage, duckdb_connection connection, uint32_t index);

/* DuckDB's callbacks; `extra_info` is a gears_hook_form. */
void gears_hook_call_set(gears_hooks *hooks); /* whose hooks this thread's calls mean */
void gears_hook_call_scalar(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output);
idx_t gears_hook_call_size(duckdb_function_info info);
void gears_hook_call_init(duckdb_function_info info, duckdb_aggregate_state state);
void gears_hook_call_update(duckdb_function_info info, duckdb_data_chunk input, duckdb_aggregate_state *states);
void gears_hook_call_combine(duckdb_function_info info, duckdb_aggregate_state *sources,
                             duckdb_aggregate_state *targets, idx_t count);
void gears_hook_call_finalize(duckdb_function_info info, duckdb_aggregate_state *states, duckdb_vector result,
                              idx_t count, idx_t offset);

/* Fail the stage with '<code> <name>(): <text>', escaped. */
void gears_hook_fail(gears_hooks *hooks, const char *code, const char *name, const char *text);

/* What DuckDB is told when a hook has failed; gears_hook_explain finds it in DuckDB's message. */
void gears_hook_marker(const gears_hooks *hooks, char *out, size_t size);

#endif
