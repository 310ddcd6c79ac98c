/* The floor: what a module costs that does one of the four queries and nothing else, in C, holding up the server.
 *
 * BENCHFLOOR Q1|Q2|Q3|Q4 scans user:*, reads the fields that the query needs and answers city, value, city, value …
 * It checks no types, no ACL, no expiry. Runs on: main thread, all of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../module/server.h"

enum { FIELDS = 3, FIRST_CAPACITY = 1024 };

typedef struct Slot {
    char *key; /* NULL: free. */
    size_t length;
    uint64_t hash;
    double value;
} Slot;

/* Open addressing, at most half full. */
typedef struct Map {
    Slot *slots;
    size_t capacity, used;
} Map;

typedef struct Run {
    char query; /* '1' to '4' */
    int fields;
    RedisModuleString *names[FIELDS];
    Map groups, pairs;
} Run;

static uint64_t hash_of(const char *key, size_t length) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)key[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

static Slot *map_seek(const Map *map, const char *key, size_t length, uint64_t hash) {
    for (size_t i = hash & (map->capacity - 1);; i = (i + 1) & (map->capacity - 1)) {
        Slot *slot = &map->slots[i];
        if (!slot->key) return slot;
        if (slot->hash == hash && slot->length == length && !memcmp(slot->key, key, length)) return slot;
    }
}

static void map_grow(Map *map) {
    Map old = *map;
    map->capacity = old.capacity ? old.capacity * 2 : FIRST_CAPACITY;
    map->slots = calloc(map->capacity, sizeof(Slot));
    for (size_t i = 0; i < old.capacity; i++) {
        Slot *slot = &old.slots[i];
        if (slot->key) *map_seek(map, slot->key, slot->length, slot->hash) = *slot;
    }
    free(old.slots);
}

/* Return the slot of a key, made with value 0 if it is new; *fresh tells. */
static Slot *map_at(Map *map, const char *key, size_t length, bool *fresh) {
    if (map->used * 2 >= map->capacity) map_grow(map);
    uint64_t hash = hash_of(key, length);
    Slot *slot = map_seek(map, key, length, hash);
    *fresh = !slot->key;
    if (*fresh) {
        char *copy = malloc(length);
        memcpy(copy, key, length);
        *slot = (Slot){.key = copy, .length = length, .hash = hash};
        map->used++;
    }
    return slot;
}

static void map_free(Map *map) {
    for (size_t i = 0; i < map->capacity; i++) free(map->slots[i].key);
    free(map->slots);
}

static bool is_new_pair(Run *run, const char *city, size_t city_length, const char *email, size_t email_length) {
    char pair[512];
    size_t length = city_length + 1 + email_length;
    if (length > sizeof pair) return false;
    memcpy(pair, city, city_length);
    pair[city_length] = 0;
    memcpy(pair + city_length + 1, email, email_length);
    bool fresh;
    map_at(&run->pairs, pair, length, &fresh);
    return fresh;
}

static void add(Run *run, RedisModuleString **values) {
    size_t lengths[FIELDS];
    const char *text[FIELDS] = {0};
    for (int i = 0; i < run->fields; i++) text[i] = RedisModule_StringPtrLen(values[i], &lengths[i]);
    bool fresh;
    Slot *group = map_at(&run->groups, text[0], lengths[0], &fresh);
    switch (run->query) {
    case '1': group->value += 1; break;
    case '2': group->value += is_new_pair(run, text[0], lengths[0], text[1], lengths[1]); break;
    case '3': group->value += atoi(text[2]) > 40 ? strtod(text[1], NULL) : 0; break;
    default: group->value += strtod(text[1], NULL) * 2 + atoi(text[2]);
    }
}

static void on_key(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *given, void *data) {
    Run *run = data;
    size_t length;
    const char *text = RedisModule_StringPtrLen(name, &length);
    if (length < 5 || memcmp(text, "user:", 5)) return;
    RedisModuleKey *key = given ? given : RedisModule_OpenKey(ctx, name, REDISMODULE_READ);
    if (key && RedisModule_KeyType(key) == REDISMODULE_KEYTYPE_HASH) {
        RedisModuleString *values[FIELDS] = {0};
        bool whole = true;
        /* One call for each field is faster than one for all: measured. */
        for (int i = 0; i < run->fields; i++) {
            RedisModule_HashGet(key, REDISMODULE_HASH_NONE, run->names[i], &values[i], NULL);
            whole = whole && values[i];
        }
        if (whole) add(run, values);
        for (int i = 0; i < run->fields; i++)
            if (values[i]) RedisModule_FreeString(ctx, values[i]);
    }
    if (key && !given) RedisModule_CloseKey(key);
}

static void reply(RedisModuleCtx *ctx, const Map *groups) {
    RedisModule_ReplyWithArray(ctx, (long)groups->used * 2);
    for (size_t i = 0; i < groups->capacity; i++) {
        const Slot *slot = &groups->slots[i];
        if (!slot->key) continue;
        char value[32];
        int length = snprintf(value, sizeof value, "%.17g", slot->value);
        RedisModule_ReplyWithStringBuffer(ctx, slot->key, slot->length);
        RedisModule_ReplyWithStringBuffer(ctx, value, (size_t)length);
    }
}

static int on_command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    static const char *const fields[][FIELDS] = {{"city"}, {"city", "email"}, {"city", "score", "age"}};
    size_t length = 0;
    const char *name = argc == 2 ? RedisModule_StringPtrLen(argv[1], &length) : "";
    if (length != 2 || name[1] < '1' || name[1] > '4') return RedisModule_ReplyWithError(ctx, "ERR Q1 to Q4");
    Run run = {.query = name[1]};
    const char *const *wanted = fields[name[1] == '1' ? 0 : name[1] == '2' ? 1 : 2];
    for (; run.fields < FIELDS && wanted[run.fields]; run.fields++)
        run.names[run.fields] = RedisModule_CreateString(ctx, wanted[run.fields], strlen(wanted[run.fields]));
    RedisModuleScanCursor *cursor = RedisModule_ScanCursorCreate();
    while (RedisModule_Scan(ctx, cursor, on_key, &run)) {
    }
    RedisModule_ScanCursorDestroy(cursor);
    reply(ctx, &run.groups);
    for (int i = 0; i < run.fields; i++) RedisModule_FreeString(ctx, run.names[i]);
    map_free(&run.groups);
    map_free(&run.pairs);
    return REDISMODULE_OK;
}

__attribute__((visibility("default"))) int RedisModule_OnLoad(RedisModuleCtx *ctx) {
    if (gears_server_bind(ctx)) return REDISMODULE_ERR;
    RedisModule_SetModuleAttribs(ctx, "benchfloor", 1, REDISMODULE_APIVER_1);
    return RedisModule_CreateCommand(ctx, "benchfloor", on_command, "readonly", 0, 0, 0);
}
