/* The account of slots on the server's side; see slots.h. */
#include "slots.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lock.h"
#include "server.h"

/* Valkey's atomic slot migration: no key is missing while it runs, but the keys that are coming are seen by RM_Scan
 * before they are ours. Its events are counted here, on the main thread. */
static _Atomic uint64_t migration_events;
static _Atomic int64_t migrations_running;
static _Atomic uint64_t migrated_us; /* when the last event was */

static _Atomic uint64_t moved_us; /* when a stage last met slots on the move, or keys that may come twice */

/* What a migration that failed has brought is thrown away soon after its end, not at once. Where one slot moved key
 * by key, others will: a whole scan would fail again and again. */
enum { CLEANING_US = 1000000, RESTLESS_US = 5000000 };

static bool is_recent(uint64_t moment, uint64_t span) { return moment != 0 && gears_lock_now() - moment < span; }

/* ---- sets ----------------------------------------------------------------------------------------------------- */

/* CRC-16/XMODEM, four bits at a time. */
unsigned gears_slot_of(const char *key, size_t length) {
    static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                       0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    const char *open = memchr(key, '{', length);
    const char *close = open != NULL ? memchr(open, '}', length - (size_t)(open - key)) : NULL;
    if (close != NULL && close > open + 1) key = open + 1, length = (size_t)(close - key);
    uint16_t crc = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)key[i];
        crc = (uint16_t)(crc << 4 ^ table[(crc >> 12 ^ byte >> 4) & 15]);
        crc = (uint16_t)(crc << 4 ^ table[(crc >> 12 ^ byte) & 15]);
    }
    return crc & (GEARS_SLOT_COUNT - 1);
}

bool gears_slot_set_has(const gears_slot_set *set, unsigned slot) { return set->bits[slot / 64] >> (slot % 64) & 1; }

void gears_slot_set_add(gears_slot_set *set, unsigned first, unsigned last) {
    for (unsigned slot = first; slot <= last && slot < GEARS_SLOT_COUNT; slot++)
        set->bits[slot / 64] |= (uint64_t)1 << (slot % 64);
}

static void remove_slots(gears_slot_set *set, const gears_slot_set *other) {
    for (size_t i = 0; i < GEARS_SLOT_COUNT / 64; i++) set->bits[i] &= ~other->bits[i];
}

static bool is_empty(const gears_slot_set *set) {
    for (size_t i = 0; i < GEARS_SLOT_COUNT / 64; i++)
        if (set->bits[i]) return false;
    return true;
}

static bool are_equal(const gears_slot_set *a, const gears_slot_set *b) { return memcmp(a, b, sizeof *a) == 0; }

char *gears_slot_set_text(const gears_slot_set *set, size_t limit) {
    enum { RANGE_CHARS = 12 }; /* '16383-16383,' */
    char *text = malloc(GEARS_SLOT_COUNT / 2 * RANGE_CHARS + 4), *out = text;
    if (text == NULL) return NULL;
    size_t ranges = 0;
    for (unsigned slot = 0; slot < GEARS_SLOT_COUNT; slot++) {
        if (!gears_slot_set_has(set, slot)) continue;
        unsigned first = slot;
        while (slot + 1 < GEARS_SLOT_COUNT && gears_slot_set_has(set, slot + 1)) slot++;
        if (limit && ranges++ == limit) {
            out += sprintf(out, ",...");
            break;
        }
        out += sprintf(out, first == slot ? "%s%u" : "%s%u-%u", out == text ? "" : ",", first, slot);
    }
    *out = 0;
    return text;
}

/* ---- what the server says of itself --------------------------------------------------------------------------- */

typedef struct text {
    const char *at, *end;
} text;

/* The next word of a line, without the space after it. */
static text next_word(text *line) {
    text word = {line->at, line->at};
    while (word.end < line->end && *word.end != ' ') word.end++;
    line->at = word.end < line->end ? word.end + 1 : word.end;
    return word;
}

static bool contains(text word, const char *part) {
    return memmem(word.at, (size_t)(word.end - word.at), part, strlen(part));
}

static uint64_t number_of(const char **at, const char *end) {
    uint64_t number = 0;
    while (*at < end && **at >= '0' && **at <= '9') number = number * 10 + (uint64_t)(*(*at)++ - '0');
    return number;
}

/* '5', '0-99', or '[5->-<node>]' and '[5-<-<node>]' for a slot that moves key by key. */
static void read_span(text word, gears_slot_state *state) {
    bool moves = word.at < word.end && *word.at == '[';
    const char *at = word.at + moves;
    unsigned first = (unsigned)number_of(&at, word.end), last = first;
    if (!moves && at < word.end && *at == '-') {
        at++;
        last = (unsigned)number_of(&at, word.end);
    }
    gears_slot_set_add(moves ? &state->moving : &state->owned, first, last);
}

/* <id> <address> <flags> <primary> <ping> <pong> <epoch> <link> <slot> …, the line with the flag 'myself'. */
static bool read_own_line(text nodes, gears_slot_state *state) {
    while (nodes.at < nodes.end) {
        const char *stop = memchr(nodes.at, '\n', (size_t)(nodes.end - nodes.at));
        text line = {nodes.at, stop ? stop : nodes.end};
        nodes.at = stop ? stop + 1 : nodes.end;
        next_word(&line), next_word(&line);
        text flags = next_word(&line);
        if (!contains(flags, "myself")) continue;
        state->primary = contains(flags, "master");
        next_word(&line), next_word(&line), next_word(&line);
        text epoch = next_word(&line);
        state->epoch = number_of(&epoch.at, epoch.end);
        next_word(&line);
        while (line.at < line.end) read_span(next_word(&line), state);
        remove_slots(&state->owned, &state->moving);
        return true;
    }
    return false;
}

