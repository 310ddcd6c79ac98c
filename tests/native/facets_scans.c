/* For test_facets.py: a scan's turns (scan_turn.c), all keys or slot by slot (scan_slots.c), or by a snapshot's child
 * (scan_snapshot.c): which keys are rows, each once, and what ends the stage. On a server that is none (tests/fuzz), with keys
 * of ours. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "facets.h"
#include "fake_keys.h"
#include "lock.h"
#include "scan.h"
#include "scan_parts.h"
#include "shrink.h"

enum { FOR_EVER_US = 1000000000, CAPACITY = 64, SOME = 40, MANY = 1000 };

/* ---- a server ----------------------------------------------------------------------------------------------------- */

static int flags, held, users;
static bool user_is_gone, may_not_execute;
static const char *rules = "on ~* +@all ";
static const char *forbidden = ""; /* keys that begin so */
static const char *nodes = "";
static size_t calls;

static int context_flags(RedisModuleCtx *ctx) { return (void)ctx, flags; }
static int select_database(RedisModuleCtx *ctx, int number) { return (void)ctx, (void)number, REDISMODULE_OK; }
static int try_lock(RedisModuleCtx *ctx) { return (void)ctx, held++, REDISMODULE_OK; }
static void unlock(RedisModuleCtx *ctx) { (void)ctx, held--; }
static RedisModuleUser *user_of(RedisModuleString *name) {
    (void)name;
    return user_is_gone ? NULL : (users++, (RedisModuleUser *)(void *)&users);
}
static int free_user(RedisModuleUser *user) { return (void)user, users--, REDISMODULE_OK; }
static RedisModuleString *rules_of(RedisModuleUser *user) { return (void)user, text(rules); }
static int may_read(RedisModuleUser *user, RedisModuleString *name, int mode) {
    (void)user, (void)mode;
    bool is_forbidden = *forbidden && strncmp(RedisModule_StringPtrLen(name, NULL), forbidden, strlen(forbidden)) == 0;
    return is_forbidden ? REDISMODULE_ERR : REDISMODULE_OK;
}
/* EXECUTE, or the command that reads a key: asked for each key of a user with selectors only. */
static int may_run(RedisModuleUser *user, RedisModuleString **words, int count) {
    if (strcmp(RedisModule_StringPtrLen(words[0], NULL), "HGETALL") != 0)
        return may_not_execute ? REDISMODULE_ERR : REDISMODULE_OK;
    CHECK(count == 2 && strchr(rules, '(') != NULL);
    return may_read(user, words[1], 0);
}

/* CLUSTER NODES, COUNTKEYSINSLOT and GETKEYSINSLOT. */
struct RedisModuleCallReply {
    int type;
    const char *bytes;
    long long number;
    size_t count;
    RedisModuleCallReply *elements;
};

static size_t count_slot(unsigned slot, RedisModuleCallReply *elements) {
    size_t count = 0;
    for (size_t i = 0; i < key_count; i++) {
        size_t length;
        const char *name = RedisModule_StringPtrLen(keys[i]->name, &length);
        if (gears_slot_of(name, length) != slot) continue;
        if (elements != NULL) elements[count] = (RedisModuleCallReply){.bytes = strdup(name)};
        count++;
    }
    return count;
}

static RedisModuleCallReply *call(RedisModuleCtx *ctx, const char *command, const char *format, ...) {
    va_list words;
    RedisModuleCallReply *reply = calloc(1, sizeof *reply);
    (void)ctx, calls++;
    CHECK(strcmp(command, "CLUSTER") == 0 && held == 1);
    va_start(words, format);
    const char *what = va_arg(words, const char *);
    *reply = (RedisModuleCallReply){.type = REDISMODULE_REPLY_STRING, .bytes = nodes};
    if (strcmp(what, "COUNTKEYSINSLOT") == 0)
        *reply = (RedisModuleCallReply){REDISMODULE_REPLY_INTEGER, NULL,
                                        (long long)count_slot((unsigned)va_arg(words, long long), NULL), 0, NULL};
    if (strcmp(what, "GETKEYSINSLOT") == 0) {
        *reply = (RedisModuleCallReply){.type = REDISMODULE_REPLY_ARRAY, .elements = calloc(MOST_KEYS, sizeof *reply)};
        reply->count = count_slot((unsigned)va_arg(words, long long), reply->elements);
    }
    va_end(words);
    return reply;
}

