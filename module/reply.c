/* Commands of the server that a hook executes; see reply.h. */
#include "reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lock.h"

enum { MAX_WORDS = 1024, MAX_DEPTH = 32 };

/* ---- replies → bytes ------------------------------------------------------------------------------------------ */

static void put_head(gears_batch_writer *w, char tag, size_t number) {
    uint32_t count = (uint32_t)number;
    if (number > UINT32_MAX) w->full = true;
    gears_batch_put_tail(w, &tag, 1);
    gears_batch_put_tail(w, &count, sizeof count);
}

static void put_bytes(gears_batch_writer *w, char tag, const char *bytes, size_t length) {
    put_head(w, tag, length);
    if (length > 0) gears_batch_put_tail(w, bytes, length);
}

static void put_integer(gears_batch_writer *w, int64_t value) {
    gears_batch_put_tail(w, "i", 1);
    gears_batch_put_tail(w, &value, sizeof value);
}

static void put_double(gears_batch_writer *w, double value) {
    gears_batch_put_tail(w, "d", 1);
    gears_batch_put_tail(w, &value, sizeof value);
}

void gears_reply_error(gears_batch_writer *w, const char *text) { put_bytes(w, 'e', text, strlen(text)); }

static void put_reply(gears_batch_writer *w, RedisModuleCallReply *reply, unsigned depth);

static void put_elements(gears_batch_writer *w, RedisModuleCallReply *reply, int type, unsigned depth) {
    size_t count = RedisModule_CallReplyLength(reply);
    put_head(w, 'a', type == REDISMODULE_REPLY_MAP ? 2 * count : count);
    for (size_t i = 0; i < count && !w->full; i++) {
        RedisModuleCallReply *key = NULL, *value = NULL;
        if (type == REDISMODULE_REPLY_ARRAY)
            value = RedisModule_CallReplyArrayElement(reply, i);
        else if (type == REDISMODULE_REPLY_SET)
            value = RedisModule_CallReplySetElement(reply, i);
        else
            RedisModule_CallReplyMapElement(reply, i, &key, &value);
        if (key != NULL) put_reply(w, key, depth + 1);
        put_reply(w, value, depth + 1);
    }
}

