/* The keyspace scan as a DuckDB table function; see scan.h.
 *
 * One call fills one chunk in one turn at the server lock: RM_Scan hands over key after key, and each wanted field is
 * cast straight into DuckDB's vector. What DuckDB does with the chunk then is the pause in which clients run.
 *
 * Where the stage has a snapshot (snapshot.h), the same keys become the same rows in its child, in memory laid out like
 * DuckDB's vectors, and a call copies a page of them.
 *
 * The per-key path holds no allocation of ours: values up to 12 bytes live in the vector, longer ones go to the
 * vector's own heap. */
#include "scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "elements.h"
#include "lock.h"
#include "logical.h"
#include "read.h"
#include "repeat.h"
#include "shrink.h"
#include "snapshot.h"
#include "stage_limits.h"

/* The name of a scan's only column when a query reads none (count(*)): DuckDB knows no table without columns. */
#define NO_COLUMN "gears_none"

enum { MAX_PLACEHOLDERS = 256, MISFIT_SHOWN = 200, KEYS_PER_LOOK = 8 };

/* A column that DuckDB wants in this execution, and where its values go in the chunk at hand. */
typedef struct target {
    const gears_column *column; /* NULL: DuckDB asked for a row to count, its value is never looked at */
    idx_t position;             /* in the chunk */
    size_t width;               /* bytes of a value in the vector */
    duckdb_vector vector;
    char *data;
    uint64_t *validity; /* NULL until the chunk's first NULL */
    gears_load *load;   /* in a snapshot's child: what long strings are appended to; else NULL */
} target;

typedef struct scan_state {
    gears_stage *stage;
    const gears_scan_spec *spec;
    RedisModuleCtx *ctx;
    RedisModuleScanCursor *cursor;
    bool exhausted;
    size_t target_count, field_count; /* the targets that read fields, or parts of elements, come first */
    target *targets;

    /* Keys that RM_Scan handed over when the chunk was full already; read first in the next turn. */
    RedisModuleString **held;
    size_t held_count, held_capacity;

    /* Slot by slot (slots.h): the names of the slot at hand, and how far they were read. */
    RedisModuleCallReply *names;
    size_t names_at;
    unsigned next_slot;
    uint64_t listed_epoch;
    gears_slot_state slots_now;

    /* Keys may come twice: `repeat` knows which, where slots have tables of their own. Where all keys share one and it
     * may be about to shrink, all names are known. */
    bool repeats, begun, knows;
    gears_repeat repeat;
    gears_names known;

    /* Of keys that are no hashes (read.h): the one at hand, and elements of it for which the chunk had no room. */
    bool by_element;
    gears_read reader;
    gears_elements waiting;

    /* The turn at hand. */
    RedisModuleUser *user;
    bool check_keys, failed;
    long long now_ms; /* what has expired by then is gone */
    size_t rows, capacity;
    uint64_t seen, skipped, withheld, misfits; /* published when the turn ends: atomics cost too much for each key */
    gears_slice captures[MAX_PLACEHOLDERS];

    /* Of a snapshot: how the scan is ordered, and the load and page at hand, of the worker or of the child. */
    gears_channel *channel;
    gears_load *load;
    gears_page *page;
    bool ended;
} scan_state;

static _Thread_local gears_stage *thread_stage;
static _Thread_local RedisModuleCtx *thread_ctx;

void gears_scan_set_stage(gears_stage *stage, RedisModuleCtx *ctx) {
    thread_stage = stage;
    thread_ctx = ctx;
}

/* ---- values into vectors -------------------------------------------------------------------------------------- */

static void set_null(target *t, size_t row) {
    if (t->validity == NULL) {
        duckdb_vector_ensure_validity_writable(t->vector);
        t->validity = duckdb_vector_get_validity(t->vector);
    }
    t->validity[row / 64] &= ~((uint64_t)1 << (row % 64));
}

/* A row that on_error = 'skip' dropped may have left NULLs behind in its place. */
static void set_valid(target *t, size_t row) {
    if (t->validity != NULL) t->validity[row / 64] |= (uint64_t)1 << (row % 64);
}

/* In a snapshot's child, where a pointer is an offset from the load. */
static void append_string(target *t, size_t row, const char *bytes, size_t length) {
    uint64_t at = gears_load_room(t->load, length, false);
    duckdb_string_t *value = &((duckdb_string_t *)(void *)t->data)[row];
    if (at == 0 || length > UINT32_MAX) {
        t->load->failed = true;
        return;
    }
    memcpy((char *)t->load + at, bytes, length);
    value->pointer.length = (uint32_t)length;
    memcpy(value->pointer.prefix, bytes, sizeof value->pointer.prefix);
    value->pointer.ptr = (char *)(uintptr_t)at;
}

