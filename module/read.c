/* Keys that are no hashes: what all their readers share; see read.h. */
#include "read.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lock.h"

int gears_read_keytype(gears_key_type type) {
    static const int types[] = {
        [GEARS_KEYS_HASH] = REDISMODULE_KEYTYPE_HASH,     [GEARS_KEYS_STRING] = REDISMODULE_KEYTYPE_STRING,
        [GEARS_KEYS_JSON] = REDISMODULE_KEYTYPE_STRING,   [GEARS_KEYS_SET] = REDISMODULE_KEYTYPE_SET,
        [GEARS_KEYS_LIST] = REDISMODULE_KEYTYPE_LIST,     [GEARS_KEYS_ZSET] = REDISMODULE_KEYTYPE_ZSET,
        [GEARS_KEYS_STREAM] = REDISMODULE_KEYTYPE_STREAM,
    };
    return types[type];
}

bool gears_read_init(gears_read *r, gears_stage *stage, const gears_scan_spec *spec, size_t count,
                     const gears_column *const *columns) {
    r->stage = stage;
    r->type = spec->key_type;
    r->count = count;
    r->columns = calloc(count + 1, sizeof(gears_column *));
    r->names = calloc(count + 1, sizeof *r->names);
    r->values = calloc(count + 1, sizeof *r->values);
    if (r->columns == NULL || r->names == NULL || r->values == NULL) return false;
    for (size_t i = 0; i < count; i++) {
        r->columns[i] = columns[i];
        if (columns[i]->field == NULL) continue;
        r->names[i].data = RedisModule_StringPtrLen(columns[i]->field, &r->names[i].size);
    }
    return true;
}

static void forget_names(gears_read *r) {
    for (size_t part = 0; part < GEARS_NAME_PARTS && r->large; part++) gears_names_clear(&r->known[part]);
}

static void forget_key(gears_read *r) {
    if (r->cursor != NULL) RedisModule_ScanCursorDestroy(r->cursor);
    r->cursor = NULL;
    forget_names(r);
    free(r->name);
    r->name = NULL;
}

void gears_read_free(gears_read *r) {
    forget_key(r);
    free(r->columns);
    free(r->names);
    free(r->values);
    free(r->scratch);
}

void gears_read_fail(gears_read *r, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gears_stage_fail(r->stage, "%s", text);
    r->failed = true;
    r->open = false;
}

bool gears_read_must_stop(gears_read *r) {
    enum { STEPS_PER_LOOK = 64 }; /* so that a turn gets on, however many clients wait */
    if (r->failed) return true;
    if (!r->large || ++r->steps % STEPS_PER_LOOK != 0) return false;
    return r->full(r->scan) || !gears_lock_may_stay();
}

void gears_read_set(gears_read *r, gears_source_kind source, const char *bytes, size_t length) {
    for (size_t i = 0; i < r->count; i++)
        if (r->columns[i]->source == source) r->values[i] = (gears_slice){bytes, length};
}

void gears_read_row(gears_read *r) {
    if (r->row(r->scan, r->values)) return;
    r->failed = true;
    r->open = false;
}

size_t gears_read_score(double score, char *text) {
    enum { ROOM = 32 };
    if (score == floor(score) && fabs(score) < 1e17) return (size_t)snprintf(text, ROOM, "%.0f", score);
    int length = 0;
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(text, ROOM, "%.*g", digits, score);
        if (strtod(text, NULL) == score) break;
    }
    return (size_t)length;
}

void gears_read_end(gears_read *r) { r->open = r->ended = r->large; }

void gears_read_rest(gears_read *r) {
    if (!r->ended) return;
    forget_names(r);
    r->open = r->ended = false;
}

static void read_on(gears_read *r, RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key) {
    r->steps = 0;
    switch (r->type) {
    case GEARS_KEYS_STRING:
    case GEARS_KEYS_JSON: gears_read_string(r, ctx, name); return;
    case GEARS_KEYS_SET:
    case GEARS_KEYS_ZSET: gears_read_members(r, key); return;
    case GEARS_KEYS_LIST: gears_read_list(r, key); return;
    case GEARS_KEYS_STREAM: gears_read_stream(r, key); return;
    case GEARS_KEYS_HASH: r->open = false; return; /* scan.c's own */
    }
}

void gears_read_begin(gears_read *r, RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key) {
    size_t length;
    const char *bytes = RedisModule_StringPtrLen(name, &length);
    forget_key(r);
    r->name = malloc(length + 1);
    if (r->name == NULL) {
        gears_read_fail(r, "GEARSLIMIT out of memory");
        return;
    }
    memcpy(r->name, bytes, length);
    r->name_length = length;
    r->open = true;
    r->large = RedisModule_ValueLength(key) > GEARS_READ_WHOLE &&
               gears_read_keytype(r->type) != REDISMODULE_KEYTYPE_STRING;
    r->index = r->length = 0;
    r->next = r->last = (RedisModuleStreamID){0, 0};
    read_on(r, ctx, name, key);
}

void gears_read_go_on(gears_read *r, RedisModuleCtx *ctx, RedisModuleKey *key) {
    if (r->ended) return gears_read_rest(r);
    if (key == NULL || RedisModule_KeyType(key) != gears_read_keytype(r->type)) {
        gears_read_end(r);
        return;
    }
    read_on(r, ctx, NULL, key);
}
