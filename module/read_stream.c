/* Streams as rows, by their entries' ids; see read.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read.h"

static bool is_zero(RedisModuleStreamID id) { return id.ms == 0 && id.seq == 0; }

/* The last entry's id; false: there is no entry. */
static bool find_last(RedisModuleKey *key, RedisModuleStreamID *last) {
    long fields;
    if (RedisModule_StreamIteratorStart(key, REDISMODULE_STREAM_ITERATOR_REVERSE, NULL, NULL) != REDISMODULE_OK)
        return false;
    bool found = RedisModule_StreamIteratorNextID(key, last, &fields) == REDISMODULE_OK;
    RedisModule_StreamIteratorStop(key);
    return found;
}

/* Of a name that comes twice the last value counts. The strings are kept until the row is written. */
static void read_entry(gears_read *r, RedisModuleKey *key, RedisModuleStreamID id, RedisModuleString **held) {
    RedisModuleString *field, *value;
    char text[48];
    for (size_t i = 0; i < r->count; i++) r->values[i] = (gears_slice){NULL, 0};
    while (RedisModule_StreamIteratorNextField(key, &field, &value) == REDISMODULE_OK) {
        size_t length;
        const char *bytes = RedisModule_StringPtrLen(field, &length);
        for (size_t i = 0; i < r->count; i++) {
            if (r->columns[i]->source != GEARS_SOURCE_FIELD || r->names[i].size != length ||
                memcmp(r->names[i].data, bytes, length) != 0)
                continue;
            if (held[i] != NULL) RedisModule_FreeString(NULL, held[i]);
            held[i] = RedisModule_HoldString(NULL, value);
            r->values[i].data = RedisModule_StringPtrLen(held[i], &r->values[i].size);
        }
        RedisModule_FreeString(NULL, field);
        RedisModule_FreeString(NULL, value);
    }
    int length = snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    gears_read_set(r, GEARS_SOURCE_INDEX, text, (size_t)length);
    gears_read_row(r);
    for (size_t i = 0; i < r->count; i++)
        if (held[i] != NULL) RedisModule_FreeString(NULL, held[i]), held[i] = NULL;
}

void gears_read_stream(gears_read *r, RedisModuleKey *key) {
    if (is_zero(r->last) && !find_last(key, &r->last)) {
        r->open = false;
        return;
    }
    RedisModuleString **held = calloc(r->count + 1, sizeof(RedisModuleString *));
    if (held == NULL) {
        gears_read_fail(r, "GEARSLIMIT out of memory");
        return;
    }
    RedisModuleStreamID id;
    long fields;
    bool begun = RedisModule_StreamIteratorStart(key, 0, &r->next, &r->last) == REDISMODULE_OK;
    while (begun && !gears_read_must_stop(r)) {
        if (RedisModule_StreamIteratorNextID(key, &id, &fields) != REDISMODULE_OK) {
            r->open = false;
            break;
        }
        read_entry(r, key, id, held);
        r->next = (RedisModuleStreamID){id.ms + (id.seq == UINT64_MAX), id.seq + 1};
    }
    if (begun)
        RedisModule_StreamIteratorStop(key);
    else
        r->open = false;
    free(held);
}