static void put_reply(gears_batch_writer *w, RedisModuleCallReply *reply, unsigned depth) {
    const char *bytes, *format;
    size_t length;
    int type = reply == NULL || depth > MAX_DEPTH ? REDISMODULE_REPLY_NULL : RedisModule_CallReplyType(reply);
    switch (type) {
    case REDISMODULE_REPLY_STRING:
    case REDISMODULE_REPLY_ERROR:
        bytes = RedisModule_CallReplyStringPtr(reply, &length);
        put_bytes(w, type == REDISMODULE_REPLY_ERROR ? 'e' : 'b', bytes, length);
        break;
    case REDISMODULE_REPLY_BIG_NUMBER:
        bytes = RedisModule_CallReplyBigNumber(reply, &length);
        put_bytes(w, 'b', bytes, length);
        break;
    case REDISMODULE_REPLY_VERBATIM_STRING:
        bytes = RedisModule_CallReplyVerbatim(reply, &length, &format);
        put_bytes(w, 'b', bytes, length);
        break;
    case REDISMODULE_REPLY_INTEGER: put_integer(w, RedisModule_CallReplyInteger(reply)); break;
    case REDISMODULE_REPLY_BOOL: put_integer(w, RedisModule_CallReplyBool(reply)); break;
    case REDISMODULE_REPLY_DOUBLE: put_double(w, RedisModule_CallReplyDouble(reply)); break;
    case REDISMODULE_REPLY_ARRAY:
    case REDISMODULE_REPLY_SET:
    case REDISMODULE_REPLY_MAP: put_elements(w, reply, type, depth); break;
    default: gears_batch_put_tail(w, "n", 1); break;
    }
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

/* The words, as the server's strings; released by free_words. */
typedef struct words {
    RedisModuleString *list[MAX_WORDS];
    size_t count;
} words;

static void free_words(words *w) {
    while (w->count > 0) RedisModule_FreeString(NULL, w->list[--w->count]);
}

static bool next_number(const char **at, const char *end, uint32_t *number) {
    if ((size_t)(end - *at) < sizeof *number) return false;
    memcpy(number, *at, sizeof *number);
    *at += sizeof *number;
    return true;
}

static bool read_words(const char *at, const char *end, words *out) {
    uint32_t count, length;
    if (!next_number(&at, end, &count) || count == 0 || count > MAX_WORDS) return false;
    while (out->count < count) {
        if (!next_number(&at, end, &length) || length > (size_t)(end - at)) return false;
        out->list[out->count++] = RedisModule_CreateString(NULL, at, length);
        at += length;
    }
    return true;
}

static bool flags_have(RedisModuleCallReply *flags, const char *wanted) {
    int type = RedisModule_CallReplyType(flags);
    size_t count = type == REDISMODULE_REPLY_ARRAY || type == REDISMODULE_REPLY_SET ? RedisModule_CallReplyLength(flags)
                                                                                    : 0;
    for (size_t i = 0; i < count; i++) {
        size_t length;
        RedisModuleCallReply *flag = type == REDISMODULE_REPLY_ARRAY ? RedisModule_CallReplyArrayElement(flags, i)
                                                                     : RedisModule_CallReplySetElement(flags, i);
        const char *text = RedisModule_CallReplyStringPtr(flag, &length);
        if (text != NULL && length == strlen(wanted) && memcmp(text, wanted, length) == 0) return true;
    }
    return false;
}

/* What COMMAND INFO says of a name: the third word of its only element are the flags. */
static bool is_marked_readonly(RedisModuleCtx *ctx, const char *name) {
    RedisModuleCallReply *reply = RedisModule_Call(ctx, "COMMAND", "cc", "INFO", name);
    if (reply == NULL) return false;
    RedisModuleCallReply *told = NULL, *flags = NULL;
    if (RedisModule_CallReplyType(reply) == REDISMODULE_REPLY_ARRAY) told = RedisModule_CallReplyArrayElement(reply, 0);
    if (told != NULL && RedisModule_CallReplyType(told) == REDISMODULE_REPLY_ARRAY)
        flags = RedisModule_CallReplyArrayElement(told, 2);
    bool readonly = flags != NULL && flags_have(flags, "readonly");
    RedisModule_FreeCallReply(reply);
    return readonly;
}

/* A container (MEMORY USAGE) has its flags with its subcommands: `memory|usage`. */
static bool is_readonly(RedisModuleCtx *ctx, const words *w) {
    const char *name = RedisModule_StringPtrLen(w->list[0], NULL);
    if (is_marked_readonly(ctx, name)) return true;
    if (w->count < 2 || strchr(name, '|') != NULL) return false;
    char full[128];
    int length = snprintf(full, sizeof full, "%s|%s", name, RedisModule_StringPtrLen(w->list[1], NULL));
    return length > 0 && (size_t)length < sizeof full && is_marked_readonly(ctx, full);
}

static bool has_nul(RedisModuleString *string) {
    size_t length;
    const char *bytes = RedisModule_StringPtrLen(string, &length);
    return strlen(bytes) != length;
}

/* Redis 7.0 says ERR where a client would be told NOPERM. */
static bool is_denied(RedisModuleCallReply *reply) {
    static const char *const old = "ERR acl verification failed";
    size_t length;
    if (RedisModule_CallReplyType(reply) != REDISMODULE_REPLY_ERROR) return false;
    const char *text = RedisModule_CallReplyStringPtr(reply, &length);
    return length >= strlen(old) && memcmp(text, old, strlen(old)) == 0;
}

/* v: words as an array; C: checked by the user's ACL; W: no writes; S: nothing that scripts may not; E: errors as
 * replies. Under the server lock. */
static void call(RedisModuleCtx *ctx, RedisModuleUser *user, words *w, gears_batch_writer *out) {
    const char *name = RedisModule_StringPtrLen(w->list[0], NULL);
    RedisModule_SetContextUser(ctx, user);
    RedisModuleCallReply *reply = RedisModule_Call(ctx, name, "vCWSE", w->list + 1, w->count - 1);
    RedisModule_SetContextUser(ctx, NULL);
    if (reply == NULL) {
        gears_reply_error(out, "ERR the server refused the command");
        return;
    }
    if (is_denied(reply))
        gears_reply_error(out, "NOPERM the user has no right to run this command or to read one of its keys");
    else
        put_reply(out, reply, 0);
    RedisModule_FreeCallReply(reply);
}

/* Users change at any time, and are looked up at each use (facts: a kept one crashes after ACL DELUSER). */
static void run(gears_stage *stage, RedisModuleCtx *ctx, const char *payload, size_t size, gears_batch_writer *out) {
    words w = {.count = 0};
    RedisModuleString *name = RedisModule_CreateString(NULL, stage->user.data, stage->user.length);
    RedisModuleUser *user = RedisModule_GetModuleUserFromUserName(name);
    RedisModule_FreeString(NULL, name);
    RedisModule_SelectDb(ctx, stage->database);
    if (user == NULL)
        gears_reply_error(out, "NOPERM the user was deleted");
    else if (!read_words(payload, payload + size, &w))
        gears_reply_error(out, "ERR a command is 1 to 1024 words");
    else if (has_nul(w.list[0]) || !is_readonly(ctx, &w))
        gears_reply_error(out, "NOPERM hooks may execute only commands that are marked readonly");
    else
        call(ctx, user, &w, out);
    free_words(&w);
    if (user != NULL) RedisModule_FreeModuleUser(user);
}

bool gears_reply_execute(gears_stage *stage, RedisModuleCtx *ctx, const char *payload, size_t size,
                         gears_batch_writer *writer) {
    char *start = writer->at;
    if (!gears_lock_enter(ctx, &stage->cancelled)) return false;
    uint64_t entered = gears_lock_now();
    run(stage, ctx, payload, size, writer);
    uint64_t locked = gears_lock_now() - entered;
    gears_lock_leave(ctx);
    atomic_fetch_add_explicit(&stage->locked_us, locked, memory_order_relaxed);
    if (writer->full) {
        writer->at = start;
        writer->full = false;
        gears_reply_error(writer, "ERR the reply is too long");
    }
    return true;
}
