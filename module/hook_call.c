/* DuckDB's calls of hooks, a batch at a time; see hook_parts.h. A client can send any SQL: the first argument, which
 * says whose call it is, is checked in every row.
 *
 * An aggregate's state is a handle; the state itself lives in the session. DuckDB combines states that it has just
 * copied into an empty one: then both get the one handle, marked as shared, and whoever changes it first copies it. So
 * a group that is combined once costs no message. States are freed at END.
 *
 * DuckDB may leave these functions by an exception (out of memory) wherever they call it to write: no lock is held
 * there, and all memory belongs to gears_hooks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hook_parts.h"

static _Thread_local gears_hooks *thread_hooks;

void gears_hook_call_set(gears_hooks *hooks) { thread_hooks = hooks; }

typedef struct aggregate_state {
    uint64_t handle; /* 0: no row yet */
    uint64_t shared; /* another state has the same handle: copy before a change */
} aggregate_state;

typedef void (*error_setter)(duckdb_function_info, const char *);

/* What DuckDB hears; the client hears the stage's error, or the hook's (gears_hook_explain). */
static void fail(duckdb_function_info info, error_setter set_error, const char *problem) {
    char marker[64] = "no stage";
    if (thread_hooks != NULL) gears_hook_marker(thread_hooks, marker, sizeof marker);
    set_error(info, problem != NULL ? problem : marker);
}

/* The hook that the first argument names, or -1: none, several, or one of another signature. */
static int64_t index_of(const gears_hook_signature *s, duckdb_data_chunk input, idx_t rows) {
    duckdb_vector vector = duckdb_data_chunk_get_vector(input, 0);
    const int32_t *indexes = duckdb_vector_get_data(vector);
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    gears_hooks *h = thread_hooks;
    if (h == NULL || indexes[0] < 0 || (size_t)indexes[0] >= h->stage->hook_count) return -1;
    for (idx_t i = 0; i < rows; i++)
        if (indexes[i] != indexes[0] || (validity != NULL && !(validity[i / 64] >> (i % 64) & 1))) return -1;
    return h->members[indexes[0]].signature == s ? indexes[0] : -1;
}

static const char *const WRONG_INDEX = "the first argument of a hook's call is its number in the stage";

static bool open_message(gears_hook_message *m, int64_t index, idx_t rows) {
    gears_hooks *h = thread_hooks;
    return gears_hook_message_open(m, h, h->members[index].group, h->stage->hooks[index]->name, h->members[index].at,
                                   (uint32_t)rows);
}

static void write_arguments(gears_hook_message *m, const gears_hook_signature *s, duckdb_data_chunk input, idx_t rows) {
    for (size_t i = 0; i < s->parameter_count; i++)
        gears_batch_write(&m->writer, s->parameters[i], duckdb_data_chunk_get_vector(input, i + 1), rows);
}

static bool read_result(gears_hook_message *m, const gears_hook_type *type, duckdb_vector vector, idx_t offset,
                        idx_t rows) {
    char *at = m->hooks->answer;
    const char *problem = gears_batch_read(&at, m->hooks->answer_end, type, vector, offset, rows);
    if (problem != NULL) gears_hook_message_broken(m->hooks, m->session, m->name, problem);
    return problem == NULL;
}

/* ---- scalar functions ----------------------------------------------------------------------------------------- */

void gears_hook_call_scalar(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
    const gears_hook_signature *s = ((gears_hook_form *)duckdb_scalar_function_get_extra_info(info))->signature;
    idx_t rows = duckdb_data_chunk_get_size(input);
    gears_hook_message m;
    if (rows == 0) return;
    int64_t index = index_of(s, input, rows);
    if (index < 0) {
        fail(info, duckdb_scalar_function_set_error, WRONG_INDEX);
        return;
    }
    bool answered = open_message(&m, index, rows);
    if (answered) {
        write_arguments(&m, s, input, rows);
        answered = gears_hook_message_send(&m, GEARS_CALL, GEARS_RESULT) &&
                   read_result(&m, s->returns, output, 0, rows);
    }
    if (!answered) fail(info, duckdb_scalar_function_set_error, NULL);
}

/* ---- aggregates ----------------------------------------------------------------------------------------------- */

static const gears_hook_form *form_of(duckdb_function_info info) {
    return duckdb_aggregate_function_get_extra_info(info);
}

static void fail_aggregate(duckdb_function_info info, const char *problem) {
    fail(info, duckdb_aggregate_function_set_error, problem);
}

/* True if this thread's stage has the aggregate at its index. */
static bool is_known(const gears_hook_signature *s) {
    gears_hooks *h = thread_hooks;
    return h != NULL && s->index < h->stage->hook_count && h->members[s->index].signature == s;
}

static aggregate_state *state_of(duckdb_aggregate_state state) { return (aggregate_state *)(void *)state; }

/* Room for `count` more numbers. */
static bool reserve_numbers(gears_hooks *h, idx_t count) {
    if (h->number_capacity - h->number_count >= count) return true;
    size_t capacity = (h->number_count + count) * 2;
    uint64_t *grown = realloc(h->numbers, capacity * sizeof *grown);
    if (grown == NULL) {
        gears_stage_fail(h->stage, "GEARSLIMIT out of memory");
        return false;
    }
    h->numbers = grown;
    h->number_capacity = capacity;
    return true;
}