static void set_string(target *t, size_t row, const char *bytes, size_t length) {
    if (t->load != NULL && length > sizeof((duckdb_string_t *)0)->inlined.bytes) {
        append_string(t, row, bytes, length);
        return;
    }
    if (length > sizeof((duckdb_string_t *)0)->inlined.bytes) {
        duckdb_unsafe_vector_assign_string_element_len(t->vector, row, bytes, length);
        return;
    }
    duckdb_string_t value;
    memset(&value, 0, sizeof value);
    value.inlined.length = (uint32_t)length;
    memcpy(value.inlined.bytes, bytes, length);
    ((duckdb_string_t *)(void *)t->data)[row] = value;
}

static bool is_null_value(const gears_scan_spec *spec, const char *bytes, size_t length) {
    for (size_t i = 0; i < spec->null_count; i++)
        if (spec->nulls[i].length == length && memcmp(spec->nulls[i].data, bytes, length) == 0) return true;
    return false;
}

static void fail_misfit(scan_state *s, const char *column, const char *type, gears_slice key, const char *bytes,
                        size_t length) {
    char *shown_column = gears_escape(column, strlen(column), MISFIT_SHOWN, true);
    char *shown_type = gears_escape(type, strlen(type), MISFIT_SHOWN, true);
    char *shown_key = gears_escape(key.data, key.size, MISFIT_SHOWN, true);
    char *shown_value = gears_escape(bytes, length, MISFIT_SHOWN, true);
    if (shown_column && shown_type && shown_key && shown_value)
        gears_stage_fail(s->stage, "GEARSMISFIT column=%s type=%s key=%s value=%s", shown_column, shown_type, shown_key,
                         shown_value);
    free(shown_column), free(shown_type), free(shown_key), free(shown_value);
    s->failed = true;
}

/* Put one value in its place. False: the row is not to be kept (skipped, or the stage failed). */
static bool put(scan_state *s, target *t, gears_slice key, const char *bytes, size_t length) {
    if (s->spec->null_count && is_null_value(s->spec, bytes, length)) {
        set_null(t, s->rows);
        return true;
    }
    if (gears_cast_value(&t->column->type, bytes, length, t->data + s->rows * t->width)) {
        if (t->width == 0) set_string(t, s->rows, bytes, length);
        set_valid(t, s->rows);
        return true;
    }
    if (s->spec->on_error == GEARS_ON_ERROR_FAIL) {
        fail_misfit(s, t->column->name, t->column->type_name, key, bytes, length);
        return false;
    }
    s->misfits++;
    set_null(t, s->rows);
    return s->spec->on_error == GEARS_ON_ERROR_NULL;
}

static bool put_field(scan_state *s, target *t, gears_slice key, RedisModuleString *value) {
    size_t length;
    if (value == NULL) {
        set_null(t, s->rows);
        return true;
    }
    const char *bytes = RedisModule_StringPtrLen(value, &length);
    return put(s, t, key, bytes, length);
}

/* Of a field, or a part of an element; the others come from the key. */
static bool is_field(const gears_column *column) {
    return column != NULL && column->source != GEARS_SOURCE_KEY && column->source != GEARS_SOURCE_PLACEHOLDER;
}

/* An index beyond the columns is that of NO_COLUMN, or of a row's number. */
static void set_target(scan_state *s, target *t, uint64_t index) {
    t->column = index < s->spec->column_count ? &s->spec->columns[index] : NULL;
    t->width = t->column ? gears_cast_width(&t->column->type) : 0; /* 0: a string */
}

/* ---- keys into rows ------------------------------------------------------------------------------------------- */

/* Several fields a call save the look-up of the hash, not that of the field. */
static bool put_fields(scan_state *s, gears_slice name, RedisModuleKey *key) {
    bool keep = true;
    for (size_t i = 0; i < s->field_count && keep; i += 4) {
        RedisModuleString *v[4] = {NULL, NULL, NULL, NULL};
        size_t left = s->field_count - i;
        RedisModuleString *f[4];
        for (size_t j = 0; j < 4; j++) f[j] = j < left ? s->targets[i + j].column->field : NULL;
        RedisModule_HashGet(key, REDISMODULE_HASH_NONE, f[0], &v[0], f[1], &v[1], f[2], &v[2], f[3], &v[3], NULL);
        for (size_t j = 0; j < 4 && j < left; j++) {
            if (keep) keep = put_field(s, &s->targets[i + j], name, v[j]);
            if (v[j] != NULL) RedisModule_FreeString(NULL, v[j]);
        }
    }
    return keep;
}

/* What a row's columns have from its key. */
static bool put_name(scan_state *s, gears_slice name) {
    for (size_t i = s->field_count; i < s->target_count; i++) {
        target *t = &s->targets[i];
        if (t->column == NULL) continue;
        gears_slice part = name;
        if (t->column->source == GEARS_SOURCE_PLACEHOLDER) part = s->captures[t->column->placeholder];
        if (!put(s, t, name, part.data, part.size)) return false;
    }
    return true;
}

static bool put_row(scan_state *s, RedisModuleKey *key, gears_slice name) {
    if (s->field_count > 0 && !put_fields(s, name, key)) return false;
    return put_name(s, name);
}

static bool matches(scan_state *s, const char *bytes, size_t length) {
    if (s->spec->is_template) return gears_pattern_capture(&s->spec->key_template, bytes, length, s->captures);
    return gears_pattern_glob(&s->spec->glob, bytes, length);
}

