/* Keys that a scan may meet twice; see repeat.h. Runs on: worker threads, under the server lock. */
#include "repeat.h"

#include "slots.h"

enum { NO_SLOT = GEARS_SLOT_COUNT };

bool gears_repeat_applies(void) { return RedisModule_ClusterKeySlot != NULL; }

bool gears_repeat_begin(gears_repeat *r, RedisModuleCtx *ctx) {
    bool large = r->looking && !r->complete && r->slot < NO_SLOT;
    r->ending = false;
    r->looking = r->complete;
    return !large || gears_slots_count(ctx, r->slot) >= r->keys_then;
}

void gears_repeat_look(gears_repeat *r) {
    r->ending = true;
    if (r->looking) return; /* in one slot all the time: its keys are known */
    r->looking = true;
    r->complete = false;
    r->slot = NO_SLOT;
}

void gears_repeat_end(gears_repeat *r, RedisModuleCtx *ctx) {
    if (r->looking && !r->complete && r->slot < NO_SLOT) r->keys_then = gears_slots_count(ctx, r->slot);
}

bool gears_repeat_has(gears_repeat *r, RedisModuleString *name) {
    unsigned slot = RedisModule_ClusterKeySlot(name);
    if (slot != r->slot) {
        gears_names_clear(&r->names);
        r->complete = r->slot != NO_SLOT; /* the first key that is looked at may be in a slot's middle */
        r->looking = r->ending;
        r->slot = slot;
    }
    if (!r->looking || !r->complete) return false;
    gears_name_added added = gears_names_add(&r->names, name);
    /* Without memory the slot counts as one of which too much was read. */
    if (added == GEARS_NAME_NO_MEMORY) r->complete = false;
    return added == GEARS_NAME_KNOWN;
}

void gears_repeat_free(gears_repeat *r) { gears_names_clear(&r->names); }
