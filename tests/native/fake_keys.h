/* A keyspace, ours here: keys of every type, in the order in which the server's scan hands them over. */
#ifndef GEARS_FAKE_KEYS_H
#define GEARS_FAKE_KEYS_H

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/fake.h"

/* Of a hash field and value, of a zset member and score, of a list or set or string only `a`. An entry of a stream are the
 * elements that follow each other with one id. */
typedef struct element {
    RedisModuleString *a, *b;
    RedisModuleStreamID id;
} element;

struct RedisModuleKey {
    RedisModuleString *name;
    int type;
    long long expires;
    element *elements;
    size_t count;
    size_t at, fields; /* of the iterator over a stream */
    RedisModuleStreamID last;
    bool backwards;
};

struct RedisModuleScanCursor {
    size_t at;
};

enum { MOST_KEYS = 4096, IN_ONE_GO = 128, STEP = 10 };

static RedisModuleKey *keys[MOST_KEYS];
static size_t key_count;
static size_t scan_step = 1; /* keys of one bucket */
static bool scans_repeat;    /* each step begins with the last one's last */

/* ---- what is in it ------------------------------------------------------------------------------------------------ */

static inline RedisModuleString *text(const char *bytes) {
    return RedisModule_CreateString(NULL, bytes, strlen(bytes));
}

static inline RedisModuleKey *add_key(const char *name, int type) {
    RedisModuleKey *key = calloc(1, sizeof *key);
    if (key_count == MOST_KEYS) abort();
    key->name = text(name);
    key->type = type;
    key->expires = -1;
    return keys[key_count++] = key;
}

static inline void add_entry(RedisModuleKey *key, uint64_t ms, uint64_t seq, const char *a, const char *b) {
    key->elements = realloc(key->elements, (key->count + 1) * sizeof *key->elements);
    key->elements[key->count++] = (element){text(a), b ? text(b) : NULL, {ms, seq}};
}

static inline void add(RedisModuleKey *key, const char *a, const char *b) { add_entry(key, 0, 0, a, b); }

static inline void remove_element(RedisModuleKey *key, size_t at) {
    RedisModule_FreeString(NULL, key->elements[at].a);
    if (key->elements[at].b != NULL) RedisModule_FreeString(NULL, key->elements[at].b);
    key->count--;
    memmove(&key->elements[at], &key->elements[at + 1], (key->count - at) * sizeof *key->elements);
}

static inline void remove_key(RedisModuleKey *key) {
    size_t at = 0;
    while (keys[at] != key) at++;
    key_count--;
    memmove(&keys[at], &keys[at + 1], (key_count - at) * sizeof(RedisModuleKey *));
    while (key->count > 0) remove_element(key, key->count - 1);
    RedisModule_FreeString(NULL, key->name);
    free(key->elements);
    free(key);
}

static inline void remove_keys(void) {
    while (key_count > 0) remove_key(keys[key_count - 1]);
}

/* ---- the server's functions --------------------------------------------------------------------------------------- */

static int compare(const RedisModuleString *a, const RedisModuleString *b) {
    size_t n, m;
    const char *left = RedisModule_StringPtrLen(a, &n), *right = RedisModule_StringPtrLen(b, &m);
    return n == m ? memcmp(left, right, n) : 1;
}

static RedisModuleKey *open_key(RedisModuleCtx *ctx, RedisModuleString *name, int mode) {
    (void)ctx, (void)mode;
    for (size_t i = 0; i < key_count; i++)
        if (compare(keys[i]->name, name) == 0) return keys[i];
    return NULL;
}

static void close_key(RedisModuleKey *key) { (void)key; }
static int type_of(RedisModuleKey *key) { return key->type; }
static long long expires_at(RedisModuleKey *key) { return key->expires; }
static size_t count_of(RedisModuleKey *key) { return key->count; }
static unsigned long long database_size(RedisModuleCtx *ctx) { return (void)ctx, key_count; }

static int hash_get(RedisModuleKey *key, int flags, ...) {
    va_list wanted;
    RedisModuleString *field, **value;
    (void)flags;
    va_start(wanted, flags);
    while ((field = va_arg(wanted, RedisModuleString *)) != NULL) {
        value = va_arg(wanted, RedisModuleString **);
        for (size_t i = 0; i < key->count; i++)
            if (compare(key->elements[i].a, field) == 0) *value = RedisModule_HoldString(NULL, key->elements[i].b);
    }
    va_end(wanted);
    return REDISMODULE_OK;
}

