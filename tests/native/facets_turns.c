/* For test_facets.py: turns at the server lock, at a session's mailbox, and the bounds of stages, on a server that is
 * none (tests/fuzz). Nothing here asks how long something takes. */
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "lock.h"
#include "session_parts.h"
#include "shrink.h"
#include "stage_limits.h"

enum { FOR_EVER_US = 1000000000 };

/* ---- the server lock -------------------------------------------------------------------------------------------- */

static int refusals, held; /* the lock is taken by somebody so many times more; how often it is taken now */
static bool stops;         /* the server stops while the lock is taken */

static int try_lock(RedisModuleCtx *ctx) {
    (void)ctx;
    if (refusals > 0) return refusals--, REDISMODULE_ERR;
    if (stops) gears_lock_stop();
    held++;
    return REDISMODULE_OK;
}

static void unlock(RedisModuleCtx *ctx) { (void)ctx, held--; }

static void a_turn_tries_until_it_has_the_lock(void) {
    atomic_bool cancelled = false;
    refusals = 3000; /* more than it spins for */
    CHECK(gears_lock_enter(NULL, &cancelled) && refusals == 0 && held == 1);
    gears_lock_leave(NULL);
    cancelled = true;
    CHECK(!gears_lock_enter(NULL, &cancelled) && held == 0);
    cancelled = false;
    CHECK(gears_lock_enter(NULL, &cancelled)); /* the one that was cancelled left the turn to others */
    gears_lock_leave(NULL);
    CHECK(held == 0);
}

static void a_turn_may_stay_for_its_slice(void) {
    atomic_bool cancelled = false;
    gears_lock_slice_us = FOR_EVER_US;
    CHECK(gears_lock_enter(NULL, &cancelled) && gears_lock_may_stay());
    gears_lock_slice_us = 1;
    while (gears_lock_may_stay()) continue;
    gears_lock_slice_us = FOR_EVER_US;
    gears_lock_begin_slice();
    CHECK(gears_lock_may_stay());
    gears_lock_leave(NULL);
}

