/* Runs stages; see worker.h. A stage without hooks takes no GIL: SQL text in, Arrow frames out, all in C. */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "check.h"
#include "hook.h"
#include "lock.h"
#include "scan.h"
#include "snapshot.h"
#include "stage_limits.h"

enum { FRAME_BYTES = 1 << 20, TIMER_SLACK_NS = 1000 };

unsigned gears_worker_limit = 4, gears_worker_memory_mb = 1024, gears_worker_queue_limit = 64;

typedef struct queued {
    gears_stage *stage;
    struct queued *next;
} queued;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, ended = PTHREAD_COND_INITIALIZER;
static queued *first, **last = &first; /* these, the counts and `ending`: under mutex */
static size_t queue_length, workers, idle;
static bool ending;
static _Atomic unsigned long long stages_total, rows_total, duckdb_memory;

/* A connection to a DuckDB, opened at its first stage. */
typedef struct engine {
    duckdb_database database; /* the worker's own; NULL: the server's, or none */
    duckdb_connection connection;
    duckdb_arrow_options arrow;
    duckdb_prepared_statement parser; /* check.c's */
} engine;

/* Stages with a bound on their memory run in a DuckDB of the worker's own, others in the server's. */
typedef struct worker {
    RedisModuleCtx *ctx;
    engine shared, own;
    duckdb_connection connection; /* of the stage at hand, as the next two */
    duckdb_prepared_statement parser;
    duckdb_arrow_options arrow;
} worker;

static worker pool[GEARS_WORKERS]; /* each is its thread's alone */

/* One execution of a stage's SQL. */
typedef struct execution {
    duckdb_prepared_statement statement;
    duckdb_result result;
    bool has_result;
    struct ArrowSchema schema;
    gears_buffer frame;
    uint64_t kept; /* bytes of the frame that count among those kept */
} execution;

size_t gears_worker_count(void) {
    pthread_mutex_lock(&mutex);
    size_t count = workers;
    pthread_mutex_unlock(&mutex);
    return count;
}

size_t gears_worker_queued(void) {
    pthread_mutex_lock(&mutex);
    size_t count = queue_length;
    pthread_mutex_unlock(&mutex);
    return count;
}

unsigned long long gears_worker_stages_total(void) { return atomic_load(&stages_total); }
unsigned long long gears_worker_rows_total(void) { return atomic_load(&rows_total); }
unsigned long long gears_worker_duckdb_memory(void) { return atomic_load(&duckdb_memory); }

/* ---- one stage ------------------------------------------------------------------------------------------------ */

static void fail_with_duckdb(gears_stage *stage, const char *message) {
    if (atomic_load(&stage->cancelled)) {
        gears_stage_fail_cancelled(stage);
        return;
    }
    if (gears_hook_explain(stage, message)) return;
    char *text = gears_escape(message ? message : "unknown error", strlen(message ? message : "unknown error"), 4096,
                              false);
    bool memory = message != NULL && strstr(message, "Out of Memory Error") != NULL;
    gears_stage_fail(stage, "%s %s", memory ? "GEARSMEMORY" : "GEARSSQL", text ? text : "out of memory");
    free(text);
}

static bool check_arrow(gears_stage *stage, duckdb_error_data error) {
    bool failed = error != NULL && duckdb_error_data_has_error(error);
    if (failed) fail_with_duckdb(stage, duckdb_error_data_message(error));
    if (error != NULL) duckdb_destroy_error_data(&error);
    return !failed;
}

static bool start_statement(worker *w, gears_stage *stage, execution *e) {
    if (duckdb_prepare(w->connection, stage->sql, &e->statement) != DuckDBSuccess) {
        fail_with_duckdb(stage, duckdb_prepare_error(e->statement));
        return false;
    }
    if (duckdb_prepared_statement_type(e->statement) != DUCKDB_STATEMENT_TYPE_SELECT) {
        gears_stage_fail(stage, "GEARSSTAGE a stage is one SELECT");
        return false;
    }
    e->has_result = true;
    if (duckdb_execute_prepared_streaming(e->statement, &e->result) == DuckDBSuccess) return true;
    fail_with_duckdb(stage, duckdb_result_error(&e->result));
    return false;
}