/* ---- elements into rows (read.h) ------------------------------------------------------------------------------ */

static gears_slice key_at_hand(const scan_state *s) { return (gears_slice){s->reader.name, s->reader.name_length}; }

static bool put_element(scan_state *s, const gears_slice *values) {
    for (size_t i = 0; i < s->field_count; i++) {
        if (values[i].data == NULL)
            set_null(&s->targets[i], s->rows);
        else if (!put(s, &s->targets[i], key_at_hand(s), values[i].data, values[i].size))
            return false;
    }
    return put_name(s, key_at_hand(s));
}

static bool is_full(void *data) {
    const scan_state *s = data;
    return s->rows == s->capacity;
}

static bool on_element(void *data, const gears_slice *values) {
    scan_state *s = data;
    if (!is_full(s)) {
        if (put_element(s, values)) s->rows++;
    } else if (!gears_elements_push(&s->waiting, values, s->field_count)) {
        gears_stage_fail(s->stage, "GEARSLIMIT out of memory");
        s->failed = true;
    }
    return !s->failed;
}

/* A text that is no JSON object has none of the members. */
static bool on_no_object(void *data, gears_slice text) {
    scan_state *s = data;
    if (s->spec->on_error == GEARS_ON_ERROR_FAIL) {
        fail_misfit(s, s->targets[0].column->name, "member of a JSON object", key_at_hand(s), text.data, text.size);
        return false;
    }
    s->misfits++;
    if (s->spec->on_error == GEARS_ON_ERROR_SKIP) return true;
    for (size_t i = 0; i < s->field_count; i++) s->reader.values[i] = (gears_slice){NULL, 0};
    return on_element(s, s->reader.values);
}

/* The key's elements may outlive its name: from then on placeholders are parts of the reader's copy. */
static void read_elements(scan_state *s, RedisModuleString *name, RedisModuleKey *key) {
    gears_read_begin(&s->reader, s->ctx, name, key);
    s->failed |= s->reader.failed;
    if (s->reader.open || s->waiting.count > 0) matches(s, s->reader.name, s->reader.name_length);
}

/* The elements that wait for a chunk. False: the stage failed. */
static bool put_waiting(scan_state *s) {
    while (s->waiting.count > 0 && !is_full(s) && !s->failed) {
        gears_elements_pop(&s->waiting, s->reader.values, s->field_count);
        if (put_element(s, s->reader.values)) s->rows++;
    }
    return !s->failed;
}

static bool may_read(scan_state *s, RedisModuleString *name) {
    if (!s->check_keys) return true;
    if (RedisModule_ACLCheckKeyPermissions(s->user, name, REDISMODULE_CMD_KEY_ACCESS) == REDISMODULE_OK) return true;
    if (s->stage->withhold) {
        s->withheld++;
        return false;
    }
    gears_stage_fail(s->stage, "NOPERM the user has no right to read all of the keys that the table's pattern matches");
    s->failed = true;
    return false;
}

/* As of the turn's beginning, or of the snapshot's: by a child's own clock keys would go while it reads. */
static bool is_expired(const scan_state *s, RedisModuleKey *key) {
    long long at = RedisModule_GetAbsExpire(key);
    return at >= 0 && at < s->now_ms;
}

/* One key: a row, rows of its elements, or not ours. RM_Scan may hand over a key that is logically expired: it is not a
 * row. */
static void read_key(scan_state *s, RedisModuleString *name, RedisModuleKey *key) {
    size_t length;
    const char *bytes = RedisModule_StringPtrLen(name, &length);
    if (!matches(s, bytes, length)) return;
    if (s->stage->only != NULL && !gears_slot_set_has(&s->stage->only->wanted, gears_slot_of(bytes, length))) return;
    if (RedisModule_KeyType(key) !=
        (s->by_element ? gears_read_keytype(s->spec->key_type) : REDISMODULE_KEYTYPE_HASH)) {
        s->skipped++;
        return;
    }
    if (is_expired(s, key) || !may_read(s, name)) return;
    if (s->by_element)
        read_elements(s, name, key);
    else if (put_row(s, key, (gears_slice){bytes, length}))
        s->rows++;
}

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
    gears_name_added added = gears_names_add(&s->known, name);
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
    return RedisModule_KeyType(key) == gears_read_keytype(s->spec->key_type) && matches(s, bytes, length);
}

/* RM_Scan's callback. It cannot be told to stop within a bucket, so keys beyond the chunk are held. */
static void on_key(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key, void *data) {
    scan_state *s = data;
    (void)ctx;
    s->seen++;
    if (s->failed || (s->repeat.looking && gears_repeat_has(&s->repeat, name))) return;
    if (s->knows && is_known(s, name)) return;
    if (s->rows == s->capacity || key == NULL || (s->by_element && has_elements(s, name, key)))
        hold_key(s, name);
    else
        read_key(s, name, key);
}

