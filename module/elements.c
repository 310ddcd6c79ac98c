/* A queue of elements; see elements.h. Each value is its length, or NOTHING, and its bytes. */
#include "elements.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING UINT64_MAX

enum { FIRST_CAPACITY = 4096 };

static bool reserve(gears_elements *e, size_t more) {
    if (e->capacity - e->size >= more) return true;
    size_t capacity = e->capacity ? e->capacity : FIRST_CAPACITY;
    while (capacity - e->size < more) capacity *= 2;
    char *grown = realloc(e->bytes, capacity);
    if (grown == NULL) return false;
    e->bytes = grown;
    e->capacity = capacity;
    return true;
}

bool gears_elements_push(gears_elements *e, const gears_slice *values, size_t count) {
    size_t before = e->size;
    for (size_t i = 0; i < count; i++) {
        uint64_t length = values[i].data != NULL ? values[i].size : NOTHING;
        size_t size = values[i].data != NULL ? values[i].size : 0;
        if (!reserve(e, sizeof length + size)) {
            e->size = before;
            return false;
        }
        memcpy(e->bytes + e->size, &length, sizeof length);
        if (size > 0) memcpy(e->bytes + e->size + sizeof length, values[i].data, size);
        e->size += sizeof length + size;
    }
    e->count++;
    return true;
}

void gears_elements_pop(gears_elements *e, gears_slice *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t length;
        memcpy(&length, e->bytes + e->at, sizeof length);
        e->at += sizeof length;
        values[i] = (gears_slice){NULL, 0};
        if (length == NOTHING) continue;
        values[i] = (gears_slice){e->bytes + e->at, length};
        e->at += length;
    }
    if (--e->count > 0) return;
    /* The values stay where they are until the next push. */
    e->at = e->size = 0;
}

void gears_elements_free(gears_elements *e) {
    free(e->bytes);
    *e = (gears_elements){0};
}