static int reply_type(RedisModuleCallReply *reply) { return reply->type; }
static const char *reply_bytes(RedisModuleCallReply *reply, size_t *length) {
    return *length = strlen(reply->bytes), reply->bytes;
}
static long long reply_integer(RedisModuleCallReply *reply) { return reply->number; }
static size_t reply_length(RedisModuleCallReply *reply) { return reply->count; }
static RedisModuleCallReply *reply_element(RedisModuleCallReply *reply, size_t i) { return &reply->elements[i]; }
static void free_reply(RedisModuleCallReply *reply) {
    for (size_t i = 0; i < reply->count; i++) free((char *)reply->elements[i].bytes);
    free(reply->elements);
    free(reply);
}

/* ---- a scan of which the keys are the rows ------------------------------------------------------------------------ */

static gears_stage stage;
static gears_column columns[2];
static gears_scan_spec spec;
static scan_state *s;
static unsigned seen[MANY]; /* how often each key was a row */
static size_t rows;

static void begin(void) {
    columns[0] = (gears_column){.type = {.kind = GEARS_VARCHAR}, .source = GEARS_SOURCE_KEY};
    spec = (gears_scan_spec){.glob = gears_pattern_compile("key:*", 5), .column_count = 1, .columns = columns};
    stage.user = (gears_bytes){"me", 2};
    stage.id = "q.1";
    stage.scans = &spec, stage.scan_count = 1;
    s = calloc(1, sizeof *s);
    s->stage = &stage, s->spec = &spec, s->capacity = CAPACITY;
    s->cursor = RedisModule_ScanCursorCreate();
    s->targets = calloc(2, sizeof *s->targets);
    gears_scan_set_target(s, &s->targets[s->target_count++], 0);
    memset(seen, 0, sizeof seen);
    rows = 0;
    if (stage.slots != NULL) stage.slots->executions = stage.slots->open_scans = 1;
}

static void end(void) {
    gears_scan_free(s);
    remove_keys();
    free(stage.error);
    stage = (gears_stage){0};
    gears_lock_slice_us = FOR_EVER_US;
    scan_step = 1;
    scans_repeat = false;
    CHECK(fake_strings() == 0 && held == 0 && users == 0);
}

static void add_keys(int count) {
    for (int i = 0; i < count; i++) {
        char name[24];
        snprintf(name, sizeof name, "key:%d", i);
        add_key(name, REDISMODULE_KEYTYPE_HASH);
    }
}

static void note_page(const char *data, size_t count) {
    for (size_t row = 0; row < count; row++) {
        const duckdb_string_t *value = &((const duckdb_string_t *)(const void *)data)[row];
        int number = -1;
        CHECK(value->inlined.length <= 12 && sscanf(value->inlined.bytes, "key:%d", &number) == 1 && number >= 0);
        if (number >= 0 && number < MANY) seen[number]++;
    }
    rows += count;
}

/* One chunk. False: the stage has failed, or there are no more. */
static bool read_chunk(void) {
    if (!gears_page_open(s)) return false;
    while (s->rows == 0 && !gears_scan_is_done(s))
        if (!gears_scan_take_turn(s)) return false;
    note_page(s->targets[0].data, s->rows);
    return s->rows > 0;
}

static void read_all(void) {
    while (read_chunk()) continue;
}

static bool each_once(int first, int last) {
    for (int i = 0; i < MANY; i++)
        if (seen[i] != (i >= first && i < last)) return false;
    return true;
}

static bool said(const char *expected) {
    bool same = stage.error != NULL && strcmp(stage.error, expected) == 0;
    if (!same) printf("said: %s\n", stage.error ? stage.error : "nothing");
    return same;
}

/* ---- turns -------------------------------------------------------------------------------------------------------- */

/* RM_Scan cannot stop in a bucket: what is beyond the chunk is held, and may be gone when its turn comes. */
static void each_key_is_a_row_once_however_large_buckets_are(void) {
    static const size_t steps[] = {1, 10, CAPACITY, 700, MANY};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (int slice = 0; slice < 2; slice++) {
            add_keys(MANY);
            begin();
            scan_step = steps[i];
            gears_lock_slice_us = slice ? FOR_EVER_US : 20; /* some keys a turn */
            read_all();
            CHECK(stage.error == NULL && rows == MANY && each_once(0, MANY));
            CHECK(stage.keys_seen == MANY && stage.keys_total == MANY && s->held_count == 0);
            end();
        }
    add_keys(MANY);
    begin();
    scan_step = MANY;
    CHECK(read_chunk() && s->held_count == MANY - CAPACITY);
    remove_key(keys[MANY - 1]); /* the next that would be read */
    gears_scan_free(s);
    s = NULL;
    begin(); /* what was held is freed by an end in its midst */
    end();
}

