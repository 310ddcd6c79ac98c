/* For test_facets.py: the queue and the threads of workers (worker.c), a stage's frames, last words and cancelling (stage.c),
 * and what ends stages (flush.c), on a server that is none (tests/fuzz), whose DuckDB cannot be opened. */
#include <semaphore.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "flush.h"
#include "function.h"
#include "worker.h"

/* ---- clients ------------------------------------------------------------------------------------------------------ */

/* A client is a number, an answer what it was told: '<number> <text>;'. */
static char answers[20000];
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

static RedisModuleBlockedClient *client(uintptr_t number) { return (RedisModuleBlockedClient *)number; } /* NOLINT */

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t used = strlen(answers);
    vsnprintf(answers + used, sizeof answers - used, format, arguments);
    va_end(arguments);
}

static RedisModuleCtx *context_of(RedisModuleBlockedClient *waiter) {
    if (waiter == NULL) return NULL; /* a worker's */
    pthread_mutex_lock(&writing);
    tell("%d", (int)(uintptr_t)waiter);
    return (RedisModuleCtx *)(void *)waiter;
}
static void free_context(RedisModuleCtx *ctx) { (void)ctx; }
static int unblock(RedisModuleBlockedClient *waiter, void *data) {
    (void)waiter, (void)data;
    tell(";");
    return pthread_mutex_unlock(&writing);
}
static int reply_error(RedisModuleCtx *ctx, const char *text) { return (void)ctx, tell(" %s", text), REDISMODULE_OK; }
static int reply_number(RedisModuleCtx *ctx, long long number) {
    return (void)ctx, tell(" %lld", number), REDISMODULE_OK;
}
static int reply_array(RedisModuleCtx *ctx, long count) { return (void)ctx, tell(" [%ld]", count), REDISMODULE_OK; }
static int reply_bytes(RedisModuleCtx *ctx, const char *bytes, size_t length) {
    return (void)ctx, tell(" '%.*s'", (int)length, bytes), REDISMODULE_OK;
}

/* What was told since the last look; a worker may be a moment behind. */
static bool told(const char *expected) {
    bool same = false;
    for (int waited = 0; !same && waited < 10000; waited++) {
        if (waited > 0) usleep(1000);
        pthread_mutex_lock(&writing);
        same = strcmp(answers, expected) == 0;
        if (!same && strlen(answers) > strlen(expected)) waited = 10000;
        pthread_mutex_unlock(&writing);
    }
    if (!same) printf("told: %s\n", answers);
    answers[0] = 0;
    return same;
}

/* ---- stages ------------------------------------------------------------------------------------------------------- */

static gears_stage *new_stage(const char *id, unsigned number) {
    gears_stage *stage = calloc(1, sizeof *stage);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    stage->id = strdup(id);
    stage->user = (gears_bytes){strdup("me"), 2};
    stage->client = number;
    stage->database = (int)number;
    atomic_store(&stage->references, 1);
    pthread_mutex_init(&stage->mutex, NULL);
    pthread_cond_init(&stage->changed, &attributes);
    return stage;
}

/* As GEARSQL.EXECUTE accepts it: registered, its client waiting. False: it was not taken. */
static bool submit(const char *id, unsigned number) {
    gears_stage *stage = new_stage(id, number);
    CHECK(gears_stage_await(stage, client(number)));
    gears_stage_register(stage);
    bool taken = gears_worker_submit(stage);
    if (!taken) gears_stage_unregister(stage), gears_stage_release(stage);
    return taken;
}

static size_t cancel(const char *id, const char *user) {
    gears_slice name = {user, user ? strlen(user) : 0};
    return gears_stage_cancel_id((gears_slice){id, strlen(id)}, user ? &name : NULL, "somebody said so");
}

/* ---- workers ------------------------------------------------------------------------------------------------------ */

static sem_t gate; /* each stage waits here when it is to open DuckDB */
static atomic_int at_gate;

static duckdb_state no_config(duckdb_config *config) {
    (void)config;
    atomic_fetch_add(&at_gate, 1);
    sem_wait(&gate);
    return DuckDBError;
}
static void forget_statement(duckdb_prepared_statement *statement) { (void)statement; }
static void forget_options(duckdb_arrow_options *options) { (void)options; }
static void forget_connection(duckdb_connection *connection) { (void)connection; }

static void wait_for(int count) {
    while (atomic_load(&at_gate) < count) usleep(500);
}