/* Reads a key by its name, which is freed. It may be gone. */
static void read_named(scan_state *s, RedisModuleString *name) {
    RedisModuleKey *key = RedisModule_OpenKey(s->ctx, name, REDISMODULE_READ | REDISMODULE_OPEN_KEY_NOTOUCH);
    if (key != NULL) {
        read_key(s, name, key);
        RedisModule_CloseKey(key);
    }
    RedisModule_FreeString(NULL, name);
}

/* Reads on in the key at hand, which was read in part in the turns before. */
static void read_open(scan_state *s) {
    RedisModuleString *name = RedisModule_CreateString(NULL, s->reader.name, s->reader.name_length);
    RedisModuleKey *key = RedisModule_OpenKey(s->ctx, name, REDISMODULE_READ | REDISMODULE_OPEN_KEY_NOTOUCH);
    bool there = key != NULL && !is_expired(s, key) && may_read(s, name);
    if (!s->failed) gears_read_go_on(&s->reader, s->ctx, there ? key : NULL);
    if (key != NULL) RedisModule_CloseKey(key);
    RedisModule_FreeString(NULL, name);
    s->failed |= s->reader.failed;
}

static void read_held(scan_state *s) {
    while (s->held_count > 0 && s->rows < s->capacity && !s->failed && !s->reader.open) {
        if (s->by_element && !gears_lock_may_stay()) return;
        read_named(s, s->held[--s->held_count]);
    }
}

/* ---- slot by slot --------------------------------------------------------------------------------------------- */

static void fail_moved(scan_state *s, unsigned slot) {
    gears_slot_set set = {{0}};
    gears_slot_set_add(&set, slot, slot);
    char *error = gears_slots_moved(&set);
    gears_stage_fail(s->stage, "%s", error ? error : "GEARSMOVED");
    free(error);
    s->failed = true;
}

/* A slot that was half read in the turn before must be ours still, and not have been away. */
static bool look_at_slots(scan_state *s) {
    gears_slots *slots = s->stage->slots;
    const char *problem = gears_slots_open(slots, s->ctx);
    if (problem == NULL && slots->by_slot && !gears_slots_ask(s->ctx, &s->slots_now))
        problem = "GEARSMOVED the server does not tell its slots";
    if (problem != NULL) {
        gears_stage_fail(s->stage, "%s", problem);
        return false;
    }
    bool half_read = s->names != NULL || (slots->by_slot && s->reader.open);
    if (!half_read || (gears_slot_set_has(&s->slots_now.owned, s->next_slot - 1) &&
                       s->slots_now.epoch == s->listed_epoch && s->slots_now.primary))
        return true;
    fail_moved(s, s->next_slot - 1);
    return false;
}

static void free_names(scan_state *s) {
    if (s->names != NULL) RedisModule_FreeCallReply(s->names);
    s->names = NULL;
}

static void read_names(scan_state *s) {
    size_t count = RedisModule_CallReplyLength(s->names);
    while (s->names_at < count && s->rows < s->capacity && !s->failed && !s->reader.open) {
        if (s->names_at % KEYS_PER_LOOK == 0 && !gears_lock_may_stay()) return;
        size_t length = 0;
        RedisModuleCallReply *element = RedisModule_CallReplyArrayElement(s->names, s->names_at++);
        const char *bytes = RedisModule_CallReplyStringPtr(element, &length);
        s->seen++;
        read_named(s, RedisModule_CreateString(NULL, bytes, length));
    }
    if (s->names_at == count) free_names(s);
}

/* List the next slot that is to be read and may be; those that may not are left. False: there is none. */
static bool list_next_slot(scan_state *s) {
    gears_slots *slots = s->stage->slots;
    for (; s->next_slot < GEARS_SLOT_COUNT && !!gears_lock_may_stay(); s->next_slot++) {
        if (!gears_slot_set_has(&slots->wanted, s->next_slot)) continue;
        bool ours = s->slots_now.primary && gears_slot_set_has(&s->slots_now.owned, s->next_slot);
        if (ours) s->names = gears_slots_keys(s->ctx, s->next_slot);
        if (s->names == NULL) {
            gears_slot_set_add(&slots->left, s->next_slot, s->next_slot);
            continue;
        }
        s->next_slot++;
        s->names_at = 0;
        s->listed_epoch = s->slots_now.epoch;
        return true;
    }
    return false;
}

static void run_turn_by_slot(scan_state *s) {
    while (s->rows < s->capacity && !s->failed && !s->reader.open) {
        if (s->names == NULL && !list_next_slot(s)) break;
        read_names(s);
        if (s->names != NULL) break;
    }
    s->exhausted = s->names == NULL && s->next_slot == GEARS_SLOT_COUNT && !s->reader.open;
}

/* ---- turns at the lock ---------------------------------------------------------------------------------------- */