/* Redis 8.4 moves slots atomically in a way of its own, which we do not follow: there something may always move. */
static bool is_migrating(void) {
    return RedisModule_ClusterCanAccessKeysInSlot != NULL || atomic_load(&migrations_running) > 0 ||
           is_recent(atomic_load(&migrated_us), CLEANING_US);
}

bool gears_slots_ask(RedisModuleCtx *ctx, gears_slot_state *state) {
    memset(state, 0, sizeof *state);
    RedisModuleCallReply *reply = RedisModule_Call(ctx, "CLUSTER", "c", "NODES");
    if (reply == NULL) return false;
    size_t length = 0;
    const char *bytes = RedisModule_CallReplyStringPtr(reply, &length);
    bool told = bytes != NULL && read_own_line((text){bytes, bytes + length}, state);
    RedisModule_FreeCallReply(reply);
    state->migrations = atomic_load(&migration_events);
    state->migrating = is_migrating();
    return told;
}

RedisModuleCallReply *gears_slots_keys(RedisModuleCtx *ctx, unsigned slot) {
    RedisModuleCallReply *reply = RedisModule_Call(ctx, "CLUSTER", "cll", "GETKEYSINSLOT", (long long)slot,
                                                   (long long)INT32_MAX);
    if (reply != NULL && RedisModule_CallReplyType(reply) == REDISMODULE_REPLY_ARRAY) return reply;
    if (reply != NULL) RedisModule_FreeCallReply(reply);
    return NULL;
}

long long gears_slots_count(RedisModuleCtx *ctx, unsigned slot) {
    RedisModuleCallReply *reply = RedisModule_Call(ctx, "CLUSTER", "cl", "COUNTKEYSINSLOT", (long long)slot);
    if (reply == NULL) return -1;
    bool told = RedisModule_CallReplyType(reply) == REDISMODULE_REPLY_INTEGER;
    long long count = told ? RedisModule_CallReplyInteger(reply) : -1;
    RedisModule_FreeCallReply(reply);
    return count;
}

void gears_slots_distrust(void) { atomic_store(&moved_us, gears_lock_now()); }

/* ---- a stage -------------------------------------------------------------------------------------------------- */

const char *gears_slots_open(gears_slots *slots, RedisModuleCtx *ctx) {
    if (slots->opened) return NULL;
    gears_slot_state *now = &slots->at_start;
    if (!gears_slots_ask(ctx, now)) return "GEARSMOVED the server does not tell its slots";
    if (!now->primary) return GEARS_REPLICA;
    slots->opened = true;
    if (!is_empty(&now->moving)) gears_slots_distrust();
    slots->by_slot = now->migrating || is_recent(atomic_load(&moved_us), RESTLESS_US) ||
                     !are_equal(&now->owned, &slots->wanted);
    return NULL;
}

static bool is_same(const gears_slot_state *a, const gears_slot_state *b) {
    return a->primary == b->primary && a->epoch == b->epoch && a->migrations == b->migrations &&
           are_equal(&a->owned, &b->owned) && are_equal(&a->moving, &b->moving);
}

/* The slots whose state differs; all of the first, when none does. */
static gears_slot_set differing(const gears_slot_state *a, const gears_slot_state *b) {
    gears_slot_set set;
    for (size_t i = 0; i < GEARS_SLOT_COUNT / 64; i++)
        set.bits[i] = (a->owned.bits[i] ^ b->owned.bits[i]) | (a->moving.bits[i] ^ b->moving.bits[i]);
    return is_empty(&set) ? a->owned : set;
}

char *gears_slots_moved(const gears_slot_set *set) {
    enum { SHOWN_RANGES = 20 };
    char *error = NULL, *text = gears_slot_set_text(set, SHOWN_RANGES);
    if (text == NULL || asprintf(&error, "GEARSMOVED %s", text) < 0) error = NULL;
    free(text);
    return error ? error : strdup("GEARSMOVED");
}

char *gears_slots_close(gears_slots *slots, RedisModuleCtx *ctx) {
    gears_slot_state now;
    if (!slots->opened) return NULL;
    if (!gears_slots_ask(ctx, &now)) return strdup("GEARSMOVED the server does not tell its slots");
    if (!now.primary) return strdup(GEARS_REPLICA);
    if (!slots->by_slot && !slots->at_once && !is_same(&slots->at_start, &now)) {
        gears_slot_set changed = differing(&slots->at_start, &now);
        gears_slots_distrust();
        return gears_slots_moved(&changed);
    }
    /* One scan's rows and another's would be of different slots. */
    return slots->executions > 1 && !is_empty(&slots->left) ? gears_slots_moved(&slots->left) : NULL;
}

/* ---- Valkey's atomic slot migration --------------------------------------------------------------------------- */

static void on_migration(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    enum { IMPORT_STARTED, EXPORT_STARTED };
    (void)ctx, (void)event, (void)data;
    bool starts = subevent == IMPORT_STARTED || subevent == EXPORT_STARTED;
    atomic_fetch_add(&migration_events, 1);
    atomic_fetch_add(&migrations_running, starts ? 1 : -1);
    atomic_store(&migrated_us, gears_lock_now());
}

void gears_slots_subscribe(RedisModuleCtx *ctx) {
    RedisModuleEvent event = {.id = REDISMODULE_EVENT_ATOMIC_SLOT_MIGRATION, .dataver = 1};
    RedisModule_SubscribeToServerEvent(ctx, event, on_migration);
}
