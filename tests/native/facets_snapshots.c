/* For test_facets.py: snapshots (snapshot.c, snapshot_child.c): who may have one, orders and loads between the worker and
 * its child, and how it ends. The children are real, the server that forks them is none (tests/fuzz), and what they read
 * are numbers. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "lock.h"
#include "snapshot_parts.h"

/* ---- a server ----------------------------------------------------------------------------------------------------- */

static int flags, held, reaped;
static const char *section_told, *field_told, *value_told;
static RedisModuleForkDoneHandler done;
static bool no_forks;

static int context_flags(RedisModuleCtx *ctx) { return (void)ctx, flags; }
static int try_lock(RedisModuleCtx *ctx) { return (void)ctx, held++, REDISMODULE_OK; }
static void unlock(RedisModuleCtx *ctx) { (void)ctx, held--; }

static RedisModuleServerInfoData *info(RedisModuleCtx *ctx, const char *section) {
    return (void)ctx, (RedisModuleServerInfoData *)(void *)strdup(section);
}
static void free_info(RedisModuleCtx *ctx, RedisModuleServerInfoData *told) { (void)ctx, free(told); }
static const char *field_of(RedisModuleServerInfoData *told, const char *field) {
    bool same = section_told != NULL && strcmp((char *)(void *)told, section_told) == 0;
    return same && strcmp(field, field_told) == 0 ? value_told : NULL;
}

static int fork_it(RedisModuleForkDoneHandler call, void *data) {
    CHECK(data == NULL);
    done = call;
    if (no_forks) return errno = EAGAIN, -1;
    return fork();
}
static void heartbeat(double progress) { (void)progress; }
static int exit_child(int code) { _exit(code); }
static int reap(int pid) {
    CHECK(held == 1);
    reaped++;
    return waitpid(pid, NULL, 0) == pid ? REDISMODULE_OK : REDISMODULE_ERR;
}

/* ---- what is read: the numbers of a scan, one a load -------------------------------------------------------------- */

enum { FAILS = 100, SLEEPS = 101, LARGE = 102, MANY = 50 };
#define MIB ((uint64_t)1 << 20)

typedef struct numbers {
    unsigned scan, columns, at;
} numbers;

static gears_stage *stage;

static void *open_numbers(void *context, unsigned scan, const uint32_t *columns, size_t count) {
    numbers *n = calloc(1, sizeof *n);
    CHECK(context == &stage);
    n->scan = scan;
    for (size_t i = 0; i < count; i++) n->columns = n->columns * 10 + columns[i];
    return n;
}

static void fill(void *scan, gears_load *load) {
    numbers *n = scan;
    if (n->scan == FAILS) gears_stage_fail(stage, "GEARSMISFIT in the child"), load->failed = true;
    if (n->scan == SLEEPS) sleep(60);
    if (n->scan == LARGE) memset((char *)load + gears_load_room(load, 9 * MIB, false), 1, 9 * MIB);
    load->seen = n->scan * 1000 + n->at++;
    load->skipped = n->columns;
    load->last = n->at == MANY || n->scan == LARGE;
}

static void close_numbers(void *scan) { free(scan); }

static const gears_snapshot_reader reader = {open_numbers, fill, close_numbers, &stage};

/* ---- stages ------------------------------------------------------------------------------------------------------- */

static gears_stage *new_stage(unsigned scans) {
    stage = calloc(1, sizeof *stage);
    stage->scan_binds = scans;
    atomic_store(&stage->references, 1);
    pthread_mutex_init(&stage->mutex, NULL);
    pthread_cond_init(&stage->changed, NULL);
    return stage;
}

/* Whether the stage has failed so; it has not, from then on. */
static bool said(const char *error) {
    bool same = stage->error != NULL && strcmp(stage->error, error) == 0;
    if (!same) printf("said: %s\n", stage->error ? stage->error : "nothing");
    free(stage->error);
    stage->error = NULL;
    return same;
}

static const char *take(bool *passes) { return gears_snapshot_take(stage, NULL, &reader, passes); }

/* A stage with a snapshot, as soon as there may be one. */
static void begin(unsigned scans) {
    bool passes;
    const char *problem;
    new_stage(scans);
    gears_snapshot_tick();
    while ((problem = take(&passes)) != NULL && passes) usleep(1000);
    CHECK(problem == NULL && stage->snapshot != NULL);
}

