/* For test_facets.py: commands that hooks execute (reply.c): which are run, as whom, and what their replies become. The server
 * is none (tests/fuzz): it knows two commands, and answers what it is told to. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "lock.h"
#include "reply.h"

/* ---- a server ----------------------------------------------------------------------------------------------------- */

struct RedisModuleCallReply {
    int type;
    const char *bytes;
    size_t length;
    long long number;
    double real;
    RedisModuleCallReply *elements[8];
    size_t count;
};

static RedisModuleCallReply *answer; /* to the command */
static char ran[200];                /* the last command and its words */
static int replies, users, held, database;
static bool user_is_gone;
static const void *context_user;
static bool has_context_user;

static int reply_type(RedisModuleCallReply *r) { return r->type; }
static const char *reply_bytes(RedisModuleCallReply *r, size_t *length) { return *length = r->length, r->bytes; }
static const char *reply_verbatim(RedisModuleCallReply *r, size_t *length, const char **format) {
    return *format = "txt", *length = r->length, r->bytes;
}
static long long reply_integer(RedisModuleCallReply *r) { return r->number; }
static int reply_bool(RedisModuleCallReply *r) { return (int)r->number; }
static double reply_double(RedisModuleCallReply *r) { return r->real; }
static size_t reply_length(RedisModuleCallReply *r) { return r->count; }
static RedisModuleCallReply *element(RedisModuleCallReply *r, size_t i) { return i < r->count ? r->elements[i] : NULL; }
static int pair(RedisModuleCallReply *r, size_t i, RedisModuleCallReply **key, RedisModuleCallReply **value) {
    *key = r->elements[2 * i], *value = r->elements[2 * i + 1];
    return REDISMODULE_OK;
}
static void free_reply(RedisModuleCallReply *r) { (void)r, replies--; }

/* COMMAND INFO: an array of one, whose third word is a set of flags; of a command that is none, of NULL. */
static RedisModuleCallReply *describe(const char *name) {
    static RedisModuleCallReply fast = {REDISMODULE_REPLY_STRING, "fast", 4, 0, 0, {0}, 0},
                                readonly = {REDISMODULE_REPLY_STRING, "readonly", 8, 0, 0, {0}, 0},
                                flags = {REDISMODULE_REPLY_SET, NULL, 0, 0, 0, {&fast, &readonly}, 2},
                                command = {REDISMODULE_REPLY_ARRAY, NULL, 0, 0, 0, {&fast, &fast, &flags}, 3},
                                nothing = {.type = REDISMODULE_REPLY_NULL},
                                told = {REDISMODULE_REPLY_ARRAY, NULL, 0, 0, 0, {&command}, 1};
    bool exists = strcasecmp(name, "get") == 0 || strcmp(name, "memory|usage") == 0 || strcmp(name, "set") == 0;
    flags.count = strcmp(name, "set") == 0 ? 1 : 2;
    told.elements[0] = exists ? &command : &nothing;
    return replies++, &told;
}

static RedisModuleCallReply *call(RedisModuleCtx *ctx, const char *command, const char *format, ...) {
    va_list words;
    RedisModuleCallReply *told = answer;
    (void)ctx;
    CHECK(held == 1);
    va_start(words, format);
    if (strcmp(command, "COMMAND") == 0) {
        CHECK(strcmp(format, "cc") == 0 && strcmp(va_arg(words, const char *), "INFO") == 0);
        told = describe(va_arg(words, const char *));
    } else {
        CHECK(strcmp(format, "vCWSE") == 0 && has_context_user); /* the user's ACL, no writes, no scripts' sins */
        RedisModuleString **list = va_arg(words, RedisModuleString **);
        size_t count = va_arg(words, size_t), used = (size_t)snprintf(ran, sizeof ran, "%s", command);
        for (size_t i = 0; i < count && used < sizeof ran; i++)
            used += (size_t)snprintf(ran + used, sizeof ran - used, " %s", RedisModule_StringPtrLen(list[i], NULL));
        replies += told != NULL;
    }
    va_end(words);
    return told;
}

static RedisModuleUser *user_of(RedisModuleString *name) {
    CHECK(strcmp(RedisModule_StringPtrLen(name, NULL), "me") == 0);
    return user_is_gone ? NULL : (users++, (RedisModuleUser *)(void *)&users);
}
static int free_user(RedisModuleUser *user) { return (void)user, users--, REDISMODULE_OK; }
static void set_user(RedisModuleCtx *ctx, const RedisModuleUser *user) {
    (void)ctx;
    has_context_user = user != NULL;
    context_user = user;
}
static int select_database(RedisModuleCtx *ctx, int number) { return (void)ctx, database = number, REDISMODULE_OK; }
static int try_lock(RedisModuleCtx *ctx) { return (void)ctx, held++, REDISMODULE_OK; }
static void unlock(RedisModuleCtx *ctx) { (void)ctx, held--; }

