/* Lists as rows, by position; see read.h. */
#include <stdio.h>
#include <string.h>

#include "read.h"

enum { LOOK_BACK = 8 };

/* FNV-1a over an element of the list, and its length. */
static uint64_t add_element(uint64_t hash, RedisModuleKey *key, long long index) {
    size_t length = 0;
    RedisModuleString *element = RedisModule_ListGet(key, index);
    if (element == NULL) return ~hash;
    const char *bytes = RedisModule_StringPtrLen(element, &length);
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    RedisModule_FreeString(NULL, element);
    return (hash ^ length) * UINT64_C(1099511628211);
}

/* The elements before `index`. The server goes from one position to another step by step: so none that is far off. */
static uint64_t look_back(const gears_read *r, RedisModuleKey *key) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (long long i = r->index > LOOK_BACK ? r->index - LOOK_BACK : 0; i < r->index; i++)
        hash = add_element(hash, key, i);
    return hash;
}

static void read_element(gears_read *r, RedisModuleString *element) {
    size_t length;
    char text[24];
    const char *bytes = RedisModule_StringPtrLen(element, &length);
    gears_read_set(r, GEARS_SOURCE_VALUE, bytes, length);
    gears_read_set(r, GEARS_SOURCE_INDEX, text, (size_t)snprintf(text, sizeof text, "%lld", r->index));
    gears_read_row(r);
}

void gears_read_list(gears_read *r, RedisModuleKey *key) {
    long long length = (long long)RedisModule_ValueLength(key);
    if (r->index > 0 && (length < r->length || look_back(r, key) != r->moved)) {
        gears_read_fail(r, "GEARSCHANGED a list's elements moved while it was read, which takes more than one turn");
        return;
    }
    r->length = length;
    while (r->index < length && !gears_read_must_stop(r)) {
        RedisModuleString *element = RedisModule_ListGet(key, r->index);
        if (element == NULL) break;
        read_element(r, element);
        RedisModule_FreeString(NULL, element);
        r->index++;
    }
    if (r->index == length) r->open = false;
    if (r->open) r->moved = look_back(r, key);
}