static void end(void) {
    int before = reaped;
    pid_t pid = stage->snapshot->pid;
    gears_snapshot_end(stage, NULL);
    CHECK(stage->snapshot == NULL && reaped == before + 1 && held == 0);
    CHECK(kill(pid, 0) != 0 && errno == ESRCH);
    gears_stage_release(stage);
}

static gears_channel *order(unsigned scan, bool last) {
    return gears_snapshot_order(stage, scan, (uint32_t[]){1, 2, 3}, 3, last);
}

static uint64_t next(gears_channel *channel) {
    gears_load *load = gears_snapshot_await(stage, channel);
    CHECK(load != NULL);
    if (load == NULL) return 0;
    uint64_t number = load->seen;
    CHECK(load->skipped == 123 && load->last == (number % 1000 == MANY - 1));
    gears_snapshot_took(stage, channel);
    return number;
}

/* ---- who may have one --------------------------------------------------------------------------------------------- */

static void expect(const char *problem, bool may_pass) {
    bool passes = !may_pass;
    const char *found = take(&passes);
    if (found == NULL || strcmp(found, problem) != 0) printf("found: %s\n", found ? found : "nothing"), failed = 1;
    CHECK(passes == may_pass && stage->snapshot == NULL);
}

static void none_is_taken_while_another_child_is_wanted(void) {
    gears_slots slots = {.by_slot = true};
    new_stage(1);
    /* The server's cron has not run yet: so a child that it wants had no chance. */
    expect("the last snapshot was a moment ago, and they may take a fifth of the time", true);
    gears_snapshot_tick();
    flags = REDISMODULE_CTX_FLAGS_ACTIVE_CHILD;
    expect("the server is saving, rewriting its append-only file, or sending its data to another", false);
    flags = REDISMODULE_CTX_FLAGS_REPLICA_IS_TRANSFERRING;
    expect("the server gets its data from its primary", false);
    flags = 0;
    stage->slots = &slots;
    expect("slots move, or moved a moment ago", false);
    stage->slots = NULL;
    section_told = "persistence", field_told = "aof_rewrite_scheduled", value_told = "1";
    expect("a rewrite of the append-only file is due", false);
    section_told = "replication", field_told = "slave0", value_told = "ip=1,port=2,state=wait_bgsave,lag=0";
    expect("a replica waits for the server's data", false);
    value_told = "ip=1,port=2,state=online,lag=0";
    no_forks = true;
    expect("the server cannot fork: Resource temporarily unavailable", false);
    no_forks = false;
    gears_stage_release(stage);
}

static void a_server_has_one_at_a_time_and_rests_after_it(void) {
    begin(1);
    gears_stage *first = stage;
    new_stage(1);
    expect("another query has the server's snapshot", true);
    gears_stage_release(stage);
    stage = first;
    usleep(50000); /* four times this */
    end();
    new_stage(1);
    gears_snapshot_tick();
    expect("the last snapshot was a moment ago, and they may take a fifth of the time", true);
    gears_stage_release(stage);
    begin(1);
    end();
}

/* ---- orders and loads --------------------------------------------------------------------------------------------- */

static void loads_come_in_order_and_three_ahead_at_most(void) {
    begin(1);
    gears_channel *channel = order(7, true);
    CHECK(channel != NULL);
    while (atomic_load(&channel->filled) < LOADS) usleep(1000);
    usleep(20000);
    CHECK(atomic_load(&channel->filled) == LOADS);
    for (uint64_t i = 0; i < MANY; i++) CHECK(next(channel) == 7000 + i);
    gears_snapshot_drop(stage, channel);
    siginfo_t told;
    CHECK(waitid(P_PID, (id_t)stage->snapshot->pid, &told, WEXITED | WNOWAIT) ==
          0); /* by itself: no order will follow */
    CHECK(told.si_code == CLD_EXITED && told.si_status == 0);
    end();
}

static void scans_side_by_side_do_not_mix(void) {
    begin(3);
    gears_channel *channels[3];
    for (unsigned i = 0; i < 3; i++) channels[i] = order(i + 1, i == 2);
    for (uint64_t i = 0; i < MANY; i++)
        for (unsigned c = 0; c < 3; c++) CHECK(next(channels[c]) == (c + 1) * 1000 + i);
    end();
}

/* LIMIT, or an error: what was ordered is not wanted any more. */
static void a_channel_that_was_dropped_serves_again_from_the_beginning(void) {
    begin(1);
    for (unsigned scan = 1; scan < 4; scan++) {
        gears_channel *channel = order(scan, scan == 3);
        for (uint64_t i = 0; i < scan; i++) CHECK(next(channel) == scan * 1000 + i);
        gears_snapshot_drop(stage, channel);
    }
    end();
}