static void stages_wait_in_a_queue_with_a_bound(void) {
    gears_worker_limit = 1, gears_worker_queue_limit = 3;
    CHECK(submit("a", 1));
    wait_for(1);
    CHECK(gears_worker_count() == 1 && gears_worker_queued() == 0);
    CHECK(submit("b", 2) && submit("c", 3) && submit("d", 4) && gears_worker_queued() == 3);
    CHECK(!submit("e", 5) && gears_worker_queued() == 3 && gears_stage_open() == 4);
    CHECK(told(""));
    /* The last one and the middle one make room, without a worker. */
    CHECK(cancel("d", NULL) == 1 && told("4 GEARSCANCELLED somebody said so;") && submit("f", 6));
    CHECK(cancel("c", NULL) == 1 && told("3 GEARSCANCELLED somebody said so;") && submit("g", 7));
    CHECK(cancel("c", NULL) == 0 && gears_worker_queued() == 3);
    for (int i = 0; i < 4; i++) sem_post(&gate);
    while (gears_stage_open() > 0) usleep(500);
    CHECK(told("1 GEARSSQL DuckDB did not open;2 GEARSSQL DuckDB did not open;6 GEARSSQL DuckDB did not open;"
               "7 GEARSSQL DuckDB did not open;"));
}

static void workers_are_as_many_as_the_limit_at_most(void) {
    at_gate = 0;
    CHECK(submit("a", 1));
    wait_for(1);
    gears_worker_limit = 2;
    CHECK(submit("b", 2) && gears_worker_count() == 2);
    while (gears_worker_queued() > 0) usleep(500);
    CHECK(submit("c", 3) && gears_worker_count() == 2 && gears_worker_queued() == 1);
    for (int i = 0; i < 3; i++) sem_post(&gate);
    while (strlen(answers) < 3 * strlen("1 GEARSSQL DuckDB did not open;")) usleep(500); /* in any order */
    answers[0] = 0;
}

/* What DuckDB opens lies behind one mutex: so only one stage is at the gate. */
static void all_end_or_it_is_said_that_one_does_not(void) {
    at_gate = 0;
    CHECK(submit("a", 1));
    wait_for(1);
    CHECK(!gears_worker_end_all(20));
    sem_post(&gate);
    CHECK(gears_worker_end_all(60000) && gears_worker_count() == 0);
    answers[0] = 0;
}

/* ---- frames ------------------------------------------------------------------------------------------------------- */

static void a_frame_waits_for_its_client(void) {
    gears_stage *stage = new_stage("q.1", 7);
    gears_buffer frame = {.data = (void *)strdup("rows"), .size = 4};
    gears_stage_register(stage);
    CHECK(gears_stage_await(stage, client(7)) && !gears_stage_await(stage, client(8)));
    CHECK(gears_stage_deliver(stage, &frame, true) && gears_stage_open() == 1);
    CHECK(strncmp(answers, "7 [3] 'rows' 1 [34] 'slots_left' '' 'mode' 'sliced' 'fallback' ''", 65) == 0);
    answers[0] = 0;
    gears_stage_await(stage, client(7));
    CHECK(gears_stage_deliver(stage, &frame, false) && gears_stage_open() == 0);
    CHECK(strncmp(answers, "7 [3] 'rows' 0 ", 15) == 0);
    answers[0] = 0;
    gears_stage_release(stage);
    free(frame.data);
}

static char *last_word(const char *id, unsigned number) { return gears_stage_last_word(id, strlen(id), number); }

static void expect_last_word(const char *id, unsigned number, const char *expected) {
    char *word = last_word(id, number);
    bool same = expected == NULL ? word == NULL : word != NULL && strcmp(word, expected) == 0;
    if (!same) printf("last word of %s: %s\n", id, word ? word : "none"), failed = 1;
    free(word);
}