static bool write_schema(worker *w, gears_stage *stage, execution *e) {
    idx_t count = duckdb_column_count(&e->result);
    duckdb_logical_type *types = calloc(count + 1, sizeof *types);
    const char **names = calloc(count + 1, sizeof *names);
    bool written = types != NULL && names != NULL;
    for (idx_t i = 0; i < count && written; i++) {
        types[i] = duckdb_column_logical_type(&e->result, i);
        names[i] = duckdb_column_name(&e->result, i);
    }
    if (written) written = check_arrow(stage, duckdb_to_arrow_schema(w->arrow, types, names, count, &e->schema));
    for (idx_t i = 0; i < count && types != NULL; i++)
        if (types[i] != NULL) duckdb_destroy_logical_type(&types[i]);
    free(types);
    free(names);
    if (written && !gears_ipc_schema(&e->schema, &e->frame)) {
        gears_stage_fail(stage, "GEARSSTAGE a result column cannot travel: %s", e->frame.error);
        written = false;
    }
    return written;
}

static bool count_shipped(gears_stage *stage, execution *e, uint64_t rows, uint64_t bytes) {
    e->kept += bytes;
    return gears_limits_shipped(stage, rows, bytes, e->kept);
}

static void free_frame(execution *e) {
    gears_limits_freed(e->kept);
    e->kept = 0;
}

static bool write_chunk(worker *w, gears_stage *stage, execution *e, duckdb_data_chunk chunk) {
    struct ArrowArray array;
    memset(&array, 0, sizeof array);
    if (!check_arrow(stage, duckdb_data_chunk_to_arrow(w->arrow, chunk, &array))) return false;
    size_t before = e->frame.size;
    bool written = gears_ipc_batch(&e->schema, &array, &e->frame);
    if (written) written = count_shipped(stage, e, duckdb_data_chunk_get_size(chunk), e->frame.size - before);
    if (!written && stage->error == NULL)
        gears_stage_fail(stage, "GEARSSTAGE a result column cannot travel: %s", e->frame.error);
    if (array.release != NULL) array.release(&array);
    return written;
}

/* Frame after frame until the rows end; the last frame is left in e->frame. */
static bool write_rows(worker *w, gears_stage *stage, execution *e) {
    duckdb_data_chunk chunk;
    while ((chunk = duckdb_fetch_chunk(e->result)) != NULL) {
        bool written = duckdb_data_chunk_get_size(chunk) == 0 || write_chunk(w, stage, e, chunk);
        duckdb_destroy_data_chunk(&chunk);
        if (!written) return false;
        if (e->frame.size < FRAME_BYTES) continue;
        if (!gears_stage_deliver(stage, &e->frame, true)) return false;
        free_frame(e);
        e->frame.size = 0;
    }
    const char *error = duckdb_result_error(&e->result);
    if (error != NULL && *error) {
        fail_with_duckdb(stage, error);
        return false;
    }
    return gears_ipc_end(&e->frame);
}

static void end_execution(execution *e) {
    if (e->has_result) duckdb_destroy_result(&e->result);
    if (e->statement != NULL) duckdb_destroy_prepare(&e->statement);
    if (e->schema.release != NULL) e->schema.release(&e->schema);
}

static void set_running(gears_stage *stage, duckdb_connection connection) {
    pthread_mutex_lock(&stage->mutex);
    stage->running_on = connection;
    stage->started = true;
    pthread_mutex_unlock(&stage->mutex);
}

/* Sessions are asked for before the SQL is prepared: DuckDB calls hooks of constants then. */
static bool open_hooks(worker *w, gears_stage *stage) {
    return stage->hook_count == 0 || gears_hook_open(stage, w->ctx, w->connection);
}

/* What the text takes is freed when it is planned. */
static bool start(worker *w, gears_stage *stage, execution *e) {
    uint64_t bytes = gears_check_memory(stage->sql);
    bool started = gears_limits_reads(stage, bytes) && gears_check_stage(stage, w->parser) && open_hooks(w, stage) &&
                   start_statement(w, stage, e);
    gears_limits_forgotten(stage, bytes);
    return started;
}