/* Pairs lie as (source, target) in h->numbers; they travel as two arrays. */
static void add_pair(gears_hooks *h, uint64_t source, uint64_t target) {
    h->numbers[h->number_count++] = source;
    h->numbers[h->number_count++] = target;
}

static bool send_pairs(gears_hooks *h, uint32_t index) {
    gears_hook_message m;
    size_t rows = h->number_count / 2;
    if (rows == 0) return true;
    if (!open_message(&m, index, rows)) return false;
    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < rows; i++) gears_batch_put(&m.writer, &h->numbers[2 * i + side], sizeof(uint64_t));
    h->number_count = 0;
    return gears_hook_message_send(&m, GEARS_COMBINE, GEARS_DONE);
}

/* Give the state a handle of its own; a pair is added if that is a copy. Room for it must be there. */
static void own(gears_hooks *h, aggregate_state *state) {
    if (state->handle == 0) {
        state->handle = ++h->handles;
    } else if (state->shared) {
        add_pair(h, state->handle, ++h->handles);
        state->handle = h->handles;
        state->shared = 0;
    }
}

idx_t gears_hook_call_size(duckdb_function_info info) {
    (void)info;
    return sizeof(aggregate_state);
}

void gears_hook_call_init(duckdb_function_info info, duckdb_aggregate_state state) {
    (void)info;
    *state_of(state) = (aggregate_state){0, 0};
}

static bool update(const gears_hook_signature *s, duckdb_data_chunk input, duckdb_aggregate_state *states, idx_t rows) {
    gears_hooks *h = thread_hooks;
    gears_hook_message m;
    h->number_count = 0;
    if (!reserve_numbers(h, 2 * rows)) return false;
    for (idx_t i = 0; i < rows; i++) own(h, state_of(states[i]));
    if (!send_pairs(h, s->index) || !open_message(&m, s->index, rows)) return false;
    for (idx_t i = 0; i < rows; i++) gears_batch_put(&m.writer, &state_of(states[i])->handle, sizeof(uint64_t));
    write_arguments(&m, s, input, rows);
    return gears_hook_message_send(&m, GEARS_UPDATE, GEARS_DONE);
}

void gears_hook_call_update(duckdb_function_info info, duckdb_data_chunk input, duckdb_aggregate_state *states) {
    const gears_hook_signature *s = form_of(info)->signature;
    idx_t rows = duckdb_data_chunk_get_size(input);
    if (rows == 0) return;
    if (index_of(s, input, rows) != (int64_t)s->index)
        fail_aggregate(info, WRONG_INDEX);
    else if (!update(s, input, states, rows))
        fail_aggregate(info, NULL);
}

void gears_hook_call_combine(duckdb_function_info info, duckdb_aggregate_state *sources,
                             duckdb_aggregate_state *targets, idx_t count) {
    const gears_hook_signature *s = form_of(info)->signature;
    gears_hooks *h = thread_hooks;
    if (!is_known(s)) {
        fail_aggregate(info, WRONG_INDEX);
        return;
    }
    h->number_count = 0;
    if (!reserve_numbers(h, 4 * count)) {
        fail_aggregate(info, NULL);
        return;
    }
    for (idx_t i = 0; i < count; i++) {
        aggregate_state *source = state_of(sources[i]), *target = state_of(targets[i]);
        if (source->handle == 0) continue;
        if (target->handle == 0) {
            target->handle = source->handle;
            target->shared = source->shared = 1;
            continue;
        }
        own(h, target);
        add_pair(h, source->handle, target->handle);
    }
    if (!send_pairs(h, s->index)) fail_aggregate(info, NULL);
}

static bool finalize(const gears_hook_form *form, duckdb_aggregate_state *states, duckdb_vector result, idx_t count,
                     idx_t offset) {
    static const gears_hook_type blob = {.shape = GEARS_HOOK_PLAIN, .plain = {.kind = GEARS_BLOB}};
    gears_hooks *h = thread_hooks;
    gears_hook_message m;
    if (!open_message(&m, form->signature->index, count)) return false;
    for (idx_t i = 0; i < count; i++) {
        aggregate_state *state = state_of(states[i]);
        if (state->handle == 0) state->handle = ++h->handles;
        gears_batch_put(&m.writer, &state->handle, sizeof(uint64_t));
    }
    return gears_hook_message_send(&m, form->is_state ? GEARS_STATE : GEARS_FINISH, GEARS_RESULT) &&
           read_result(&m, form->is_state ? &blob : form->signature->returns, result, offset, count);
}

void gears_hook_call_finalize(duckdb_function_info info, duckdb_aggregate_state *states, duckdb_vector result,
                              idx_t count, idx_t offset) {
    const gears_hook_form *form = form_of(info);
    if (count == 0) return;
    if (!is_known(form->signature))
        fail_aggregate(info, WRONG_INDEX);
    else if (!finalize(form, states, result, count, offset))
        fail_aggregate(info, NULL);
}