/* The one right that makes a look at each key needless: '~*' or '%R~*' for all keys. */
static bool reads_all_keys(RedisModuleUser *user) {
    if (RedisModule_GetModuleUserACLString == NULL) return false;
    RedisModuleString *rules = RedisModule_GetModuleUserACLString(user);
    if (rules == NULL) return false;
    size_t length;
    const char *text = RedisModule_StringPtrLen(rules, &length);
    bool all = false;
    for (const char *at = text; !all && (at = strstr(at, "~* ")) != NULL; at++) all = at == text || at[-1] == ' ';
    /* A selector's rules stand in parentheses, and hold for its own commands only. */
    if (memchr(text, '(', length) != NULL) all = false;
    RedisModule_FreeString(NULL, rules);
    return all;
}

static long long wall_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Users change while we wait for the lock: a user that is gone ends the stage, new key patterns hold at once. */
static bool begin_turn(scan_state *s) {
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
    RedisModuleString *name = RedisModule_CreateString(NULL, s->stage->user.data, s->stage->user.length);
    s->user = RedisModule_GetModuleUserFromUserName(name);
    RedisModule_FreeString(NULL, name);
    if (s->user == NULL) {
        gears_stage_fail(s->stage, "NOPERM the user was deleted");
        return false;
    }
    s->check_keys = !reads_all_keys(s->user);
    RedisModule_SelectDb(s->ctx, s->stage->database);
    s->now_ms = wall_clock_ms();
    atomic_store_explicit(&s->stage->keys_total, RedisModule_DbSize(s->ctx), memory_order_relaxed);
    return s->stage->slots == NULL || look_at_slots(s);
}