static void a_key_that_is_held_may_be_gone(void) {
    add_keys(100);
    begin();
    scan_step = 100;
    CHECK(read_chunk() && rows == CAPACITY);
    remove_key(keys[99]), remove_key(keys[70]);
    read_all();
    CHECK(rows == 98 && seen[99] == 0 && seen[70] == 0 && stage.error == NULL);
    end();
}

static void what_is_no_row_is_passed_over(void) {
    add_keys(10);
    keys[1]->expires = 1; /* RM_Scan hands it over, dead as it is */
    keys[2]->expires = INT64_MAX;
    keys[3]->type = REDISMODULE_KEYTYPE_LIST;
    add_key("other:1", REDISMODULE_KEYTYPE_HASH), add_key("other:2", REDISMODULE_KEYTYPE_SET);
    begin();
    read_all();
    CHECK(rows == 8 && seen[1] == 0 && seen[3] == 0 && stage.keys_skipped == 1 && stage.keys_seen == 12);
    end();
}

static void only_keys_that_the_user_may_read_are_rows(void) {
    static const char *const rights[] = {"on ~* +@all ", "on %R~* -@all ", "on ~key:* ", "on ~key:* (~x ~* +get) "};
    for (int i = 0; i < 4; i++)
        for (int withheld = 0; withheld < 2; withheld++) {
            rules = rights[i], forbidden = "key:7";
            add_keys(100);
            begin();
            stage.withhold = withheld;
            read_all();
            if (i < 2) CHECK(rows == 100 && stage.keys_withheld == 0); /* not looked at key by key */
            if (i >= 2 && withheld) CHECK(rows == 89 && stage.keys_withheld == 11);
            if (i >= 2 && !withheld)
                CHECK(said("NOPERM the user has no right to read all of the keys that the table's pattern matches"));
            end();
        }
    rules = rights[0], forbidden = "";
}

static void expect_refusal(const char *expected) {
    add_keys(100);
    begin();
    stage.on_replica = strstr(expected, "no replica") != NULL;
    CHECK(!read_chunk() && s->failed && rows == 0 && said(expected));
    end();
    flags = 0;
    user_is_gone = may_not_execute = false;
}

static void a_turn_that_may_not_be_ends_the_stage(void) {
    static const char *const loading =
        "GEARSLOADING the server is loading its data, or is a replica without its primary";
    static const int not_ready[] = {REDISMODULE_CTX_FLAGS_LOADING, REDISMODULE_CTX_FLAGS_ASYNC_LOADING,
                                    REDISMODULE_CTX_FLAGS_REPLICA_IS_STALE,
                                    REDISMODULE_CTX_FLAGS_REPLICA_IS_CONNECTING};
    for (int i = 0; i < 4; i++) flags = not_ready[i], expect_refusal(loading);
    user_is_gone = true;
    expect_refusal("NOPERM the user was deleted");
    may_not_execute = true;
    expect_refusal(GEARS_NO_RIGHT);
    expect_refusal(GEARS_PRIMARY);
    add_keys(200); /* between two turns, too */
    begin();
    CHECK(read_chunk());
    user_is_gone = true;
    CHECK(!read_chunk() && rows == CAPACITY && said("NOPERM the user was deleted"));
    user_is_gone = false;
    end();
}

/* A table that is to shrink may give keys again. Then all names are known; if that comes too late, the stage ends. */
static void keys_that_come_twice_count_once_where_a_table_shrinks(void) {
    gears_shrink_may(0, 10 * MANY);
    add_keys(MANY);
    begin();
    scan_step = 10, scans_repeat = true;
    read_all();
    CHECK(stage.error == NULL && each_once(0, MANY) && s->known_bytes > MANY * 5);
    CHECK(stage.held_bytes == s->known_bytes);
    gears_scan_free(s);
    CHECK(stage.held_bytes == 0);
    begin();
    stage.limits.memory_bytes = 1000;
    read_all();
    CHECK(said("GEARSMEMORY more than 1000 bytes of names would be remembered on this shard"));
    end();
    add_keys(MANY);
    begin();
    stage.database = 1; /* where the table is as large as ever */
    CHECK(read_chunk() && !s->knows);
    while (key_count > MANY / 4) remove_key(keys[0]);
    CHECK(!read_chunk() && said("GEARSSHRINK so many keys went during the scan that others may have come twice"));
    end();
}