static void who_does_not_ask_in_time_is_told_once_when_it_asks(void) {
    const gears_buffer nothing = {0};
    gears_stage *stage = new_stage("q.1", 7);
    gears_fetch_timeout_ms = 5;
    gears_stage_register(stage);
    CHECK(!gears_stage_deliver(stage, &nothing, true) && stage->error != NULL);
    CHECK(!gears_stage_deliver(stage, &nothing, false) && !gears_stage_await(stage, client(7)) && told(""));
    expect_last_word("q.1", 8, NULL); /* another client's stage */
    expect_last_word("q.2", 7, NULL);
    expect_last_word("q.1", 7, "GEARSCANCELLED nobody fetched the next frame in time");
    expect_last_word("q.1", 7, NULL);
    gears_stage_unregister(stage);
    gears_stage_release(stage);
    for (unsigned i = 0; i < 65; i++) { /* 64 are kept */
        stage = new_stage("x", 1000 + i);
        gears_stage_fail(stage, "GEARSSQL %u", i);
        gears_stage_deliver(stage, &nothing, false);
        gears_stage_release(stage);
    }
    expect_last_word("x", 1000, NULL);
    for (unsigned i = 1; i < 65; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "GEARSSQL %u", i);
        expect_last_word("x", 1000 + i, expected);
    }
    gears_fetch_timeout_ms = 60000;
}