static void more_orders_than_channels_are_refused(void) {
    static const uint32_t columns[COLUMNS + 1];
    static const char *const too_many = "GEARSLIMIT the query reads too many tables at once for a snapshot";
    begin(20);
    CHECK(gears_snapshot_order(stage, 1, columns, COLUMNS + 1, false) == NULL && said(too_many));
    for (unsigned i = 0; i < CHANNELS; i++) CHECK(order(i, false) != NULL);
    CHECK(order(9, true) == NULL && said(too_many));
    end();
}

static void pages_of_a_large_load_are_given_back(void) {
    begin(1);
    gears_channel *channel = order(LARGE, true);
    gears_load *load = gears_snapshot_await(stage, channel);
    const char *bytes = (const char *)load;
    CHECK(load->used > 9 * MIB && bytes[8 * MIB] == 1);
    gears_snapshot_took(stage, channel);
    CHECK(bytes[3 * MIB] == 1 && bytes[8 * MIB] == 0);
    end();
}

/* ---- how it ends -------------------------------------------------------------------------------------------------- */

static void what_fails_in_the_child_fails_the_stage(void) {
    begin(1);
    gears_channel *channel = order(FAILS, true);
    gears_load *load = gears_snapshot_await(stage, channel);
    CHECK(load != NULL && load->failed);
    gears_snapshot_fail(stage);
    CHECK(said("GEARSMISFIT in the child"));
    end();
}

static void a_cancelled_stage_waits_for_nothing(void) {
    begin(1);
    gears_channel *channel = order(1, false);
    while (atomic_load(&channel->filled) == 0) usleep(1000);
    atomic_store(&stage->snapshot->board->stop, 1); /* so that no further load comes */
    for (int i = 0; i < LOADS; i++) atomic_store(&channel->taken, atomic_load(&channel->filled));
    stage->cancelled = true;
    stage->cancel_reason = "somebody said so";
    CHECK(gears_snapshot_await(stage, channel) == NULL && said("GEARSCANCELLED somebody said so"));
    end();
}

static void a_snapshot_that_grows_too_old_ends(void) {
    gears_snapshot_age_ms = 30;
    begin(1);
    gears_snapshot_age_ms = 60000;
    gears_channel *channel = order(1, false);
    while (channel != NULL && gears_snapshot_await(stage, channel) != NULL)
        usleep(1000), gears_snapshot_took(stage, channel);
    CHECK(said("GEARSLIMIT the snapshot grew too old: the module's argument SNAPSHOT_AGE_MS sets the limit"));
    end();
}

static void a_child_that_dies_ends_the_stage(void) {
    begin(1);
    gears_channel *channel = order(SLEEPS, true);
    pid_t pid = stage->snapshot->pid;
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid); /* the server's cron, which then calls */
    done(0, SIGKILL, NULL);
    CHECK(gears_snapshot_await(stage, channel) == NULL);
    CHECK(said("GEARSSNAPSHOT the process that read the snapshot died"));
    gears_snapshot_end(stage, NULL);
    gears_stage_release(stage);
}

static void a_child_that_does_not_end_is_killed(void) {
    begin(1);
    CHECK(order(SLEEPS, true) != NULL);
    end();
}

int main(void) {
    fake_server();
    RedisModule_GetContextFlags = context_flags;
    RedisModule_ThreadSafeContextTryLock = try_lock;
    RedisModule_ThreadSafeContextUnlock = unlock;
    RedisModule_GetServerInfo = info;
    RedisModule_FreeServerInfo = free_info;
    RedisModule_ServerInfoGetFieldC = field_of;
    RedisModule_Fork = fork_it;
    RedisModule_SendChildHeartbeat = heartbeat;
    RedisModule_ExitFromChild = exit_child;
    RedisModule_KillForkChild = reap;
    none_is_taken_while_another_child_is_wanted();
    a_server_has_one_at_a_time_and_rests_after_it();
    loads_come_in_order_and_three_ahead_at_most();
    scans_side_by_side_do_not_mix();
    a_channel_that_was_dropped_serves_again_from_the_beginning();
    more_orders_than_channels_are_refused();
    pages_of_a_large_load_are_given_back();
    what_fails_in_the_child_fails_the_stage();
    a_cancelled_stage_waits_for_nothing();
    a_snapshot_that_grows_too_old_ends();
    a_child_that_dies_ends_the_stage();
    a_child_that_does_not_end_is_killed();
    return failed;
}