/* DuckDB's memory is freed before the last frame is delivered: an answered query holds nothing. */
static void run_stage(worker *w, gears_stage *stage) {
    execution e;
    memset(&e, 0, sizeof e);
    atomic_store(&stage->queued_us, gears_lock_now() - stage->started_us);
    set_running(stage, w->connection);
    gears_scan_set_stage(stage, w->ctx);
    bool answered = !atomic_load(&stage->cancelled) && start(w, stage, &e) && write_schema(w, stage, &e) &&
                    write_rows(w, stage, &e) && gears_scan_close(stage, w->ctx);
    end_execution(&e);
    gears_snapshot_end(stage, w->ctx);
    gears_hook_close(stage);
    set_running(stage, NULL);
    gears_scan_set_stage(NULL, NULL);
    atomic_fetch_add(&rows_total, stage->rows_scanned);
    atomic_fetch_add(&stages_total, 1);
    if (!answered) fail_with_duckdb(stage, "the stage ended without a result");
    gears_stage_deliver(stage, &e.frame, false);
    free_frame(&e);
    gears_stage_unregister(stage); /* when nobody took the last frame */
    gears_buffer_free(&e.frame);
}

/* ---- the threads ---------------------------------------------------------------------------------------------- */

static bool run_query(duckdb_connection connection, const char *sql, uint64_t *number) {
    duckdb_result result;
    memset(&result, 0, sizeof result);
    bool ran = duckdb_query(connection, sql, &result) == DuckDBSuccess;
    if (ran && number != NULL) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
        if (chunk != NULL) {
            *number = *(uint64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
            duckdb_destroy_data_chunk(&chunk);
        }
    }
    duckdb_destroy_result(&result);
    return ran;
}

/* At most once a second: it is a query of its own. */
static void sample_memory(worker *w) {
    static _Atomic uint64_t sampled;
    uint64_t now = gears_lock_now(), before = atomic_load(&sampled), bytes = 0;
    if (now - before < 1000000 || !atomic_compare_exchange_strong(&sampled, &before, now)) return;
    if (w->shared.connection == NULL) return;
    if (run_query(w->shared.connection, "SELECT coalesce(sum(memory_usage_bytes), 0)::UBIGINT FROM duckdb_memory()",
                  &bytes))
        atomic_store(&duckdb_memory, bytes);
}

/* NULL: there will be none. */
static gears_stage *next_stage(void) {
    pthread_mutex_lock(&mutex);
    idle++;
    while (first == NULL && !ending) pthread_cond_wait(&work, &mutex);
    idle--;
    queued *taken = first;
    if (taken != NULL) {
        first = taken->next;
        if (first == NULL) last = &first;
        queue_length--;
    }
    pthread_mutex_unlock(&mutex);
    gears_stage *stage = taken != NULL ? taken->stage : NULL;
    free(taken);
    return stage;
}

static void close_engine(engine *e) {
    duckdb_destroy_prepare(&e->parser);
    duckdb_destroy_arrow_options(&e->arrow);
    duckdb_disconnect(&e->connection);
    if (e->database != NULL) duckdb_close(&e->database);
}

/* What is kept of it is right, or nothing is: the next stage tries again. */
static bool open_engine(engine *e, bool bounded, gears_stage *stage) {
    char *error = NULL;
    if (e->connection != NULL) return true;
    duckdb_database database = bounded ? gears_duckdb_bounded(gears_worker_memory_mb, &error)
                                       : gears_duckdb_database(gears_worker_memory_mb, &error);
    if (bounded) e->database = database;
    bool opened = database != NULL && duckdb_connect(database, &e->connection) == DuckDBSuccess;
    if (opened && gears_check_prepare(e->connection, &e->parser)) {
        run_query(e->connection, "SET streaming_buffer_size = '1MiB'", NULL);
        duckdb_connection_get_arrow_options(e->connection, &e->arrow);
        return true;
    }
    close_engine(e);
    fail_with_duckdb(stage, error ? error : "DuckDB did not open");
    free(error);
    return false;
}

