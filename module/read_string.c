/* Strings as rows, and the members of JSON objects in them; see read.h.
 *
 * By GET: RM_StringDMA would rewrite what it reads, a number or a short string, into the form that it can show. */
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "read.h"

/* Room for the characters of every string in a text. False: out of memory. */
static bool reserve(gears_read *r, size_t size) {
    if (r->scratch_size >= size) return true;
    char *grown = realloc(r->scratch, size);
    if (grown == NULL) return false;
    r->scratch = grown;
    r->scratch_size = size;
    return true;
}

/* Puts a member's value where it is wanted. `room` moves on behind the characters that had to be written. */
static bool put_member(gears_read *r, gears_slice name, gears_slice value, char **room) {
    for (size_t i = 0; i < r->count; i++) {
        if (!gears_text_is(name, r->names[i], *room)) continue;
        r->values[i] = gears_text_is_null(value) ? (gears_slice){NULL, 0} : value;
        if (value.data[0] != '"' || gears_cast_reads_json(&r->columns[i]->type)) continue;
        if (!gears_text_characters(value, *room, &r->values[i])) return false;
        if (r->values[i].data == *room) *room += r->values[i].size;
    }
    return true;
}

static bool read_object(gears_read *r, const char *bytes, size_t length) {
    gears_text j;
    gears_slice name, value;
    bool first = true;
    char *room = r->scratch;
    for (size_t i = 0; i < r->count; i++) r->values[i] = (gears_slice){NULL, 0};
    if (!gears_text_enter(&j, bytes, length, '{')) return false;
    for (;;) {
        gears_text_step step = gears_text_next(&j, &first, &name, &value);
        if (step != GEARS_TEXT_VALUE) return step == GEARS_TEXT_END;
        if (!put_member(r, name, value, &room)) return false;
    }
}

static void read_json(gears_read *r, const char *bytes, size_t length) {
    /* Two columns may read one member. */
    if (!reserve(r, length * (r->count + 1) + 1)) {
        gears_read_fail(r, "GEARSLIMIT out of memory");
    } else if (read_object(r, bytes, length)) {
        gears_read_row(r);
    } else if (!r->misfit(r->scan, (gears_slice){bytes, length})) {
        r->failed = true;
    }
}

void gears_read_string(gears_read *r, RedisModuleCtx *ctx, RedisModuleString *name) {
    r->open = false;
    if (r->count == 0) {
        gears_read_row(r);
        return;
    }
    RedisModuleCallReply *reply = RedisModule_Call(ctx, "GET", "s", name);
    int type = reply != NULL ? RedisModule_CallReplyType(reply) : REDISMODULE_REPLY_ERROR;
    size_t length = 0;
    const char *bytes = reply != NULL ? RedisModule_CallReplyStringPtr(reply, &length) : NULL;
    if (type == REDISMODULE_REPLY_STRING && r->type == GEARS_KEYS_JSON) {
        read_json(r, bytes, length);
    } else if (type == REDISMODULE_REPLY_STRING) {
        gears_read_set(r, GEARS_SOURCE_VALUE, bytes, length);
        gears_read_row(r);
    } else if (type != REDISMODULE_REPLY_NULL) {
        gears_read_fail(r, "GEARSGONE the server does not let its module read a string: %.*s", (int)length,
                        bytes ? bytes : "");
    }
    if (reply != NULL) RedisModule_FreeCallReply(reply);
}
