/* A scan that goes slot by slot (slots.h): which keys a turn at the server lock reads then; see scan_parts.h.
 *
 * A slot is listed under the lock and read in this turn and the next ones. One that is too large for that is left for the
 * end: then RM_Scan goes through all keys, once for all such slots, and passes over the keys of others. They have to be
 * ours and at rest in each turn. That is enough, as every key that stays is then there whenever RM_Scan comes by; and
 * since all of their names are known, none counts twice. Runs on: worker threads, within a turn. */
#include <stdlib.h>

#include "lock.h"
#include "scan_parts.h"

enum { LARGE = 10000 /* takes a millisecond to list, or three */ };

void gears_scan_fail_moved(scan_state *s, unsigned slot) {
    gears_slot_set set = {{0}};
    gears_slot_set_add(&set, slot, slot);
    char *error = gears_slots_moved(&set);
    gears_stage_fail(s->stage, "%s", error ? error : "GEARSMOVED");
    free(error);
    s->failed = true;
}

static bool is_ours(const scan_state *s, unsigned slot) {
    return s->slots_now.primary && gears_slot_set_has(&s->slots_now.owned, slot);
}

/* The next of the large slots, from `slot` on. */
static unsigned next_large(const scan_state *s, unsigned slot) {
    while (slot < GEARS_SLOT_COUNT && !gears_slot_set_has(&s->large, slot)) slot++;
    return slot;
}

static bool look_at_large(scan_state *s) {
    unsigned slot = next_large(s, 0);
    while (slot < GEARS_SLOT_COUNT && is_ours(s, slot)) slot = next_large(s, slot + 1);
    if (slot < GEARS_SLOT_COUNT) gears_scan_fail_moved(s, slot);
    return slot == GEARS_SLOT_COUNT;
}

/* A slot that was half read in the turn before must be ours still, and not have been away. */
bool gears_scan_look_at_slots(scan_state *s) {
    gears_slots *slots = s->stage->slots;
    const char *problem = gears_slots_open(slots, s->ctx);
    if (problem == NULL && slots->by_slot && !gears_slots_ask(s->ctx, &s->slots_now))
        problem = "GEARSMOVED the server does not tell its slots";
    if (problem != NULL) {
        gears_stage_fail(s->stage, "%s", problem);
        return false;
    }
    if (s->sieves) return look_at_large(s);
    bool half_read = s->names != NULL || (slots->by_slot && s->reader.open);
    if (!half_read || (is_ours(s, s->next_slot - 1) && s->slots_now.epoch == s->listed_epoch)) return true;
    gears_scan_fail_moved(s, s->next_slot - 1);
    return false;
}

/* ---- listed slots --------------------------------------------------------------------------------------------- */

void gears_scan_free_names(scan_state *s) {
    if (s->names != NULL) RedisModule_FreeCallReply(s->names);
    s->names = NULL;
}

static void read_names(scan_state *s) {
    size_t count = RedisModule_CallReplyLength(s->names);
    while (s->names_at < count && !gears_scan_is_full(s) && !s->failed && !s->reader.open) {
        if (s->names_at % KEYS_PER_LOOK == 0 && !gears_lock_may_stay()) return;
        size_t length = 0;
        RedisModuleCallReply *element = RedisModule_CallReplyArrayElement(s->names, s->names_at++);
        const char *bytes = RedisModule_CallReplyStringPtr(element, &length);
        s->seen++;
        gears_scan_read_named(s, RedisModule_CreateString(NULL, bytes, length));
    }
    if (s->names_at == count) gears_scan_free_names(s);
}

/* False: it is left, or large. */
static bool list_slot(scan_state *s, unsigned slot) {
    long long count = is_ours(s, slot) ? gears_slots_count(s->ctx, slot) : -1;
    if (count > LARGE) {
        gears_slot_set_add(&s->large, slot, slot);
        return false;
    }
    if (count >= 0) s->names = gears_slots_keys(s->ctx, slot);
    if (s->names == NULL) gears_slot_set_add(&s->stage->slots->left, slot, slot);
    return s->names != NULL;
}

/* List the next slot that is to be read and may be; those that may not are left. False: there is none. */
static bool list_next_slot(scan_state *s) {
    while (s->next_slot < GEARS_SLOT_COUNT && gears_lock_may_stay()) {
        unsigned slot = s->next_slot++;
        if (!gears_slot_set_has(&s->stage->slots->wanted, slot) || !list_slot(s, slot)) continue;
        s->names_at = 0;
        s->listed_epoch = s->slots_now.epoch;
        return true;
    }
    return false;
}

/* ---- large slots ---------------------------------------------------------------------------------------------- */

bool gears_scan_is_in_large_slot(const scan_state *s, RedisModuleString *name) {
    size_t length;
    const char *bytes = RedisModule_StringPtrLen(name, &length);
    return gears_slot_set_has(&s->large, gears_slot_of(bytes, length));
}

/* True: there are some. Those that began to move since they were counted are left. */
static bool begin_large(scan_state *s) {
    gears_slot_set all = s->large;
    s->large = (gears_slot_set){{0}};
    for (unsigned slot = 0; slot < GEARS_SLOT_COUNT; slot++)
        if (gears_slot_set_has(&all, slot))
            gears_slot_set_add(is_ours(s, slot) ? &s->large : &s->stage->slots->left, slot, slot);
    s->sieves = s->knows = next_large(s, 0) < GEARS_SLOT_COUNT;
    return s->sieves;
}

bool gears_scan_list_slots(scan_state *s) {
    if (s->sieves) return true;
    while (!gears_scan_is_full(s) && !s->failed && !s->reader.open) {
        if (s->names == NULL && !list_next_slot(s)) break;
        read_names(s);
        if (s->names != NULL) break;
    }
    if (s->failed || s->names != NULL || s->next_slot < GEARS_SLOT_COUNT || s->reader.open) return false;
    if (begin_large(s)) return true;
    s->exhausted = true;
    return false;
}