/* RM_Scan until the chunk is full or the time is up, and then until a slot begins, unless that takes as long again. */
static void scan_keys(scan_state *s) {
    for (unsigned calls = 0; !s->failed && !s->exhausted; calls++) {
        bool looks = s->repeat.ending || calls % KEYS_PER_LOOK == 0;
        bool over = s->rows == s->capacity || s->reader.open || (looks && !gears_lock_may_stay());
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
    if (s->reader.open) read_open(s);
    if (s->reader.open || s->failed) return;
    if (s->stage->slots != NULL && s->stage->slots->by_slot) {
        run_turn_by_slot(s);
        return;
    }
    s->repeats = (s->stage->slots != NULL || s->stage->only != NULL) && gears_repeat_applies();
    if (s->repeats && !gears_repeat_begin(&s->repeat, s->ctx)) {
        gears_slots_distrust();
        fail_moved(s, s->repeat.slot);
        return;
    }
    if (!trust_table(s)) return;
    read_held(s);
    scan_keys(s);
    if (s->exhausted && s->held_count > 0) read_held(s);
    if (s->repeats) gears_repeat_end(&s->repeat, s->ctx);
}

static void publish(scan_state *s, uint64_t locked) {
    atomic_fetch_add_explicit(&s->stage->locked_us, locked, memory_order_relaxed);
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
static bool is_done(const scan_state *s) { return s->exhausted && s->held_count == 0 && !s->reader.open; }

/* The last key was read in this very turn: what is true of the slots now was true of it. */
static void end_scan(scan_state *s) {
    gears_stage *stage = s->stage;
    if (stage->slots == NULL || s->failed || !is_done(s)) return;
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

/* False: the stage is cancelled or has failed. Takes: turn, server lock. */
static bool take_turn(scan_state *s) {
    if (!gears_lock_enter(s->ctx, &s->stage->cancelled)) return false;
    if (begin_turn(s)) {
        run_turn(s);
        end_scan(s);
        RedisModule_FreeModuleUser(s->user);
    } else {
        s->failed = true;
    }
    uint64_t locked = gears_lock_held();
    gears_lock_leave(s->ctx);
    publish(s, locked);
    return !s->failed;
}

/* ---- a snapshot ----------------------------------------------------------------------------------------------- */

/* Where a target's values lie in a page: their bitmap, then they. Returns where the next target's begin. */
static uint64_t place_in_page(const scan_state *s, const target *t, uint64_t at, uint64_t *values) {
    uint64_t width = t->column == NULL ? 0 : t->width ? t->width : sizeof(duckdb_string_t);
    *values = at + s->capacity / 8;
    return (*values + width * s->capacity + 63) & ~(uint64_t)63;
}

enum { PAGE_HEAD = 64 };

static uint64_t page_size(const scan_state *s) {
    uint64_t at = PAGE_HEAD, values;
    for (size_t i = 0; i < s->target_count; i++) at = place_in_page(s, &s->targets[i], at, &values);
    return at;
}

/* Runs on: the child. */
static void begin_page(scan_state *s) {
    uint64_t start = gears_load_room(s->load, page_size(s), true), at = PAGE_HEAD, values;
    if (s->page != NULL) s->page->rows = s->rows, s->page->next = start;
    s->rows = 0;
    if (start == 0) {
        s->load->failed = true;
        return;
    }
    char *page = (char *)s->load + start;
    s->page = (gears_page *)(void *)page;
    *s->page = (gears_page){0, 0};
    for (size_t i = 0; i < s->target_count; i++) {
        target *t = &s->targets[i];
        t->validity = (uint64_t *)(void *)(page + at);
        memset(t->validity, 0xff, s->capacity / 8);
        at = place_in_page(s, t, at, &values);
        t->data = page + values;
        t->load = s->load;
    }
}

/* As on_key. What a bucket has beyond a page goes to another one: a key held back might expire. Runs on: the child. */
static void on_key_in_child(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key, void *data) {
    scan_state *s = data;
    (void)ctx;
    s->seen++;
    if (s->rows == s->capacity && !s->load->failed) begin_page(s);
    if (s->failed || s->load->failed) return;
    if (key != NULL)
        read_key(s, name, key);
    else
        read_named(s, RedisModule_HoldString(NULL, name));
}

/* Runs on: the child. */
static void fill_load(void *scan, gears_load *load) {
    enum { BUCKET = 32, MOST_KEYS = 100000, TEXT_BYTES = 1 << 20 };
    scan_state *s = scan;
    s->load = load;
    s->page = NULL;
    begin_page(s);
    uint64_t most = load->used + TEXT_BYTES;
    while (!s->exhausted && !s->failed && !load->failed && s->rows + BUCKET <= s->capacity && s->seen < MOST_KEYS &&
           load->used < most)
        s->exhausted = !RedisModule_Scan(s->ctx, s->cursor, on_key_in_child, s);
    if (load->failed) gears_stage_fail(s->stage, "GEARSLIMIT a row is too large for a snapshot");
    if (s->page != NULL) s->page->rows = s->rows;
    load->seen = s->seen, load->skipped = s->skipped, load->withheld = s->withheld, load->misfits = s->misfits;
    load->last = s->exhausted, load->failed |= s->failed;
    s->seen = s->skipped = s->withheld = s->misfits = 0;
}

static void free_state(void *data);

/* Runs on: the child. `context` is the scan that forked: what was true of its turn holds. */
static void *open_in_child(void *context, unsigned scan, const uint32_t *columns, size_t count) {
    const scan_state *from = context;
    scan_state *s = calloc(1, sizeof *s);
    if (s != NULL) s->targets = calloc(count + 1, sizeof *s->targets);
    if (s == NULL || s->targets == NULL) return NULL;
    s->stage = from->stage, s->ctx = from->ctx, s->user = from->user, s->check_keys = from->check_keys;
    s->now_ms = from->now_ms, s->capacity = from->capacity;
    s->spec = &s->stage->scans[scan];
    s->cursor = RedisModule_ScanCursorCreate();
    for (size_t i = 0; i < count; i++) set_target(s, &s->targets[s->target_count++], columns[i]);
    while (s->field_count < count && is_field(s->targets[s->field_count].column)) s->field_count++;
    return s;
}

static bool reads_elements(const gears_stage *stage) {
    for (size_t i = 0; i < stage->scan_count; i++)
        if (stage->scans[i].key_type != GEARS_KEYS_HASH) return true;
    return false;
}

/* Once for a stage, so that all of its scans are of one moment. False: the stage was stopped, or has failed.
 * Takes: turn, server lock. */
static bool choose_mode(scan_state *s) {
    enum { NAP_NS = 2000000 };
    const gears_snapshot_reader reader = {open_in_child, fill_load, free_state, s};
    const struct timespec nap = {.tv_sec = 0, .tv_nsec = NAP_NS};
    gears_stage *stage = s->stage;
    uint64_t began = gears_lock_now();
    if (reads_elements(stage)) {
        gears_snapshot_refuse(stage, "keys that are no hashes are read in slices");
        return stage->mode_chosen = true;
    }
    while (!stage->mode_chosen) {
        if (!gears_lock_enter(s->ctx, &stage->cancelled)) return false;
        const char *problem = NULL;
        bool passes = false;
        if (stage->slots != NULL) stage->slots->opened = false; /* what counts is the moment of the fork */
        s->failed = !begin_turn(s);
        if (!s->failed) {
            problem = gears_snapshot_take(stage, s->ctx, &reader, &passes);
            RedisModule_FreeModuleUser(s->user);
        }
        uint64_t locked = gears_lock_held();
        gears_lock_leave(s->ctx);
        publish(s, locked);
        if (s->failed) return false;
        bool waits = problem != NULL && passes && gears_lock_now() - began < (uint64_t)gears_snapshot_wait_ms * 1000;
        stage->mode_chosen = !waits;
        if (waits)
            nanosleep(&nap, NULL);
        else if (problem != NULL)
            gears_snapshot_refuse(stage, problem);
    }
    return true;
}

/* A later scan would have no child to read from: one that begins again and again is not counted before. */
static bool is_last_order(const gears_stage *stage) {
    return stage->scan_starts >= stage->scan_binds && strcasestr(stage->sql, "recursive") == NULL;
}

static bool order(scan_state *s) {
    uint32_t *columns = calloc(s->target_count + 1, sizeof *columns);
    if (columns == NULL) return false;
    for (size_t i = 0; i < s->target_count; i++) {
        const gears_column *column = s->targets[i].column;
        columns[i] = column != NULL ? (uint32_t)(column - s->spec->columns) : UINT32_MAX;
    }
    unsigned scan = (unsigned)(s->spec - s->stage->scans);
    s->stage->scan_starts++;
    s->channel = gears_snapshot_order(s->stage, scan, columns, s->target_count, is_last_order(s->stage));
    free(columns);
    return s->channel != NULL;
}

static void copy_strings(const scan_state *s, target *t, const duckdb_string_t *from, const uint64_t *validity) {
    for (size_t row = 0; row < s->rows; row++) {
        if (!(validity[row / 64] >> (row % 64) & 1)) continue;
        uint32_t length = from[row].inlined.length;
        if (length <= sizeof from->inlined.bytes)
            ((duckdb_string_t *)(void *)t->data)[row] = from[row];
        else
            set_string(t, row, (const char *)s->load + (uintptr_t)from[row].pointer.ptr, length);
    }
}

static bool has_nulls(const uint64_t *validity, size_t rows) {
    for (size_t word = 0; word < rows / 64; word++)
        if (~validity[word]) return true;
    return rows % 64 && (~validity[rows / 64] & (((uint64_t)1 << rows % 64) - 1));
}

static void copy_page(scan_state *s) {
    uint64_t at = PAGE_HEAD, values;
    const char *page = (const char *)s->page;
    s->rows = s->page->rows;
    for (size_t i = 0; i < s->target_count; i++) {
        target *t = &s->targets[i];
        const uint64_t *validity = (const uint64_t *)(const void *)(page + at);
        at = place_in_page(s, t, at, &values);
        if (t->column == NULL) continue;
        if (has_nulls(validity, s->rows)) {
            duckdb_vector_ensure_validity_writable(t->vector);
            memcpy(duckdb_vector_get_validity(t->vector), validity, (s->rows + 63) / 64 * sizeof *validity);
        }
        if (t->width > 0)
            memcpy(t->data, page + values, s->rows * t->width);
        else
            copy_strings(s, t, (const duckdb_string_t *)(const void *)(page + values), validity);
    }
}

/* The next load of the child's. False: the stage was stopped, or has failed. */
static bool next_load(scan_state *s) {
    enum { FIRST_PAGE = (sizeof(gears_load) + 63) / 64 * 64 };
    if (s->channel == NULL && !order(s)) return false;
    s->load = gears_snapshot_await(s->stage, s->channel);
    if (s->load == NULL) return false;
    s->seen = s->load->seen, s->skipped = s->load->skipped, s->withheld = s->load->withheld;
    s->misfits = s->load->misfits;
    publish(s, 0);
    s->ended = s->load->last;
    if (s->load->failed) gears_snapshot_fail(s->stage);
    s->page = (gears_page *)(void *)((char *)s->load + FIRST_PAGE);
    return !s->load->failed;
}

/* The chunk is a page. False: as above. */
static bool take_page(scan_state *s) {
    while (s->rows == 0) {
        if (s->page == NULL && s->ended) break;
        if (s->page == NULL && !next_load(s)) return false;
        copy_page(s);
        uint64_t next = s->page->next;
        s->page = next ? (gears_page *)(void *)((char *)s->load + next) : NULL;
        if (s->page != NULL) continue;
        gears_snapshot_took(s->stage, s->channel);
        if (s->ended) gears_snapshot_drop(s->stage, s->channel), s->channel = NULL;
    }
    return true;
}

/* ---- the table function --------------------------------------------------------------------------------------- */

static void aim_at_chunk(scan_state *s, duckdb_data_chunk chunk) {
    s->rows = 0;
    for (size_t i = 0; i < s->target_count; i++) {
        target *t = &s->targets[i];
        t->validity = NULL;
        if (t->column == NULL) continue;
        t->vector = duckdb_data_chunk_get_vector(chunk, t->position);
        t->data = duckdb_vector_get_data(t->vector);
    }
}

/* Until there is a row, or no more. False: the stage is cancelled or has failed. */
static bool take_turns(scan_state *s) {
    if (!put_waiting(s)) return false;
    while (s->rows == 0 && !is_done(s))
        if (!take_turn(s)) return false;
    return true;
}

static void scan_function(duckdb_function_info info, duckdb_data_chunk chunk) {
    scan_state *s = duckdb_function_get_init_data(info);
    uint64_t started = gears_lock_now();
    aim_at_chunk(s, chunk);
    if (!(s->stage->mode_chosen || choose_mode(s)) || !(s->stage->snapshot ? take_page(s) : take_turns(s))) {
        duckdb_function_set_error(info, "the scan was stopped");
        return;
    }
    if (!gears_limits_scanned(s->stage, s->rows)) {
        duckdb_function_set_error(info, "too many rows");
        return;
    }
    atomic_fetch_add_explicit(&s->stage->scan_us, gears_lock_now() - started, memory_order_relaxed);
    duckdb_data_chunk_set_size(chunk, s->rows);
}

static void free_state(void *data) {
    scan_state *s = data;
    if (s->channel != NULL) gears_snapshot_drop(s->stage, s->channel);
    while (s->held_count > 0) RedisModule_FreeString(NULL, s->held[--s->held_count]);
    free_names(s);
    gears_repeat_free(&s->repeat);
    gears_names_clear(&s->known);
    gears_read_free(&s->reader);
    gears_elements_free(&s->waiting);
    if (s->cursor != NULL) RedisModule_ScanCursorDestroy(s->cursor);
    free(s->held);
    free(s->targets);
    free(s);
}

static void add_target(scan_state *s, duckdb_init_info info, idx_t position, bool fields) {
    idx_t index = duckdb_init_get_column_index(info, position);
    target *t = &s->targets[s->target_count];
    set_target(s, t, index);
    if (is_field(t->column) != fields) return;
    t->position = position;
    s->target_count++;
}

static bool open_reader(scan_state *s) {
    const gears_column **columns = calloc(s->field_count + 1, sizeof(gears_column *));
    if (columns == NULL) return false;
    for (size_t i = 0; i < s->field_count; i++) columns[i] = s->targets[i].column;
    bool opened = gears_read_init(&s->reader, s->stage, s->spec, s->field_count, columns);
    s->reader.scan = s;
    s->reader.row = on_element;
    s->reader.misfit = on_no_object;
    s->reader.full = is_full;
    free(columns);
    return opened;
}

static void scan_init(duckdb_init_info info) {
    scan_state *s = calloc(1, sizeof *s);
    idx_t count = duckdb_init_get_column_count(info);
    if (s != NULL) s->targets = calloc(count + 1, sizeof *s->targets);
    if (s == NULL || s->targets == NULL) {
        free(s);
        duckdb_init_set_error(info, "out of memory");
        return;
    }
    s->stage = thread_stage;
    s->ctx = thread_ctx;
    if (s->stage->slots != NULL) s->stage->slots->executions++, s->stage->slots->open_scans++;
    s->spec = duckdb_init_get_bind_data(info);
    if (s->stage->mode == GEARS_MODE_SLICED) s->stage->mode_chosen = true;
    s->cursor = RedisModule_ScanCursorCreate();
    s->capacity = duckdb_vector_size();
    for (idx_t i = 0; i < count; i++) add_target(s, info, i, true);
    s->field_count = s->target_count;
    for (idx_t i = 0; i < count; i++) add_target(s, info, i, false);
    s->by_element = s->spec->key_type != GEARS_KEYS_HASH;
    if (s->by_element && !open_reader(s)) duckdb_init_set_error(info, "out of memory");
    duckdb_init_set_max_threads(info, 1);
    duckdb_init_set_init_data(info, s, free_state);
}

static void add_result_column(duckdb_bind_info info, const char *name, duckdb_logical_type type) {
    duckdb_bind_add_result_column(info, name, type);
    duckdb_destroy_logical_type(&type);
}

static void scan_bind(duckdb_bind_info info) {
    duckdb_value parameter = duckdb_bind_get_parameter(info, 0);
    int64_t index = duckdb_get_int64(parameter);
    duckdb_destroy_value(&parameter);
    if (thread_stage == NULL || index < 0 || (size_t)index >= thread_stage->scan_count) {
        duckdb_bind_set_error(info, "the stage has no such scan");
        return;
    }
    thread_stage->scan_binds++;
    gears_scan_spec *spec = &thread_stage->scans[index];
    for (size_t i = 0; i < spec->column_count; i++)
        add_result_column(info, spec->columns[i].name, gears_logical_type(&spec->columns[i].type));
    if (spec->column_count == 0) add_result_column(info, NO_COLUMN, duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN));
    duckdb_bind_set_bind_data(info, spec, NULL);
}

/* 'scan_<i>' is not a table: DuckDB asks here, and reads gears_scan(i) instead. */
static void replace_scan(duckdb_replacement_scan_info info, const char *table_name, void *data) {
    int index = -1, used = 0;
    (void)data;
    if (sscanf(table_name, "scan_%d%n", &index, &used) != 1 || table_name[used] != 0 || index < 0) return;
    duckdb_value parameter = duckdb_create_int64(index);
    duckdb_replacement_scan_set_function_name(info, "gears_scan");
    duckdb_replacement_scan_add_parameter(info, parameter);
    duckdb_destroy_value(&parameter);
}

bool gears_scan_register(duckdb_database database) {
    duckdb_connection connection = NULL;
    if (duckdb_connect(database, &connection) != DuckDBSuccess) return false;
    duckdb_table_function function = duckdb_create_table_function();
    duckdb_logical_type bigint = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
    duckdb_table_function_set_name(function, "gears_scan");
    duckdb_table_function_add_parameter(function, bigint);
    duckdb_table_function_set_bind(function, scan_bind);
    duckdb_table_function_set_init(function, scan_init);
    duckdb_table_function_set_function(function, scan_function);
    duckdb_table_function_supports_projection_pushdown(function, true);
    bool registered = duckdb_register_table_function(connection, function) == DuckDBSuccess;
    duckdb_destroy_logical_type(&bigint);
    duckdb_destroy_table_function(&function);
    duckdb_disconnect(&connection);
    if (registered) duckdb_add_replacement_scan(database, replace_scan, NULL, NULL);
    return registered;
}