/* ---- a command and what came of it -------------------------------------------------------------------------------- */

static gears_stage stage;
static char payload[1 << 16], written[1 << 16], shown[1 << 12];

static size_t put_word(size_t at, const char *bytes, size_t length) {
    uint32_t size = (uint32_t)length;
    memcpy(payload + at, &size, sizeof size);
    memcpy(payload + at + sizeof size, bytes, length);
    return at + sizeof size + length;
}

/* The words of a text, at its blanks. */
static size_t put_words(const char *text) {
    uint32_t count = 0;
    size_t at = sizeof count;
    while (*text) {
        size_t length = strcspn(text, " ");
        at = put_word(at, text, length), count++;
        text += length + (text[length] == ' ');
    }
    memcpy(payload, &count, sizeof count);
    return at;
}

/* A reply's bytes as text; returns where it ends. */
static const char *show(const char *at) {
    char tag = *at++, *out = shown + strlen(shown);
    uint32_t count = 0;
    int64_t number;
    double real;
    memcpy(&count, at, strchr("bea", tag) ? sizeof count : 0);
    switch (tag) {
    case 'i': memcpy(&number, at, 8), sprintf(out, "%lld ", (long long)number); return at + 8;
    case 'd': memcpy(&real, at, 8), sprintf(out, "%g ", real); return at + 8;
    case 'b':
    case 'e': sprintf(out, "%s%.*s' ", tag == 'e' ? "e'" : "'", (int)count, at + 4); return at + 4 + count;
    case 'a':
        sprintf(out, "[ ");
        for (at += 4; count > 0; count--) at = show(at);
        strcat(shown, "] ");
        return at;
    default: sprintf(out, "%c ", tag); return at;
    }
}

/* What a command's reply is, as text. */
static const char *execute(size_t size, size_t room) {
    gears_batch_writer writer = {written, written + room, false};
    shown[0] = ran[0] = 0;
    CHECK(gears_reply_execute(&stage, NULL, payload, size, &writer) && !writer.full);
    CHECK(show(written) == writer.at);
    CHECK(held == 0 && users == 0 && replies == 0 && context_user == NULL && fake_strings() == 0);
    return shown;
}

static bool gives(const char *command, const char *expected) {
    const char *found = execute(put_words(command), sizeof written);
    if (strcmp(found, expected) == 0) return true;
    return printf("%s: %s\n", command, found), false;
}

/* ---- what is run -------------------------------------------------------------------------------------------------- */

#define NOT_READONLY "e'NOPERM hooks may execute only commands that are marked readonly' "

static RedisModuleCallReply one = {.type = REDISMODULE_REPLY_INTEGER, .number = 1};

static void only_what_is_marked_readonly_is_run(void) {
    answer = &one;
    stage.database = 3;
    CHECK(gives("GET key", "1 ") && strcmp(ran, "GET key") == 0 && database == 3);
    CHECK(gives("memory usage key", "1 ") && strcmp(ran, "memory usage key") == 0);
    CHECK(gives("set key 1", NOT_READONLY) && ran[0] == 0);
    CHECK(gives("memory doctor", NOT_READONLY) && gives("memory", NOT_READONLY) && gives("nothing", NOT_READONLY));
    CHECK(gives("memory|usage key", "1 ")); /* the server knows no such command, and says so */
    size_t end = put_words("get") - 3;
    memcpy(payload + end, "g\0t", 3);
    CHECK(strcmp(execute(end + 3, sizeof written), NOT_READONLY) == 0);
    user_is_gone = true;
    CHECK(gives("get key", "e'NOPERM the user was deleted' "));
    user_is_gone = false;
}

static void a_command_that_is_malformed_is_refused(void) {
    static const char *const malformed = "e'ERR a command is 1 to 1024 words' ";
    size_t whole = put_words("get key");
    uint32_t count;
    for (size_t size = 0; size < whole; size++) CHECK(strcmp(execute(size, sizeof written), malformed) == 0);
    for (count = 0; count < 4; count += 3) { /* no word; more than there are */
        memcpy(payload, &count, sizeof count);
        CHECK(strcmp(execute(whole, sizeof written), malformed) == 0);
    }
    size_t at = put_word(sizeof count, "get", 3);
    for (count = 1; count < 1025; count++) at = put_word(at, "k", 1);
    memcpy(payload, &count, sizeof count);
    CHECK(strcmp(execute(at, sizeof written), malformed) == 0);
    count--;
    memcpy(payload, &count, sizeof count);
    CHECK(strcmp(execute(at, sizeof written), "1 ") == 0);
}