/* ---- slot by slot ------------------------------------------------------------------------------------------------- */

#define ALL_MINE "a 1:2@3 myself,master - 0 0 4 connected 0-16383"
#define ONE_MOVES ALL_MINE " [70->-b]"

static gears_slots slots;

static void begin_slots(const char *told) {
    nodes = told;
    slots = (gears_slots){.opened = false};
    gears_slot_set_add(&slots.wanted, 0, 16383);
    stage.slots = &slots;
    begin();
}

static int in_slot(unsigned slot) {
    int count = 0;
    for (size_t i = 0; i < key_count; i++) {
        size_t length;
        const char *name = RedisModule_StringPtrLen(keys[i]->name, &length);
        count += gears_slot_of(name, length) == slot;
    }
    return count;
}

static unsigned slot_of(size_t i) {
    size_t length;
    const char *name = RedisModule_StringPtrLen(keys[i]->name, &length);
    return gears_slot_of(name, length);
}

static void slots_at_rest_are_read_and_others_left(void) {
    char told[200];
    add_keys(SOME);
    unsigned moves = slot_of(0);
    snprintf(told, sizeof told, ALL_MINE " [%u->-b]", moves);
    begin_slots(told);
    read_all();
    CHECK(slots.by_slot && stage.error == NULL && (int)rows == SOME - in_slot(moves) && seen[0] == 0 && seen[1] == 1);
    CHECK(gears_slot_set_has(&slots.left, moves));
    for (unsigned slot = 0; slot < GEARS_SLOT_COUNT; slot++)
        if (slot != moves) CHECK(!gears_slot_set_has(&slots.left, slot));
    CHECK(slots.open_scans == 0);
    end();
}

/* All keys of one hash tag: their slot takes many turns, and has to stay as it was when it was listed. */
static void a_slot_that_moves_while_it_is_read_ends_the_stage(void) {
    static const char *const of_another_epoch = "a 1:2@3 myself,master - 0 0 5 connected 0-16383 [70->-b]";
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 200; k++) {
            char name[24];
            snprintf(name, sizeof name, "key:%d{u}", k);
            add_key(name, REDISMODULE_KEYTYPE_HASH);
        }
        begin_slots(ONE_MOVES);
        slots.wanted = (gears_slot_set){{0}};
        gears_slot_set_add(&slots.wanted, slot_of(0), slot_of(0));
        CHECK(read_chunk() && slots.by_slot && rows == CAPACITY);
        char told[200], moved[32];
        snprintf(told, sizeof told, "a 1:2@3 myself,master - 0 0 4 connected 0-%u %u-16383 [70->-b]", slot_of(0) - 1,
                 slot_of(0) + 1);
        snprintf(moved, sizeof moved, "GEARSMOVED %u", slot_of(0));
        if (i < 2) nodes = i ? told : of_another_epoch;
        while (read_chunk()) continue;
        CHECK(i < 2 ? rows == CAPACITY && said(moved) : rows == 200 && each_once(0, 200) && stage.error == NULL);
        end();
    }
}

static void a_replica_of_the_slots_is_not_read(void) {
    add_keys(10);
    begin_slots("a 1:2@3 myself,slave b 0 0 4 connected");
    CHECK(!read_chunk() && said(GEARS_REPLICA));
    end();
    add_keys(10);
    begin_slots(ALL_MINE);
    flags = REDISMODULE_CTX_FLAGS_SLAVE;
    CHECK(!read_chunk() && said(GEARS_REPLICA));
    flags = 0;
    end();
}

/* ---- by a snapshot's child ------------------------------------------------------------------------------------------ */

static int fork_it(RedisModuleForkDoneHandler done, void *data) { return (void)done, (void)data, fork(); }
static int exit_child(int code) { _exit(code); }
static int reap(int pid) { return waitpid(pid, NULL, 0) == pid ? REDISMODULE_OK : REDISMODULE_ERR; }
static void heartbeat(double progress) { (void)progress; }
static RedisModuleServerInfoData *no_info(RedisModuleCtx *ctx, const char *section) {
    return (void)ctx, (void)section, NULL;
}
static void forget_info(RedisModuleCtx *ctx, RedisModuleServerInfoData *info) { (void)ctx, (void)info; }
static const char *no_field(RedisModuleServerInfoData *info, const char *field) {
    return (void)info, (void)field, NULL;
}

static duckdb_string_t chunk[CAPACITY];