static bool bound_memory(engine *e, gears_stage *stage) {
    char sql[64];
    snprintf(sql, sizeof sql, "SET GLOBAL memory_limit = '%lluB'", (unsigned long long)stage->limits.memory_bytes);
    if (run_query(e->connection, sql, NULL)) return true;
    gears_stage_fail(stage, "GEARSMEMORY DuckDB alone takes more than %llu bytes",
                     (unsigned long long)stage->limits.memory_bytes);
    return false;
}

static bool open_connection(worker *w, gears_stage *stage) {
    uint64_t bound = stage->limits.memory_bytes;
    bool bounded = bound != 0 && bound < (uint64_t)gears_worker_memory_mb << 20;
    engine *e = bounded ? &w->own : &w->shared;
    if (!open_engine(e, bounded, stage) || (bounded && !bound_memory(e, stage))) return false;
    w->connection = e->connection;
    w->parser = e->parser;
    w->arrow = e->arrow;
    stage->engine = bounded ? e : NULL;
    return true;
}

static void say_ended(void) {
    pthread_mutex_lock(&mutex);
    workers--;
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&mutex);
}

static void *worker_main(void *data) {
    worker *w = data;
    gears_stage *stage;
    gears_buffer nothing = {0};
    prctl(PR_SET_NAME, "gearsql");
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS); /* the pauses are tens of microseconds long */
    /* To wake up takes no processor away from the main thread or from clients of the same machine. */
    sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    while ((stage = next_stage()) != NULL) {
        if (open_connection(w, stage)) {
            run_stage(w, stage);
            sample_memory(w);
        } else {
            gears_stage_deliver(stage, &nothing, false);
            gears_stage_unregister(stage);
        }
        gears_stage_release(stage);
    }
    close_engine(&w->shared);
    close_engine(&w->own);
    say_ended();
    return NULL;
}

static bool start_worker(worker *w) {
    pthread_t thread;
    pthread_attr_t attributes;
    if (w->ctx == NULL) w->ctx = RedisModule_GetThreadSafeContext(NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 8u << 20); /* DuckDB's binder recurses */
    bool started = pthread_create(&thread, &attributes, worker_main, w) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

bool gears_worker_submit(gears_stage *stage) {
    queued *entry = malloc(sizeof *entry);
    if (entry == NULL) return false;
    *entry = (queued){.stage = stage, .next = NULL};
    pthread_mutex_lock(&mutex);
    if (idle <= queue_length && workers < gears_worker_limit && start_worker(&pool[workers])) workers++;
    bool accepted = workers > 0 && queue_length < gears_worker_queue_limit;
    if (accepted) {
        *last = entry;
        last = &entry->next;
        queue_length++;
        pthread_cond_signal(&work);
    }
    pthread_mutex_unlock(&mutex);
    if (!accepted) free(entry);
    return accepted;
}

void gears_worker_drop_cancelled(void) {
    const gears_buffer nothing = {0};
    queued *dropped = NULL;
    pthread_mutex_lock(&mutex);
    for (queued **link = &first; *link != NULL;) {
        queued *entry = *link;
        if (!atomic_load(&entry->stage->cancelled)) {
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        if (last == &entry->next) last = link;
        queue_length--;
        entry->next = dropped;
        dropped = entry;
    }
    pthread_mutex_unlock(&mutex);
    while (dropped != NULL) {
        queued *entry = dropped;
        dropped = entry->next;
        gears_stage_fail_cancelled(entry->stage);
        gears_stage_deliver(entry->stage, &nothing, false);
        gears_stage_unregister(entry->stage);
        gears_stage_release(entry->stage);
        free(entry);
    }
}

bool gears_worker_end_all(unsigned milliseconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&mutex);
    ending = true;
    pthread_cond_broadcast(&work);
    int waited = 0;
    while (workers > 0 && waited != ETIMEDOUT) waited = pthread_cond_timedwait(&ended, &mutex, &until);
    bool all = workers == 0;
    pthread_mutex_unlock(&mutex);
    return all;
}
