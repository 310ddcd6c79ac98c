/* What a user may do; see rights.h. */
#include "rights.h"

#include <string.h>

/* Users have rights in databases since Valkey 9.1; the older question names none. */
static bool may_run(RedisModuleUser *user, int database, RedisModuleString **words, int count) {
    if (RedisModule_ACLCheckPermissions == NULL)
        return RedisModule_ACLCheckCommandPermissions(user, words, count) == REDISMODULE_OK;
    return RedisModule_ACLCheckPermissions(user, words, count, database, NULL) == REDISMODULE_OK;
}

bool gears_rights_may(RedisModuleUser *user, int database, const char *command, const char *word) {
    enum { COUNT = 3 }; /* CLIENT KILL takes so many */
    RedisModuleString *words[COUNT] = {RedisModule_CreateString(NULL, command, strlen(command)),
                                       RedisModule_CreateString(NULL, word, strlen(word)),
                                       RedisModule_CreateString(NULL, "ID", 2)};
    bool may = may_run(user, database, words, COUNT);
    for (size_t i = 0; i < COUNT; i++) RedisModule_FreeString(NULL, words[i]);
    return may;
}

bool gears_rights_may_read(RedisModuleUser *user, int database, const char *command, RedisModuleString *key) {
    RedisModuleString *words[] = {RedisModule_CreateString(NULL, command, strlen(command)), key};
    bool may = may_run(user, database, words, sizeof words / sizeof *words);
    RedisModule_FreeString(NULL, words[0]);
    return may;
}
