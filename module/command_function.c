/* GEARSQL.DEFINE, UNDEFINE and FUNCTIONS; see command.h.
 *
 *   GEARSQL.DEFINE CHECK|SET version hash name SCALAR|AGGREGATE SESSION|PROCESS|MAIN IMMUTABLE|VOLATILE
 *       PARAMS n type… RETURNS type DEFINITION json
 *   GEARSQL.UNDEFINE version name
 *   GEARSQL.FUNCTIONS
 *
 * SET stores and compiles nothing: it is what replicas and the AOF get. CHECK compiles, in a session, and stores
 * nothing. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "command.h"
#include "function.h"

/* ---- changes -------------------------------------------------------------------------------------------------- */

static size_t take_words(RedisModuleString **argv, int argc, gears_slice *words) {
    size_t count = 0;
    for (int i = 0; i < argc && count < GEARS_FUNCTION_WORDS; i++, count++)
        words[count].data = RedisModule_StringPtrLen(argv[i], &words[count].size);
    return count;
}

/* A replica may know more than its primary by the cluster bus, and an AOF less than the RDB before it. */
static bool is_told(RedisModuleCtx *ctx) {
    int told = REDISMODULE_CTX_FLAGS_REPLICATED | REDISMODULE_CTX_FLAGS_LOADING;
    return RedisModule_GetContextFlags(ctx) & told;
}

static int reply_ok(RedisModuleCtx *ctx) { return RedisModule_ReplyWithSimpleString(ctx, "OK"); }

static int store(RedisModuleCtx *ctx, const gears_slice *words, size_t count) {
    char *error = NULL;
    gears_storing stored = gears_function_store(words, count, &error);
    if (stored == GEARS_STORED) {
        gears_function_changed(ctx);
        RedisModule_ReplicateVerbatim(ctx);
    }
    if (stored == GEARS_STORED || stored == GEARS_SAME || (stored == GEARS_STALE && is_told(ctx)))
        reply_ok(ctx);
    else
        RedisModule_ReplyWithError(ctx, error ? error : "GEARSLIMIT out of memory");
    free(error);
    return REDISMODULE_OK;
}

static int check(RedisModuleCtx *ctx, const gears_slice *words, size_t count) {
    char *error = NULL;
    if (!gears_command_may_start(ctx)) return REDISMODULE_OK;
    gears_function *function = gears_function_parse(words, count, &error);
    gears_stage *stage = function ? gears_stage_for_check(ctx, function, &error) : NULL;
    if (function != NULL) gears_function_release(function);
    return gears_command_start(ctx, stage, error);
}

int gears_command_define(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    gears_slice words[GEARS_FUNCTION_WORDS];
    if (argc < 14 || argc > GEARS_FUNCTION_WORDS) return RedisModule_WrongArity(ctx);
    const char *verb = RedisModule_StringPtrLen(argv[1], NULL);
    size_t count = take_words(argv + 2, argc - 2, words);
    if (strcasecmp(verb, "SET") == 0) return store(ctx, words, count);
    if (strcasecmp(verb, "CHECK") == 0) return check(ctx, words, count);
    return RedisModule_ReplyWithError(ctx, "GEARSSTAGE argument 1 must be CHECK or SET");
}

int gears_command_undefine(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    gears_slice words[2];
    if (argc != 3) return RedisModule_WrongArity(ctx);
    return store(ctx, words, take_words(argv + 1, argc - 1, words));
}

void gears_function_replicate(RedisModuleCtx *ctx, const gears_slice *words, size_t count) {
    RedisModuleString *strings[GEARS_FUNCTION_WORDS];
    if (RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_SLAVE) return; /* its primary is told as well */
    for (size_t i = 0; i < count; i++) strings[i] = RedisModule_CreateString(NULL, words[i].data, words[i].size);
    if (count == 2)
        RedisModule_Replicate(ctx, "GEARSQL.UNDEFINE", "v", strings, count);
    else
        RedisModule_Replicate(ctx, "GEARSQL.DEFINE", "cv", "SET", strings, count);
    for (size_t i = 0; i < count; i++) RedisModule_FreeString(NULL, strings[i]);
}

/* ---- the list ------------------------------------------------------------------------------------------------- */

static void reply_bytes(RedisModuleCtx *ctx, const char *name, const char *bytes, size_t length) {
    RedisModule_ReplyWithStringBuffer(ctx, name, strlen(name));
    RedisModule_ReplyWithStringBuffer(ctx, bytes, length);
}

static void reply_text(RedisModuleCtx *ctx, const char *name, const char *text) {
    reply_bytes(ctx, name, text, strlen(text));
}

static void reply_number(RedisModuleCtx *ctx, const char *name, uint64_t number) {
    RedisModule_ReplyWithStringBuffer(ctx, name, strlen(name));
    RedisModule_ReplyWithLongLong(ctx, (long long)number);
}

static void reply_type(RedisModuleCtx *ctx, const gears_hook_type *type) {
    char *text = gears_hook_type_text(type);
    RedisModule_ReplyWithStringBuffer(ctx, text ? text : "", text ? strlen(text) : 0);
    free(text);
}

static void reply_function(RedisModuleCtx *ctx, const gears_function *function) {
    static const char *const isolations[] = {"SESSION", "PROCESS", "MAIN"};
    reply_text(ctx, "hash", function->hash);
    reply_text(ctx, "kind", function->kind == GEARS_AGGREGATE ? "AGGREGATE" : "SCALAR");
    reply_text(ctx, "isolation", isolations[function->isolation]);
    reply_text(ctx, "stability", function->is_volatile ? "VOLATILE" : "IMMUTABLE");
    RedisModule_ReplyWithStringBuffer(ctx, "parameters", strlen("parameters"));
    RedisModule_ReplyWithArray(ctx, (long)function->parameter_count);
    for (size_t i = 0; i < function->parameter_count; i++) reply_type(ctx, function->parameters[i]);
    RedisModule_ReplyWithStringBuffer(ctx, "returns", strlen("returns"));
    reply_type(ctx, function->returns);
    reply_bytes(ctx, "definition", function->definition, function->definition_length);
    reply_text(ctx, "call", function->call);
}

static void reply_dropped(RedisModuleCtx *ctx) {
    static const char *const names[] = {"hash", "kind", "isolation", "stability"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) reply_text(ctx, names[i], "");
    RedisModule_ReplyWithStringBuffer(ctx, "parameters", strlen("parameters"));
    RedisModule_ReplyWithArray(ctx, 0);
    reply_text(ctx, "returns", "");
    reply_text(ctx, "definition", "");
    reply_text(ctx, "call", "");
}

int gears_command_functions(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    enum { PAIRS = 11 };
    (void)argv;
    if (argc != 1) return RedisModule_WrongArity(ctx);
    RedisModule_ReplyWithArray(ctx, (long)gears_function_known_count());
    for (size_t i = 0; i < gears_function_known_count(); i++) {
        const gears_known *known = gears_function_known(i);
        RedisModule_ReplyWithArray(ctx, 2 * PAIRS);
        reply_text(ctx, "name", known->name);
        reply_number(ctx, "version", known->version);
        if (known->function)
            reply_function(ctx, known->function);
        else
            reply_dropped(ctx);
        reply_number(ctx, "deleted", known->function == NULL);
    }
    return REDISMODULE_OK;
}