static void a_cancelled_stage_runs_nothing(void) {
    gears_batch_writer writer = {written, written + sizeof written, false};
    stage.cancelled = true;
    CHECK(!gears_reply_execute(&stage, NULL, payload, put_words("get key"), &writer) && writer.at == written &&
          held == 0);
    stage.cancelled = false;
}

/* ---- what replies become ------------------------------------------------------------------------------------------ */

static void every_kind_of_reply_has_its_bytes(void) {
    RedisModuleCallReply
        number = {.type = REDISMODULE_REPLY_INTEGER, .number = -5},
        truth = {.type = REDISMODULE_REPLY_BOOL, .number = 1}, real = {.type = REDISMODULE_REPLY_DOUBLE, .real = 0.5},
        text = {REDISMODULE_REPLY_STRING, "x", 1, 0, 0, {0}, 0}, nothing = {.type = REDISMODULE_REPLY_NULL},
        big = {REDISMODULE_REPLY_BIG_NUMBER, "99", 2, 0, 0, {0}, 0},
        verbatim = {REDISMODULE_REPLY_VERBATIM_STRING, "v", 1, 0, 0, {0}, 0},
        wrong = {REDISMODULE_REPLY_ERROR, "ERR no", 6, 0, 0, {0}, 0},
        map = {REDISMODULE_REPLY_MAP, NULL, 0, 0, 0, {&text, &number, &big, &real}, 2},
        set = {REDISMODULE_REPLY_SET, NULL, 0, 0, 0, {&verbatim}, 1},
        all = {REDISMODULE_REPLY_ARRAY, NULL, 0, 0, 0, {&number, &truth, &nothing, &wrong, &map, &set, NULL}, 7},
        unknown = {.type = 99};
    answer = &all;
    CHECK(gives("get k", "[ -5 1 n e'ERR no' [ 'x' -5 '99' 0.5 ] [ 'v' ] n ] "));
    answer = &unknown;
    CHECK(gives("get k", "n "));
    answer = NULL;
    CHECK(gives("get k", "e'ERR the server refused the command' "));
    wrong.bytes = "ERR acl verification failed, can't access", wrong.length = strlen(wrong.bytes);
    answer = &wrong; /* Redis 7.0's words */
    CHECK(gives("get k", "e'NOPERM the user has no right to run this command or to read one of its keys' "));
}

static void a_reply_has_bounds(void) {
    static char long_text[10000];
    RedisModuleCallReply itself = {.type = REDISMODULE_REPLY_ARRAY, .count = 1},
                         text = {REDISMODULE_REPLY_STRING, long_text, sizeof long_text, 0, 0, {0}, 0},
                         two = {REDISMODULE_REPLY_ARRAY, NULL, 0, 0, 0, {&itself, &text}, 2};
    itself.elements[0] = answer = &itself; /* deeper than any: 33 levels are written */
    const char *found = execute(put_words("get k"), sizeof written);
    CHECK(strlen(found) == 33 * 4 + 2 && strncmp(found + 64, "[ n ] ", 6) == 0);
    answer = &two;
    CHECK(strcmp(execute(put_words("get k"), 5000), "e'ERR the reply is too long' ") == 0);
}

int main(void) {
    fake_server();
    RedisModule_Call = call;
    RedisModule_CallReplyType = reply_type;
    RedisModule_CallReplyStringPtr = reply_bytes;
    RedisModule_CallReplyBigNumber = reply_bytes;
    RedisModule_CallReplyVerbatim = reply_verbatim;
    RedisModule_CallReplyInteger = reply_integer;
    RedisModule_CallReplyBool = reply_bool;
    RedisModule_CallReplyDouble = reply_double;
    RedisModule_CallReplyLength = reply_length;
    RedisModule_CallReplyArrayElement = element;
    RedisModule_CallReplySetElement = element;
    RedisModule_CallReplyMapElement = pair;
    RedisModule_FreeCallReply = free_reply;
    RedisModule_GetModuleUserFromUserName = user_of;
    RedisModule_FreeModuleUser = free_user;
    RedisModule_SetContextUser = set_user;
    RedisModule_SelectDb = select_database;
    RedisModule_ThreadSafeContextTryLock = try_lock;
    RedisModule_ThreadSafeContextUnlock = unlock;
    stage.user = (gears_bytes){strdup("me"), 2};
    only_what_is_marked_readonly_is_run();
    a_command_that_is_malformed_is_refused();
    a_cancelled_stage_runs_nothing();
    every_kind_of_reply_has_its_bytes();
    a_reply_has_bounds();
    free(stage.user.data);
    return failed;
}
