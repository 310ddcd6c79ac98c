/* For test_facets.py: the account of slots and the watch on repeated keys, on a server that is none (tests/fuzz). */
#include <stdlib.h>
#include <string.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "names.h"
#include "repeat.h"
#include "slots.h"

static void set_text(const gears_slot_set *set, size_t limit, const char *expected) {
    char *text = gears_slot_set_text(set, limit);
    CHECK(strcmp(text, expected) == 0);
    free(text);
}

static void slots_are_written_as_ranges(void) {
    gears_slot_set set = {0};
    set_text(&set, 0, "");
    gears_slot_set_add(&set, 7, 7);
    gears_slot_set_add(&set, 100, 99); /* none */
    gears_slot_set_add(&set, 9, 11);
    gears_slot_set_add(&set, 16383, 20000); /* cut at the last */
    set_text(&set, 0, "7,9-11,16383");
    set_text(&set, 1, "7,...");
    gears_slot_set_add(&set, 0, 16383);
    set_text(&set, 0, "0-16383");
    char *moved = gears_slots_moved(&set);
    CHECK(strcmp(moved, "GEARSMOVED 0-16383") == 0);
    free(moved);
}

#define NODE "0123456789012345678901234567890123456789"

static void ask(const char *nodes, gears_slot_state *state, bool told) {
    fake_nodes(nodes, strlen(nodes));
    CHECK(gears_slots_ask(NULL, state) == told);
}

static void the_own_line_tells_what_is_owned_and_at_rest(void) {
    gears_slot_state state;
    ask("b 1:1@2 master - 0 0 9 connected 5-6\n"
        "a 1:2@3 myself,master - 0 0 4 connected 0-2 8 [2->-b] [70-<-b]\n",
        &state, true);
    CHECK(state.primary && state.epoch == 4);
    set_text(&state.owned, 0, "0-1,8");
    set_text(&state.moving, 0, "2,70");
    ask("a 1:2@3 myself,slave b 0 0 4 connected\n", &state, true);
    CHECK(!state.primary);
    ask("b 1:1@2 master - 0 0 9 connected 5-6", &state, false);
    ask("", &state, false);
    ask("a 1 myself", &state, true);
    set_text(&state.owned, 0, "");
}

static void slots_that_change_under_a_whole_scan_are_named(void) {
    gears_slots slots = {.opened = false};
    gears_slot_set_add(&slots.wanted, 0, 99);
    fake_nodes("a 1 myself,master - 0 0 4 connected 0-99", 40);
    CHECK(gears_slots_open(&slots, NULL) == NULL && !slots.by_slot);
    CHECK(gears_slots_close(&slots, NULL) == NULL);
    fake_nodes("a 1 myself,master - 0 0 4 connected 0-98", 40);
    char *moved = gears_slots_close(&slots, NULL);
    CHECK(moved != NULL && strcmp(moved, "GEARSMOVED 99") == 0);
    free(moved);
    fake_nodes("a 1 myself,slave b 0 0 4 connected", 34);
    char *replica = gears_slots_close(&slots, NULL);
    CHECK(replica != NULL && strcmp(replica, GEARS_REPLICA) == 0);
    free(replica);
}

/* ---- keys ----------------------------------------------------------------------------------------------------- */

static RedisModuleString *key(const char *text) { return RedisModule_CreateString(NULL, text, strlen(text)); }

/* The slot of a key is its first letter here. */
static unsigned slot_of(RedisModuleString *name) { return (unsigned)*RedisModule_StringPtrLen(name, NULL); }

static bool has(gears_repeat *r, const char *text) {
    RedisModuleString *name = key(text);
    bool known = gears_repeat_has(r, name);
    RedisModule_FreeString(NULL, name);
    return known;
}

static void names_are_known_once_added(void) {
    gears_names names = {0};
    for (int i = 0; i < 2000; i++) {
        char text[16];
        snprintf(text, sizeof text, "key%d", i % 1000);
        RedisModuleString *name = key(text);
        CHECK(gears_names_add(&names, name) == (i < 1000 ? GEARS_NAME_NEW : GEARS_NAME_KNOWN));
        RedisModule_FreeString(NULL, name);
    }
    CHECK(names.count == 1000);
    gears_names_clear(&names);
    CHECK(names.count == 0 && fake_strings() == 0);
}

static void a_key_that_comes_again_in_its_slot_is_known(void) {
    gears_repeat r = {0};
    RedisModule_ClusterKeySlot = slot_of;
    CHECK(gears_repeat_applies());
    CHECK(gears_repeat_begin(&r, NULL));
    gears_repeat_look(&r);                                                  /* the turn ends when a slot begins */
    CHECK(r.looking && !has(&r, "a1") && !has(&r, "a2") && !has(&r, "a1")); /* in slot a's middle: nothing is known */
    CHECK(!has(&r, "b1") && r.complete);
    gears_repeat_end(&r, NULL);
    CHECK(gears_repeat_begin(&r, NULL) && r.looking);
    CHECK(has(&r, "b1") && !has(&r, "b2") && has(&r, "b2"));
    CHECK(!has(&r, "c1") && !r.looking); /* another slot: no more need to look */
    gears_repeat_free(&r);
    CHECK(fake_strings() == 0);
    RedisModule_ClusterKeySlot = NULL;
    CHECK(!gears_repeat_applies());
}

int main(void) {
    fake_server();
    slots_are_written_as_ranges();
    the_own_line_tells_what_is_owned_and_at_rest();
    slots_that_change_under_a_whole_scan_are_named();
    names_are_known_once_added();
    a_key_that_comes_again_in_its_slot_is_known();
    return failed;
}
