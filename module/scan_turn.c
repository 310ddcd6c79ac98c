/* A scan's turns at the server lock: which keys each reads, all or slot by slot; see scan_parts.h. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lock.h"
#include "rights.h"
#include "scan.h"
#include "scan_parts.h"
#include "shrink.h"
#include "stage_limits.h"

/* ---- keys beyond the chunk ------------------------------------------------------------------------------------ */

static void hold_key(scan_state *s, RedisModuleString *name) {
    if (s->held_count == s->held_capacity) {
        size_t capacity = s->held_capacity ? s->held_capacity * 2 : 64;
        RedisModuleString **grown = realloc(s->held, capacity * sizeof *grown);
        if (grown == NULL) {
            gears_stage_fail(s->stage, "GEARSLIMIT out of memory");
            s->failed = true;
            return;
        }
        s->held = grown;
        s->held_capacity = capacity;
    }
    s->held[s->held_count++] = RedisModule_HoldString(NULL, name);
}

static bool is_known(scan_state *s, RedisModuleString *name) {
    gears_name_added added = gears_names_add(gears_names_part(s->known, name), name);
    if (added == GEARS_NAME_NO_MEMORY) {
        gears_stage_fail(s->stage, "GEARSLIMIT out of memory");
        s->failed = true;
    }
    return added != GEARS_NAME_NEW;
}

/* Keys with elements are read when RM_Scan is not under way: a reader may call the server. */
static bool has_elements(scan_state *s, RedisModuleString *name, RedisModuleKey *key) {
    size_t length;
    const char *bytes = RedisModule_StringPtrLen(name, &length);
    return RedisModule_KeyType(key) == gears_read_keytype(s->spec->key_type) && gears_scan_matches(s, bytes, length);
}

/* RM_Scan's callback. It cannot be told to stop within a bucket, so keys beyond the chunk are held. */
static void on_key(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key, void *data) {
    scan_state *s = data;
    (void)ctx;
    if (s->sieves && !gears_scan_is_in_large_slot(s, name)) return;
    s->seen++;
    if (s->failed || (s->repeat.looking && gears_repeat_has(&s->repeat, name))) return;
    if (s->knows && is_known(s, name)) return;
    if (gears_scan_is_full(s) || key == NULL || (s->by_element && has_elements(s, name, key)))
        hold_key(s, name);
    else
        gears_scan_read_key(s, name, key);
}

static void read_held(scan_state *s) {
    while (s->held_count > 0 && !gears_scan_is_full(s) && !s->failed && !s->reader.open) {
        if (s->by_element && !gears_lock_may_stay()) return;
        gears_scan_read_named(s, s->held[--s->held_count]);
    }
}

/* ---- turns at the lock ---------------------------------------------------------------------------------------- */

/* Whether there is the one right that makes a look at each key needless: '~*' or '%R~*' for all keys. */
static bool reads_all(const char *rules) {
    for (const char *at = rules; (at = strstr(at, "~* ")) != NULL; at++) {
        const char *start = at - rules >= 2 && memcmp(at - 2, "%R", 2) == 0 ? at - 2 : at;
        if (start == rules || start[-1] == ' ') return true;
    }
    return false;
}

/* A selector's rules stand in parentheses, and hold for its own commands only. */
static void look_at_rules(scan_state *s) {
    s->check_keys = s->has_selectors = true;
    if (RedisModule_GetModuleUserACLString == NULL) return;
    RedisModuleString *rules = RedisModule_GetModuleUserACLString(s->user);
    if (rules == NULL) return;
    const char *text = RedisModule_StringPtrLen(rules, NULL);
    s->has_selectors = strchr(text, '(') != NULL;
    s->check_keys = s->has_selectors || !reads_all(text);
    RedisModule_FreeString(NULL, rules);
}

static long long wall_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Users change while we wait for the lock: one that is gone, or may run no stage here any more, ends the stage; new key
 * patterns hold at once. NULL: the stage has failed. */
static RedisModuleUser *find_user(gears_stage *stage) {
    RedisModuleString *name = RedisModule_CreateString(NULL, stage->user.data, stage->user.length);
    RedisModuleUser *user = RedisModule_GetModuleUserFromUserName(name);
    RedisModule_FreeString(NULL, name);
    if (user == NULL) {
        gears_stage_fail(stage, "NOPERM the user was deleted");
    } else if (!gears_rights_may(user, stage->database, "GEARSQL.EXECUTE", stage->id)) {
        RedisModule_FreeModuleUser(user);
        user = NULL;
        gears_stage_fail(stage, GEARS_NO_RIGHT);
    }
    return user;
}

bool gears_scan_begin_turn(scan_state *s) {
    int flags = RedisModule_GetContextFlags(s->ctx);
    bool is_replica = flags & REDISMODULE_CTX_FLAGS_SLAVE;
    if ((s->stage->slots != NULL && is_replica) || (s->stage->on_replica && !is_replica)) {
        gears_stage_fail(s->stage, "%s", is_replica ? GEARS_REPLICA : GEARS_PRIMARY);
        return false;
    }
    if (flags & (REDISMODULE_CTX_FLAGS_LOADING | REDISMODULE_CTX_FLAGS_ASYNC_LOADING |
                 REDISMODULE_CTX_FLAGS_REPLICA_IS_STALE | REDISMODULE_CTX_FLAGS_REPLICA_IS_CONNECTING)) {
        gears_stage_fail(s->stage, "GEARSLOADING the server is loading its data, or is a replica without its primary");
        return false;
    }
    s->user = find_user(s->stage);
    if (s->user == NULL) return false;
    look_at_rules(s);
    RedisModule_SelectDb(s->ctx, s->stage->database);
    s->now_ms = wall_clock_ms();
    atomic_store_explicit(&s->stage->keys_total, RedisModule_DbSize(s->ctx), memory_order_relaxed);
    bool may_read = s->stage->slots == NULL || gears_scan_look_at_slots(s);
    if (!may_read) RedisModule_FreeModuleUser(s->user);
    return may_read;
}

