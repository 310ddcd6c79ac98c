/* Sets and sorted sets as rows, by the server's scan of a key; see read.h. */
#include <string.h>

#include "cast.h"
#include "read.h"

static void on_member(RedisModuleKey *key, RedisModuleString *member, RedisModuleString *score, void *data) {
    gears_read *r = data;
    size_t length;
    double number;
    char text[32];
    (void)key;
    if (r->failed) return;
    if (r->large) {
        gears_name_added added = gears_names_add(gears_names_part(r->known, member), member);
        if (added == GEARS_NAME_NO_MEMORY) gears_read_fail(r, "GEARSLIMIT out of memory");
        if (added != GEARS_NAME_NEW) return;
    }
    const char *bytes = RedisModule_StringPtrLen(member, &length);
    gears_read_set(r, GEARS_SOURCE_VALUE, bytes, length);
    if (score != NULL) {
        bytes = RedisModule_StringPtrLen(score, &length);
        /* The server writes scores in one way or another, by its version and the key's encoding. */
        if (gears_cast_value(&(gears_type){.kind = GEARS_DOUBLE}, bytes, length, &number)) {
            length = gears_read_score(number, text);
            bytes = text;
        }
        gears_read_set(r, GEARS_SOURCE_SCORE, bytes, length);
    }
    gears_read_row(r);
}

void gears_read_members(gears_read *r, RedisModuleKey *key) {
    if (r->cursor == NULL) r->cursor = RedisModule_ScanCursorCreate();
    while (!gears_read_must_stop(r)) {
        if (RedisModule_ScanKey(key, r->cursor, on_member, r)) continue;
        gears_read_end(r);
        return;
    }
}