static void *chunk_of(duckdb_vector vector) { return (void)vector, chunk; }

static void begin_snapshot(void) {
    begin();
    stage.mode = GEARS_MODE_SNAPSHOT;
    stage.sql = "SELECT";
    stage.scan_binds = 1;
    gears_snapshot_tick();
    CHECK(gears_scan_choose_mode(s) && stage.mode_chosen);
}

static void read_snapshot(void) {
    while (s->rows = 0, gears_scan_take_page(s) && s->rows > 0) note_page((const char *)chunk, s->rows);
    gears_snapshot_end(&stage, NULL);
}

/* The server goes on, and may lose all of it. */
static void a_child_reads_what_was_there_at_the_fork(void) {
    static const size_t steps[] = {1, 10, 700};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        add_keys(MANY);
        keys[0]->expires = 1, keys[1]->type = REDISMODULE_KEYTYPE_SET;
        scan_step = steps[i]; /* a bucket larger than a page goes on in the next */
        begin_snapshot();
        CHECK(stage.snapshot != NULL && *stage.fallback == 0);
        remove_keys();
        read_snapshot();
        CHECK(stage.error == NULL && rows == MANY - 2 && each_once(2, MANY));
        CHECK(stage.keys_seen == MANY && stage.keys_skipped == 1);
        end();
    }
}

static void what_fails_in_the_child_is_said_by_the_stage(void) {
    add_keys(MANY);
    rules = "on ~key:* ", forbidden = "key:77";
    begin_snapshot();
    read_snapshot();
    CHECK(said("NOPERM the user has no right to read all of the keys that the table's pattern matches"));
    end();
    rules = "on ~* ", forbidden = "";
}

static void without_a_snapshot_it_is_said_why(void) {
    add_keys(1);
    flags = REDISMODULE_CTX_FLAGS_ACTIVE_CHILD;
    begin_snapshot();
    CHECK(stage.snapshot == NULL && strncmp(stage.fallback, "the server is saving", 20) == 0);
    read_all();
    CHECK(rows == 1);
    flags = 0;
    end();
    begin();
    spec.key_type = GEARS_KEYS_LIST;
    CHECK(gears_scan_choose_mode(s) && strcmp(stage.fallback, "keys that are no hashes are read in slices") == 0);
    end();
    begin();
    user_is_gone = true;
    CHECK(!gears_scan_choose_mode(s) && said("NOPERM the user was deleted"));
    user_is_gone = false;
    end();
}

int main(void) {
    fake_server();
    bind_keys();
    RedisModule_GetContextFlags = context_flags;
    RedisModule_SelectDb = select_database;
    RedisModule_ThreadSafeContextTryLock = try_lock;
    RedisModule_ThreadSafeContextUnlock = unlock;
    RedisModule_GetModuleUserFromUserName = user_of;
    RedisModule_FreeModuleUser = free_user;
    RedisModule_ACLCheckCommandPermissions = may_run;
    RedisModule_GetModuleUserACLString = rules_of;
    RedisModule_ACLCheckKeyPermissions = may_read;
    RedisModule_Call = call;
    RedisModule_CallReplyType = reply_type;
    RedisModule_CallReplyStringPtr = reply_bytes;
    RedisModule_CallReplyInteger = reply_integer;
    RedisModule_CallReplyLength = reply_length;
    RedisModule_CallReplyArrayElement = reply_element;
    RedisModule_FreeCallReply = free_reply;
    RedisModule_Fork = fork_it;
    RedisModule_ExitFromChild = exit_child;
    RedisModule_KillForkChild = reap;
    RedisModule_SendChildHeartbeat = heartbeat;
    RedisModule_GetServerInfo = no_info;
    RedisModule_FreeServerInfo = forget_info;
    RedisModule_ServerInfoGetFieldC = no_field;
    duckdb_vector_get_data = chunk_of;
    each_key_is_a_row_once_however_large_buckets_are();
    a_key_that_is_held_may_be_gone();
    what_is_no_row_is_passed_over();
    only_keys_that_the_user_may_read_are_rows();
    a_turn_that_may_not_be_ends_the_stage();
    keys_that_come_twice_count_once_where_a_table_shrinks();
    slots_at_rest_are_read_and_others_left();
    a_slot_that_moves_while_it_is_read_ends_the_stage();
    a_replica_of_the_slots_is_not_read();
    a_child_reads_what_was_there_at_the_fork();
    what_fails_in_the_child_is_said_by_the_stage();
    without_a_snapshot_it_is_said_why();
    return failed;
}