/* RM_Scan until the chunk is full or the time is up, and then until a slot begins, unless that takes as long again. */
static void scan_keys(scan_state *s) {
    for (unsigned calls = 0; !s->failed && !s->exhausted; calls++) {
        bool looks = s->repeat.ending || calls % KEYS_PER_LOOK == 0;
        bool over = gears_scan_is_full(s) || s->reader.open || (looks && !gears_lock_may_stay());
        if (over && !s->repeats) return;
        if (over && !s->repeat.ending) gears_repeat_look(&s->repeat);
        if (s->repeat.ending && (s->repeat.complete || gears_lock_held() >= 2 * gears_lock_slice_us)) return;
        s->exhausted = !RedisModule_Scan(s->ctx, s->cursor, on_key, s);
        if (s->by_element) read_held(s);
    }
}

/* False: the table of all keys may have shrunk since the scan began. The next one will be ready for that. */
static bool trust_table(scan_state *s) {
    bool may_shrink = !s->repeats && !s->knows && gears_shrink_may(s->stage->database, RedisModule_DbSize(s->ctx));
    if (may_shrink && s->begun) {
        gears_stage_fail(s->stage, "GEARSSHRINK so many keys went during the scan that others may have come twice");
        s->failed = true;
        return false;
    }
    s->knows |= may_shrink;
    s->begun = true;
    return true;
}

static void run_turn(scan_state *s) {
    if (s->reader.open) gears_scan_read_open(s);
    if (s->reader.open || s->failed) return;
    if (s->stage->slots != NULL && s->stage->slots->by_slot && !gears_scan_list_slots(s)) return;
    s->repeats = (s->stage->slots != NULL || s->stage->only != NULL) && gears_repeat_applies() && !s->knows;
    if (s->repeats && !gears_repeat_begin(&s->repeat, s->ctx)) {
        gears_slots_distrust();
        gears_scan_fail_moved(s, s->repeat.slot);
        return;
    }
    if (!trust_table(s)) return;
    read_held(s);
    scan_keys(s);
    if (s->exhausted && s->held_count > 0) read_held(s);
    if (s->repeats) gears_repeat_end(&s->repeat, s->ctx);
}

void gears_scan_publish(scan_state *s, uint64_t locked) {
    atomic_fetch_add_explicit(&s->stage->locked_us, locked, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->stage->slices, locked > 0, memory_order_relaxed);
    if (locked > s->stage->longest_us) s->stage->longest_us = locked;
    atomic_fetch_add_explicit(&s->stage->keys_seen, s->seen, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->stage->keys_skipped, s->skipped, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->stage->keys_withheld, s->withheld, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->stage->misfits, s->misfits, memory_order_relaxed);
    s->seen = s->skipped = s->withheld = s->misfits = 0;
}

static bool close_slots(gears_stage *stage, RedisModuleCtx *ctx) {
    char *error = gears_slots_close(stage->slots, ctx);
    if (error == NULL) return true;
    gears_stage_fail(stage, "%s", error);
    free(error);
    return false;
}

/* No key is left to read; elements may wait. */
bool gears_scan_is_done(const scan_state *s) { return s->exhausted && s->held_count == 0 && !s->reader.open; }

/* The last key was read in this very turn: what is true of the slots now was true of it. */
static void end_scan(scan_state *s) {
    gears_stage *stage = s->stage;
    if (stage->slots == NULL || s->failed || !gears_scan_is_done(s)) return;
    s->failed = !close_slots(stage, s->ctx);
    stage->slots->open_scans--;
}

bool gears_scan_close(gears_stage *stage, RedisModuleCtx *ctx) {
    if (stage->slots == NULL || stage->slots->open_scans == 0) return true;
    if (!gears_lock_enter(ctx, &stage->cancelled)) return false;
    bool stands = close_slots(stage, ctx);
    gears_lock_leave(ctx);
    return stands;
}

/* Once a turn, so that a key costs nothing: what a turn may be over by is what it can read. */
static bool count_known(scan_state *s) {
    size_t before = s->known_bytes;
    if (!s->knows && !s->reader.large && before == 0) return true;
    s->known_bytes = s->knows ? gears_names_memory(s->known) : 0;
    if (s->reader.large) s->known_bytes += gears_names_memory(s->reader.known);
    if (s->known_bytes >= before) return gears_limits_remembered(s->stage, s->known_bytes - before);
    gears_limits_forgotten(s->stage, before - s->known_bytes);
    return true;
}

/* False: the stage is cancelled or has failed. Takes: turn, server lock. */
bool gears_scan_take_turn(scan_state *s) {
    if (!gears_lock_enter(s->ctx, &s->stage->cancelled)) return false;
    if (gears_scan_begin_turn(s)) {
        gears_lock_begin_slice();
        run_turn(s);
        end_scan(s);
        RedisModule_FreeModuleUser(s->user);
    } else {
        s->failed = true;
    }
    uint64_t locked = gears_lock_held();
    gears_lock_leave(s->ctx);
    gears_scan_publish(s, locked);
    if (!count_known(s)) s->failed = true;
    gears_read_rest(&s->reader);
    return !s->failed;
}
