/* See fake.h. One thread. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duckdb_api.h"

struct RedisModuleString {
    int references;
    size_t length;
    char *bytes;
};

struct RedisModuleCallReply {
    const char *bytes;
    size_t length;
};

static struct RedisModuleCallReply nodes;
static long strings;

static void unexpected(void) {
    fputs("a function of the server that this does not have\n", stderr);
    abort();
}

static RedisModuleString *create(RedisModuleCtx *ctx, const char *bytes, size_t length) {
    (void)ctx;
    RedisModuleString *string = malloc(sizeof *string);
    *string = (RedisModuleString){1, length, malloc(length + 1)};
    if (length) memcpy(string->bytes, bytes, length);
    string->bytes[length] = 0;
    strings++;
    return string;
}

static RedisModuleString *hold(RedisModuleCtx *ctx, RedisModuleString *string) {
    (void)ctx;
    string->references++;
    return string;
}

static void release(RedisModuleCtx *ctx, RedisModuleString *string) {
    (void)ctx;
    if (--string->references > 0) return;
    strings--;
    free(string->bytes);
    free(string);
}

static const char *bytes_of(const RedisModuleString *string, size_t *length) {
    if (length != NULL) *length = string->length;
    return string->bytes;
}

/* As string2ll of servers: no blanks, no plus, no leading zeros. */
static int number_of(const RedisModuleString *string, long long *number) {
    char text[32];
    if (string->length == 0 || string->length > 20) return REDISMODULE_ERR;
    *number = strtoll(string->bytes, NULL, 10);
    int length = snprintf(text, sizeof text, "%lld", *number);
    bool same = (size_t)length == string->length && memcmp(text, string->bytes, string->length) == 0;
    return same ? REDISMODULE_OK : REDISMODULE_ERR;
}

static const char *my_id(void) { return "0123456789012345678901234567890123456789"; }
static RedisModuleString *my_user(RedisModuleCtx *ctx) { return create(ctx, "default", 7); }
static unsigned long long my_client(RedisModuleCtx *ctx) { return (void)ctx, 7; }
static int my_database(RedisModuleCtx *ctx) { return (void)ctx, 0; }
static int my_flags(RedisModuleCtx *ctx) { return (void)ctx, 0; }

static RedisModuleCallReply *call(RedisModuleCtx *ctx, const char *command, const char *format, ...) {
    (void)ctx, (void)format;
    if (strcmp(command, "CLUSTER") != 0) unexpected();
    return &nodes;
}

static const char *reply_bytes(RedisModuleCallReply *reply, size_t *length) {
    *length = reply->length;
    return reply->bytes;
}

static void free_reply(RedisModuleCallReply *reply) { (void)reply; }

static const char *duckdb_version(void) { return "v0.0.0"; }

void fake_server(void) {
    duckdb_library_version = duckdb_version;
#define FAKE(type, name, parameters) RedisModule_##name = (__typeof__(RedisModule_##name))(void *)unexpected;
    GEARS_SERVER_FUNCTIONS(FAKE)
#undef FAKE
    RedisModule_CreateString = create;
    RedisModule_HoldString = hold;
    RedisModule_FreeString = release;
    RedisModule_StringPtrLen = bytes_of;
    RedisModule_StringToLongLong = number_of;
    RedisModule_GetMyClusterID = my_id;
    RedisModule_GetCurrentUserName = my_user;
    RedisModule_GetClientId = my_client;
    RedisModule_GetSelectedDb = my_database;
    RedisModule_GetContextFlags = my_flags;
    RedisModule_Call = call;
    RedisModule_CallReplyStringPtr = reply_bytes;
    RedisModule_FreeCallReply = free_reply;
}

void fake_nodes(const char *bytes, size_t length) { nodes = (struct RedisModuleCallReply){bytes, length}; }

int fake_words(const uint8_t *data, size_t size, RedisModuleString **words) {
    int count = 0;
    size_t start = 0;
    for (size_t i = 0; i <= size && count < FAKE_WORDS; i++) {
        if (i < size && data[i] != FAKE_PART) continue;
        words[count++] = create(NULL, (const char *)data + start, i - start);
        start = i + 1;
    }
    return count;
}

void fake_words_free(RedisModuleString **words, int count) {
    for (int i = 0; i < count; i++) release(NULL, words[i]);
}

long fake_strings(void) { return strings; }
