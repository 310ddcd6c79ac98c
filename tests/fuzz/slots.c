/* CLUSTER NODES as a server might tell it, and the sets that come of it. */
#include "slots.h"

#include <stdlib.h>

#include "fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool begun;
    if (!begun) fake_server();
    begun = true;
    fake_nodes((const char *)data, size);
    gears_slots slots = {.opened = false};
    gears_slot_state state;
    gears_slots_ask(NULL, &state);
    gears_slot_set_add(&slots.wanted, size % GEARS_SLOT_COUNT, size ? data[0] * 64 : 0);
    for (size_t i = 0; i < GEARS_SLOT_COUNT / 64; i++) /* what moves is not at rest */
        if (state.owned.bits[i] & state.moving.bits[i]) abort();
    if (size % 16 == 0) free(gears_slot_set_text(&state.owned, 0)); /* 100 kB, slow to check */
    if (size % 16 == 1) free(gears_slots_moved(&state.moving));
    if (gears_slots_open(&slots, NULL) == NULL) free(gears_slots_close(&slots, NULL));
    return 0;
}
