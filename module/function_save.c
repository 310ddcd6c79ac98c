/* Functions in the RDB, as aux data of the module's data type; see function.h.
 *
 * Where the server knows aux_save2 (not on Redis 7.0), an RDB without functions has no trace of the module and loads
 * without it. Saving runs in a forked child, with the registry as it was: no lock, no GIL. */
#include <stdlib.h>

#include "function.h"

enum { FORMAT = 0 };

static void save(RedisModuleIO *io, int when) {
    (void)when;
    size_t count = gears_function_known_count();
    if (count == 0) return;
    RedisModule_SaveUnsigned(io, count);
    for (size_t i = 0; i < count; i++) {
        const gears_known *known = gears_function_known(i);
        RedisModule_SaveStringBuffer(io, known->record, known->record_length);
    }
}

/* Without aux_save2 something is written in any case, so it can say that there is nothing. */
static void save_always(RedisModuleIO *io, int when) {
    if (gears_function_known_count() == 0)
        RedisModule_SaveUnsigned(io, 0);
    else
        save(io, when);
}

static bool load_record(RedisModuleIO *io) {
    gears_slice words[GEARS_FUNCTION_WORDS];
    size_t length;
    char *record = RedisModule_LoadStringBuffer(io, &length), *error = NULL;
    if (record == NULL || RedisModule_IsIOError(io)) {
        if (record != NULL) RedisModule_Free(record);
        return false;
    }
    gears_storing stored = gears_function_store(words, gears_function_words(record, length, words), &error);
    if (stored == GEARS_MALFORMED || stored == GEARS_FULL)
        RedisModule_LogIOError(io, "warning", "a saved function cannot be loaded: %s", error ? error : "out of memory");
    free(error);
    RedisModule_Free(record);
    return stored != GEARS_MALFORMED;
}

static int load(RedisModuleIO *io, int format, int when) {
    (void)when;
    if (format != FORMAT) {
        RedisModule_LogIOError(io, "warning", "the functions were saved by a later version of gearsql");
        return REDISMODULE_ERR;
    }
    uint64_t count = RedisModule_LoadUnsigned(io);
    if (RedisModule_IsIOError(io) || count > GEARS_FUNCTIONS_MOST) return REDISMODULE_ERR;
    while (count-- > 0)
        if (!load_record(io)) return REDISMODULE_ERR;
    return REDISMODULE_OK;
}

void gears_function_save_with(RedisModuleTypeMethods *methods) {
    enum { SINCE_AUX_SAVE2 = 5, SINCE_AUX = 2 };
    int known = RedisModule_GetTypeMethodVersion ? RedisModule_GetTypeMethodVersion() : SINCE_AUX;
    bool can_be_silent = known >= SINCE_AUX_SAVE2;
    methods->version = can_be_silent ? SINCE_AUX_SAVE2 : SINCE_AUX;
    methods->aux_load = load;
    methods->aux_save_triggers = REDISMODULE_AUX_BEFORE_RDB;
    if (can_be_silent)
        methods->aux_save2 = save;
    else
        methods->aux_save = save_always;
}