static RedisModuleScanCursor *new_cursor(void) { return calloc(1, sizeof(RedisModuleScanCursor)); }
static void free_cursor(RedisModuleScanCursor *cursor) { free(cursor); }

static int scan(RedisModuleCtx *ctx, RedisModuleScanCursor *cursor, RedisModuleScanCB call, void *data) {
    size_t first = cursor->at > 0 && scans_repeat ? cursor->at - 1 : cursor->at;
    cursor->at += scan_step;
    for (size_t i = first; i < cursor->at && i < key_count; i++) call(ctx, keys[i]->name, keys[i], data);
    return cursor->at < key_count;
}

static int scan_key(RedisModuleKey *key, RedisModuleScanCursor *cursor, RedisModuleScanKeyCB call, void *data) {
    size_t first = cursor->at > 0 && scans_repeat ? cursor->at - 1 : cursor->at;
    cursor->at += key->count <= IN_ONE_GO ? IN_ONE_GO : STEP;
    for (size_t i = first; i < cursor->at && i < key->count; i++)
        call(key, key->elements[i].a, key->elements[i].b, data);
    return cursor->at < key->count;
}

static RedisModuleString *list_get(RedisModuleKey *key, long index) {
    bool there = index >= 0 && (size_t)index < key->count;
    return there ? RedisModule_HoldString(NULL, key->elements[index].a) : NULL;
}

static bool is_before(RedisModuleStreamID a, RedisModuleStreamID b) {
    return a.ms != b.ms ? a.ms < b.ms : a.seq < b.seq;
}

static int begin_stream(RedisModuleKey *key, int flags, RedisModuleStreamID *first, RedisModuleStreamID *last) {
    key->backwards = flags & REDISMODULE_STREAM_ITERATOR_REVERSE;
    key->at = key->fields = 0;
    key->last = last ? *last : (RedisModuleStreamID){UINT64_MAX, UINT64_MAX};
    while (first != NULL && key->at < key->count && is_before(key->elements[key->at].id, *first)) key->at++;
    return REDISMODULE_OK;
}

static int next_entry(RedisModuleKey *key, RedisModuleStreamID *id, long *fields) {
    key->at += key->fields;
    if (key->backwards && key->count > 0) key->at = key->count - 1;
    if (key->at >= key->count || is_before(key->last, key->elements[key->at].id)) return REDISMODULE_ERR;
    *id = key->elements[key->at].id;
    key->fields = 0;
    for (size_t i = key->at; i < key->count && memcmp(&key->elements[i].id, id, sizeof *id) == 0; i++) key->fields++;
    *fields = (long)key->fields;
    return REDISMODULE_OK;
}

static int next_field(RedisModuleKey *key, RedisModuleString **field, RedisModuleString **value) {
    if (key->fields == 0) return REDISMODULE_ERR;
    key->fields--;
    *field = RedisModule_HoldString(NULL, key->elements[key->at].a);
    *value = RedisModule_HoldString(NULL, key->elements[key->at++].b);
    return REDISMODULE_OK;
}

static int end_stream(RedisModuleKey *key) { return (void)key, REDISMODULE_OK; }

static void bind_keys(void) {
    RedisModule_OpenKey = open_key;
    RedisModule_CloseKey = close_key;
    RedisModule_KeyType = type_of;
    RedisModule_GetAbsExpire = expires_at;
    RedisModule_ValueLength = count_of;
    RedisModule_DbSize = database_size;
    RedisModule_HashGet = hash_get;
    RedisModule_ScanCursorCreate = new_cursor;
    RedisModule_ScanCursorDestroy = free_cursor;
    RedisModule_Scan = scan;
    RedisModule_ScanKey = scan_key;
    RedisModule_ListGet = list_get;
    RedisModule_StreamIteratorStart = begin_stream;
    RedisModule_StreamIteratorNextID = next_entry;
    RedisModule_StreamIteratorNextField = next_field;
    RedisModule_StreamIteratorStop = end_stream;
}

#endif