static void an_error_is_one_line_of_plain_characters(void) {
    static const struct {
        const char *bytes;
        size_t length, limit;
        bool spaces;
        const char *expected;
    } cases[] = {
        {"a b", 3, 9, false, "a b"},   {"a b", 3, 9, true, "a%20b"},
        {"50%", 3, 9, false, "50%25"}, {"\r\n\0", 3, 9, false, "%0D%0A%00"},
        {"\xff", 1, 9, false, "%FF"},  {"abc", 3, 2, false, "ab..."},
        {"", 0, 0, true, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = gears_escape(cases[i].bytes, cases[i].length, cases[i].limit, cases[i].spaces);
        CHECK(strcmp(text, cases[i].expected) == 0);
        free(text);
    }
}

/* ---- who is cancelled --------------------------------------------------------------------------------------------- */

static RedisModuleEventCallback events[32];
static int flags;

static int subscribe(RedisModuleCtx *ctx, RedisModuleEvent event, RedisModuleEventCallback call) {
    (void)ctx;
    CHECK(events[event.id] == NULL); /* a server takes one of a module for an event */
    events[event.id] = call;
    return REDISMODULE_OK;
}
static int context_flags(RedisModuleCtx *ctx) { return (void)ctx, flags; }

static gears_stage *four[4];

static void begin_four(void) {
    static const char *const ids[] = {"q", "q.1", "q1", "other.q"};
    for (unsigned i = 0; i < 4; i++) gears_stage_register(four[i] = new_stage(ids[i], i));
    four[3]->on_replica = true;
}

/* One letter for each of them: c if it was cancelled. */
static bool cancelled(const char *expected, const char *reason) {
    bool same = true;
    for (int i = 0; i < 4; i++) {
        bool was = atomic_load(&four[i]->cancelled);
        same &= was == (expected[i] == 'c') && (!was || strcmp(four[i]->cancel_reason, reason) == 0);
        gears_stage_unregister(four[i]);
        gears_stage_release(four[i]);
    }
    return same;
}

static void a_query_is_cancelled_with_its_stages_and_no_others(void) {
    begin_four();
    CHECK(cancel("q", "you") == 0 && cancel("q", "me") == 2 && cancelled("cc--", "somebody said so"));
    begin_four();
    CHECK(cancel("q.1", NULL) == 1 && cancelled("-c--", "somebody said so"));
    begin_four();
    CHECK(gears_stage_cancel_client(2, "gone") == 1 && gears_stage_cancel_all("later") == 4);
    CHECK(strcmp(four[2]->cancel_reason, "gone") == 0); /* the first reason stays */
    four[2]->cancel_reason = "later";
    CHECK(cancelled("cccc", "later"));
    begin_four();
    gears_stage *found = gears_stage_find("q1", 2, 2);
    CHECK(found == four[2] && gears_stage_find("q1", 2, 1) == NULL && gears_stage_of_client(3) &&
          !gears_stage_of_client(9));
    gears_stage_release(found);
    four[0]->limits.deadline_us = 10, four[1]->limits.deadline_us = 11;
    CHECK(gears_stage_cancel_late(10, "late") == 1 && cancelled("c---", "late"));
}

#define EMPTIED "GEARSREPLACED the database was emptied (FLUSHALL, FLUSHDB) while the query read it"
#define SWAPPED "GEARSREPLACED the database was swapped (SWAPDB) while the query read it"
#define LOADED "GEARSREPLACED the server loaded other data while the query read it"
#define TO_REPLICA "GEARSREPLICA this node is a replica now: its primary has the slots"

static void other_data_ends_the_stages_that_read_it(void) {
    RedisModuleEvent event = {0, 1};
    RedisModuleFlushInfoV1 flush = {1, 0, 1};
    RedisModuleSwapDbInfoV1 swap = {1, 0, 2};
    CHECK(gears_flush_subscribe(NULL));
#define HAPPENS(which, subevent, data) begin_four(), events[REDISMODULE_EVENT_##which](NULL, event, subevent, data)
    HAPPENS(FLUSHDB, REDISMODULE_SUBEVENT_FLUSHDB_START, &flush);
    CHECK(cancelled("-c--", EMPTIED));
    HAPPENS(FLUSHDB, REDISMODULE_SUBEVENT_FLUSHDB_START + 1, &flush);
    CHECK(cancelled("----", ""));
    flush.dbnum = -1;
    HAPPENS(FLUSHDB, REDISMODULE_SUBEVENT_FLUSHDB_START, &flush);
    CHECK(cancelled("cccc", EMPTIED));
    HAPPENS(SWAPDB, 0, &swap);
    CHECK(cancelled("c-c-", SWAPPED));
    HAPPENS(LOADING, REDISMODULE_SUBEVENT_LOADING_REPL_START + 1, NULL);
    CHECK(cancelled("----", ""));
    HAPPENS(LOADING, 0, NULL);
    CHECK(cancelled("cccc", LOADED));
    HAPPENS(REPL_ASYNC_LOAD, REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_COMPLETED, NULL);
    CHECK(cancelled("cccc", LOADED));
    HAPPENS(REPLICATION_ROLE_CHANGED, 0, NULL);
    CHECK(cancelled("----", ""));
    flags = REDISMODULE_CTX_FLAGS_CLUSTER | REDISMODULE_CTX_FLAGS_SLAVE;
    HAPPENS(REPLICATION_ROLE_CHANGED, 0, NULL);
    CHECK(cancelled("cccc", TO_REPLICA));
    /* A replica that takes its new primary's data: the slots are there. Who reads the replica as such has other data. */
    HAPPENS(FLUSHDB, REDISMODULE_SUBEVENT_FLUSHDB_START, &flush);
    CHECK(strcmp(four[3]->cancel_reason, EMPTIED) == 0);
    four[3]->cancel_reason = TO_REPLICA;
    CHECK(cancelled("cccc", TO_REPLICA));
    flags = 0;
}

/* The functions of a primary are all that there is. */
static void functions_go_when_a_primary_sends_its_data(void) {
    RedisModuleEvent event = {0, 1};
    char *error = NULL;
    CHECK(gears_function_store((gears_slice[]){{"3", 1}, {"f", 1}}, 2, &error) == GEARS_STORED);
    events[REDISMODULE_EVENT_LOADING](NULL, event, 0, NULL);
    CHECK(gears_function_known_count() == 1);
    events[REDISMODULE_EVENT_LOADING](NULL, event, REDISMODULE_SUBEVENT_LOADING_REPL_START, NULL);
    CHECK(gears_function_known_count() == 0);
}

int main(void) {
    fake_server();
    RedisModule_GetThreadSafeContext = context_of;
    RedisModule_FreeThreadSafeContext = free_context;
    RedisModule_UnblockClient = unblock;
    RedisModule_ReplyWithError = reply_error;
    RedisModule_ReplyWithLongLong = reply_number;
    RedisModule_ReplyWithArray = reply_array;
    RedisModule_ReplyWithStringBuffer = reply_bytes;
    RedisModule_SubscribeToServerEvent = subscribe;
    RedisModule_GetContextFlags = context_flags;
    duckdb_create_config = no_config;
    duckdb_destroy_prepare = forget_statement;
    duckdb_destroy_arrow_options = forget_options;
    duckdb_disconnect = forget_connection;
    sem_init(&gate, 0, 0);
    stages_wait_in_a_queue_with_a_bound();
    workers_are_as_many_as_the_limit_at_most();
    all_end_or_it_is_said_that_one_does_not();
    a_frame_waits_for_its_client();
    who_does_not_ask_in_time_is_told_once_when_it_asks();
    an_error_is_one_line_of_plain_characters();
    a_query_is_cancelled_with_its_stages_and_no_others();
    other_data_ends_the_stages_that_read_it();
    functions_go_when_a_primary_sends_its_data();
    return failed;
}