/* Last of those of slices: the event loop that is found stays. */
static void a_turn_ends_when_an_event_waits(void) {
    atomic_bool cancelled = false;
    int loop = epoll_create1(0), client = eventfd(1, 0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(loop, EPOLL_CTL_ADD, client, &event);
    gears_lock_find_event_loop();
    gears_lock_slice_us = FOR_EVER_US;
    CHECK(gears_lock_enter(NULL, &cancelled));
    while (gears_lock_may_stay()) continue;
    gears_lock_leave(NULL);
    uint64_t count;
    CHECK(read(client, &count, sizeof count) == sizeof count);
    CHECK(gears_lock_enter(NULL, &cancelled));
    while (gears_lock_held() < 1000) CHECK(gears_lock_may_stay());
    gears_lock_leave(NULL);
    close(client), close(loop);
}

static void nobody_enters_a_server_that_stops(void) {
    atomic_bool cancelled = false;
    stops = true;
    CHECK(!gears_lock_enter(NULL, &cancelled) && held == 0 && gears_lock_stopped());
    CHECK(!gears_lock_enter(NULL, &cancelled) && held == 0);
}

/* ---- tables that shrink ------------------------------------------------------------------------------------------ */

static void a_table_may_shrink_below_a_third_of_its_peak(void) {
    CHECK(!gears_shrink_may(3, 30) && !gears_shrink_may(3, 10) && gears_shrink_may(3, 9));
    CHECK(!gears_shrink_may(3, 60) && gears_shrink_may(3, 19) && !gears_shrink_may(3, 20));
    CHECK(!gears_shrink_may(4, 0));
    CHECK(gears_shrink_may(-1, 30) && gears_shrink_may(64, 30)); /* nobody looks at these */
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static gears_stage *new_stage(const char *id) {
    gears_stage *stage = calloc(1, sizeof *stage);
    stage->id = strdup(id), stage->sql = strdup("SELECT 1");
    stage->user = (gears_bytes){strdup("me"), 2};
    atomic_store(&stage->references, 1);
    pthread_mutex_init(&stage->mutex, NULL);
    pthread_cond_init(&stage->changed, NULL);
    return stage;
}

/* Whether the stage has failed so; forgets it. */
static bool said(gears_stage *stage, const char *error) {
    bool same = stage->error != NULL && strcmp(stage->error, error) == 0;
    if (!same) printf("said: %s\n", stage->error ? stage->error : "nothing");
    free(stage->error);
    stage->error = NULL;
    return same;
}

static void what_is_over_a_bound_fails(void) {
    gears_stage *stage = new_stage("q.1"), *other = new_stage("q.2");
    CHECK(gears_limits_scanned(stage, 1000000)); /* no bound */
    stage->limits = (gears_limits){.rows = 1000010, .shipped_rows = 5, .shipped_bytes = 100, .frame_bytes = 50};
    CHECK(gears_limits_scanned(stage, 10) && !gears_limits_scanned(stage, 1));
    CHECK(said(stage, "GEARSROWS more than 1000010 rows were read on this shard"));
    CHECK(gears_limits_shipped(stage, 5, 100, 50) && !gears_limits_shipped(stage, 1, 0, 0));
    CHECK(said(stage, "GEARSROWS more than 5 rows would be shipped by this shard"));
    CHECK(!gears_limits_shipped(other, 0, (256 << 20) - 99, 0)); /* of all stages together */
    CHECK(said(other, "GEARSMEMORY more than 268435456 bytes of frames wait for their clients (argument FRAMES)"));
    gears_limits_freed((256 << 20) - 99);
    CHECK(gears_limits_shipped(other, 0, 1, 1));
    stage->limits.shipped_rows = 0;
    CHECK(!gears_limits_shipped(stage, 0, 0, 51) &&
          said(stage, "GEARSMEMORY more than 50 bytes would wait in one frame of this shard"));
    CHECK(!gears_limits_shipped(stage, 0, 1, 1) &&
          said(stage, "GEARSBYTES more than 100 bytes would be shipped by this shard"));
    gears_stage_release(stage), gears_stage_release(other);
}

static void what_comes_along_and_is_read_counts_as_memory(void) {
    gears_stage *stage = new_stage("q.1"), *other = new_stage("q.2");
    gears_given given[2] = {{.bytes = {NULL, 400}}, {.bytes = {NULL, 500}}};
    stage->given = given, stage->given_count = 2;
    stage->limits.memory_bytes = 907; /* and the text's 8 */
    CHECK(!gears_limits_start(NULL, stage) &&
          said(stage, "GEARSMEMORY more than 907 bytes of text and relations would be kept on this shard"));
    gears_limits_forgotten(stage, stage->brought_bytes);
    stage->limits.memory_bytes = 1000;
    CHECK(gears_limits_start(NULL, stage) && stage->held_bytes == 908 && gears_limits_reads(stage, 92));
    CHECK(!gears_limits_remembered(stage, 1) &&
          said(stage, "GEARSMEMORY more than 1000 bytes of names would be remembered on this shard"));
    gears_limits_forgotten(stage, 93);
    CHECK(!gears_limits_reads(stage, 93) &&
          said(stage, "GEARSMEMORY more than 1000 bytes would be taken to read the query's text on this shard"));
    gears_limits_forgotten(stage, 93);
    CHECK(gears_limits_remembered(other, 600 << 20) && !gears_limits_reads(other, 600 << 20) && /* together */
          said(other, "GEARSMEMORY more than 1073741824 bytes would be taken to read the query's text by all stages "
                      "(argument MEMORY)"));
    gears_limits_forgotten(other, 1200 << 20);
    stage->given = NULL, stage->given_count = 0;
    gears_stage_release(stage); /* with what it brought */
    CHECK(!gears_limits_reads(other, (768 << 20) + 1) &&
          said(other, "GEARSMEMORY more than 805306368 bytes would be taken to read the query's text"));
    gears_limits_forgotten(other, (768 << 20) + 1);
    CHECK(gears_limits_remembered(other, 1 << 30)); /* nothing is left of the others */
    gears_limits_forgotten(other, 1 << 30);
    gears_stage_release(other);
}

static RedisModuleTimerProc timer;
static void *timer_data;

static RedisModuleTimerID create_timer(RedisModuleCtx *ctx, long long milliseconds, RedisModuleTimerProc fire,
                                       void *data) {
    (void)ctx, (void)milliseconds;
    timer = fire, timer_data = data;
    return 1;
}

static void the_tighter_bound_holds_and_the_timer_keeps_the_time(void) {
    gears_stage *stage = new_stage("q.1"), *patient = new_stage("q.2");
    gears_limits_rows = 10, gears_limits_time_ms = 1;
    stage->limits = (gears_limits){.rows = 20, .shipped_rows = 7};
    gears_limits_start(NULL, stage); /* began at 0: late by now */
    CHECK(stage->limits.rows == 10 && stage->limits.shipped_rows == 7 && stage->limits.deadline_us == 1000);
    gears_limits_rows = gears_limits_time_ms = 0;
    patient->started_us = gears_lock_now();
    patient->limits.time_ms = 3600000;
    gears_limits_start(NULL, patient);
    gears_stage_register(stage), gears_stage_register(patient);
    void *first = timer_data;
    timer(NULL, timer_data);
    CHECK(stage->cancelled && strcmp(stage->cancel_reason, "GEARSTIME the query's time is up") == 0);
    CHECK(!patient->cancelled && timer_data != first); /* another one waits for it */
    timer(NULL, first);                                /* nobody's by now */
    gears_stage_unregister(stage), gears_stage_unregister(patient);
    CHECK(gears_stage_open() == 0);
    gears_stage_release(stage), gears_stage_release(patient);
}

static void a_stage_of_4096_is_remembered(void) {
    gears_stage *stage = new_stage("q.1"), *other = new_stage("");
    CHECK(gears_limits_first_time(stage) && !gears_limits_first_time(stage));
    for (int i = 0; i < 4096; i++) {
        CHECK(i == 0 || !gears_limits_first_time(stage));
        free(other->id);
        if (asprintf(&other->id, "r.%d", i) < 0) abort();
        CHECK(gears_limits_first_time(other));
    }
    CHECK(gears_limits_first_time(stage)); /* forgotten: there were 4,096 since */
    gears_stage_release(stage), gears_stage_release(other);
}

/* ---- a session's mailbox ----------------------------------------------------------------------------------------- */

static gears_session session;

static void begin_session(void) {
    session = (gears_session){.last_waiter = &session.first_waiter};
    session.mailbox = mmap(NULL, GEARS_MAILBOX_HEADER, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    session.lost = true; /* it is in no table that it could be dropped from */
    pthread_mutex_init(&session.mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&session.changed, &attributes);
}

/* Answers each message with this, once. */
typedef struct answer {
    uint32_t kind, ended;
    uint64_t size;
} answer;

static void *answer_once(void *told) {
    const answer *a = told;
    gears_mailbox *box = session.mailbox;
    while (atomic_load(&box->turn) != GEARS_TURN_SESSION) usleep(100);
    box->kind = a->kind, box->size = a->size;
    if (a->ended)
        atomic_store(&box->ended, a->ended);
    else
        atomic_store(&box->turn, GEARS_TURN_SERVER);
    gears_mailbox_wake(box);
    return NULL;
}

/* Sends a message that is answered so; the stage that sent it. */
static gears_stage *exchange(answer a, bool succeeds) {
    pthread_t thread;
    gears_stage *stage = new_stage("q.1");
    uint32_t kind = GEARS_CALL;
    uint64_t size = 0;
    session.mailbox->kind = kind, session.mailbox->size = 8;
    pthread_create(&thread, NULL, answer_once, &a);
    bool answered = gears_session_exchange(&session, stage, "f", &kind, &size);
    pthread_join(thread, NULL);
    CHECK(answered == succeeds && (!answered || (kind == a.kind && size == a.size)));
    atomic_store(&session.mailbox->turn, GEARS_TURN_SERVER);
    atomic_store(&session.mailbox->ended, GEARS_ENDED_NOT);
    return stage;
}

static void an_answer_is_believed_only_if_it_is_one(void) {
    static const struct {
        answer given;
        const char *error;
    } cases[] = {
        {{GEARS_RESULT, 0, 24}, NULL},
        {{GEARS_LOG, 0, GEARS_MAILBOX_BYTES}, NULL},
        {{GEARS_RESULT, 0, GEARS_MAILBOX_BYTES + 1}, "GEARSHOOKDIED f(): its session sent no answer of ours"},
        {{GEARS_CALL, 0, 8}, "GEARSHOOKDIED f(): its session sent no answer of ours"},
        {{4711, 0, 8}, "GEARSHOOKDIED f(): its session sent no answer of ours"},
        {{0, GEARS_ENDED_RETURNED, 0}, "GEARSHOOKDIED f(): its session ended"},
        {{0, GEARS_ENDED_MEMORY, 0}, "GEARSHOOKDIED f(): out of memory"},
        {{0, GEARS_ENDED_SIGNAL + 11, 0}, "GEARSHOOKDIED f(): killed by SIGSEGV"},
        {{0, GEARS_ENDED_SIGNAL + 200, 0}, "GEARSHOOKDIED f(): killed by signal 200"},
        {{0, GEARS_ENDED_EXIT + 3, 0}, "GEARSHOOKDIED f(): exit 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gears_stage *stage = exchange(cases[i].given, cases[i].error == NULL);
        if (cases[i].error != NULL) CHECK(said(stage, cases[i].error));
        gears_stage_release(stage);
    }
}

static void who_does_not_answer_is_given_up(void) {
    gears_stage *stage = new_stage("q.1");
    uint32_t kind = GEARS_CALL;
    uint64_t size;
    gears_session_timeout_ms = 20;
    CHECK(!gears_session_exchange(&session, stage, "f", &kind, &size) && !gears_session_unanswered(&session));
    CHECK(said(stage, "GEARSHOOKTIME f() did not answer within 20 ms"));
    gears_session_timeout_ms = 30000;
    stage->cancelled = true;
    stage->cancel_reason = "somebody said so";
    CHECK(!gears_session_exchange(&session, stage, "f", &kind, &size) && gears_session_unanswered(&session));
    CHECK(said(stage, "GEARSCANCELLED somebody said so"));
    session.mailbox->kind = GEARS_DONE;
    atomic_store(&session.mailbox->turn, GEARS_TURN_SERVER);
    gears_session_drain(&session);
    CHECK(!gears_session_unanswered(&session));
    gears_stage_release(stage);
}

static int order[3], next_place;

static void *take_a_turn(void *number) {
    gears_stage *stage = new_stage("q.1");
    CHECK(gears_session_lock(&session, stage));
    order[next_place++] = *(int *)number;
    gears_session_unlock(&session);
    gears_stage_release(stage);
    return NULL;
}

static int waiting(void) {
    int count = 0;
    pthread_mutex_lock(&session.mutex);
    for (gears_session_waiter *w = session.first_waiter; w != NULL; w = w->next) count++;
    pthread_mutex_unlock(&session.mutex);
    return count;
}

static void who_waits_gets_its_turn_in_the_order_of_asking(void) {
    pthread_t threads[3];
    int numbers[3] = {0, 1, 2};
    gears_stage *stage = new_stage("q.1"), *cancelled = new_stage("q.2");
    session.lost = false; /* lost ones give no turns */
    CHECK(gears_session_lock(&session, stage));
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, take_a_turn, &numbers[i]);
        while (waiting() <= i) usleep(100);
    }
    cancelled->cancelled = true;
    cancelled->cancel_reason = "no";
    CHECK(!gears_session_lock(&session, cancelled) && said(cancelled, "GEARSCANCELLED no") && waiting() == 3);
    gears_session_unlock(&session);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 3; i++) CHECK(order[i] == i);
    CHECK(!session.busy);
    session.lost = true;
    CHECK(!gears_session_lock(&session, stage));
    CHECK(said(stage, "GEARSHOOKDIED another query's hook ended the session that this one shares"));
    gears_stage_release(stage), gears_stage_release(cancelled);
}

int main(void) {
    fake_server();
    RedisModule_ThreadSafeContextTryLock = try_lock;
    RedisModule_ThreadSafeContextUnlock = unlock;
    RedisModule_CreateTimer = create_timer;
    a_turn_tries_until_it_has_the_lock();
    a_turn_may_stay_for_its_slice();
    a_turn_ends_when_an_event_waits();
    a_table_may_shrink_below_a_third_of_its_peak();
    what_is_over_a_bound_fails();
    what_comes_along_and_is_read_counts_as_memory();
    the_tighter_bound_holds_and_the_timer_keeps_the_time();
    a_stage_of_4096_is_remembered();
    begin_session();
    an_answer_is_believed_only_if_it_is_one();
    who_does_not_answer_is_given_up();
    who_waits_gets_its_turn_in_the_order_of_asking();
    nobody_enters_a_server_that_stops();
    munmap(session.mailbox, GEARS_MAILBOX_HEADER);
    return failed;
}
