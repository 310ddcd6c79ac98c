/* Key names that a scan has met; see names.h. */
#include "names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_CAPACITY = 64, STRING_HEAD = 32 /* the server's object, and its allocator's rounding */ };

/* Keys are chosen by clients, who do not know the seed. */
static uint64_t seed(void) {
    static _Atomic uint64_t chosen;
    uint64_t value = chosen;
    if (value != 0) return value;
    if (getrandom(&value, sizeof value, 0) != sizeof value) value = (uintptr_t)&chosen;
    return chosen = value | 1;
}

static uint64_t mixed(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const char *bytes, size_t length) {
    uint64_t state = seed() ^ length, word;
    for (; length >= sizeof word; bytes += sizeof word, length -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        state = mixed(state ^ word, 0x9e3779b97f4a7c15u);
    }
    word = 0;
    memcpy(&word, bytes, length);
    return mixed(state ^ word, 0xbf58476d1ce4e5b9u);
}

static bool is_equal(RedisModuleString *held, const char *bytes, size_t length) {
    size_t held_length;
    const char *held_bytes = RedisModule_StringPtrLen(held, &held_length);
    return held_length == length && memcmp(held_bytes, bytes, length) == 0;
}

/* Where the name is, or is to go. */
static RedisModuleString **place_of(const gears_names *names, uint64_t hashed, const char *bytes, size_t length) {
    size_t at = hashed & (names->capacity - 1);
    while (names->places[at] != NULL && !is_equal(names->places[at], bytes, length))
        at = (at + 1) & (names->capacity - 1);
    return &names->places[at];
}

/* By bits of the hash that choose no place. */
static size_t part_of(uint64_t hashed) { return hashed >> 56; }

/* Parts are full at a half to three quarters, each at its own: they do not all grow in one turn. */
static bool is_full(const gears_names *names, uint64_t hashed) {
    return names->count * 4 * GEARS_NAME_PARTS >= names->capacity * (2 * GEARS_NAME_PARTS + part_of(hashed));
}

static bool grow(gears_names *names) {
    gears_names larger = *names;
    larger.capacity = names->capacity ? names->capacity * 2 : FIRST_CAPACITY;
    larger.places = calloc(larger.capacity, sizeof *larger.places);
    if (larger.places == NULL) return false;
    for (size_t i = 0; i < names->capacity; i++) {
        size_t length;
        if (names->places[i] == NULL) continue;
        const char *bytes = RedisModule_StringPtrLen(names->places[i], &length);
        *place_of(&larger, hash(bytes, length), bytes, length) = names->places[i];
    }
    free(names->places);
    *names = larger;
    return true;
}

gears_names *gears_names_part(gears_names *parts, RedisModuleString *name) {
    size_t length;
    const char *bytes = RedisModule_StringPtrLen(name, &length);
    return &parts[part_of(hash(bytes, length))];
}

gears_name_added gears_names_add(gears_names *names, RedisModuleString *name) {
    size_t length;
    const char *bytes = RedisModule_StringPtrLen(name, &length);
    uint64_t hashed = hash(bytes, length);
    if (is_full(names, hashed) && !grow(names)) return GEARS_NAME_NO_MEMORY;
    RedisModuleString **place = place_of(names, hashed, bytes, length);
    if (*place != NULL) return GEARS_NAME_KNOWN;
    *place = RedisModule_HoldString(NULL, name);
    names->count++;
    names->bytes += length;
    return GEARS_NAME_NEW;
}

size_t gears_names_memory(const gears_names *parts) {
    size_t bytes = 0;
    for (const gears_names *part = parts; part < parts + GEARS_NAME_PARTS; part++)
        bytes += part->bytes + part->count * STRING_HEAD + part->capacity * sizeof *part->places;
    return bytes;
}

void gears_names_clear(gears_names *names) {
    for (size_t i = 0; i < names->capacity && names->count > 0; i++)
        if (names->places[i] != NULL) RedisModule_FreeString(NULL, names->places[i]), names->count--;
    free(names->places);
    *names = (gears_names){0};
}
