/* Binds the server's module API by name; see server.h. */
#include "server.h"

#define GEARS_DEFINE(type, name, parameters) type(*RedisModule_##name) parameters;
GEARS_SERVER_FUNCTIONS(GEARS_DEFINE)
GEARS_SERVER_OPTIONAL_FUNCTIONS(GEARS_DEFINE)
#undef GEARS_DEFINE

const char *gears_server_bind(RedisModuleCtx *ctx) {
    /* The first word of the load context is the look-up function: the API's own convention. */
    int (*get_api)(const char *, void *) = ((int (**)(const char *, void *))(void *)ctx)[0];
#define GEARS_BIND(type, name, parameters)                                                                             \
    if (get_api("RedisModule_" #name, (void *)&RedisModule_##name) != REDISMODULE_OK) return "RedisModule_" #name;
    GEARS_SERVER_FUNCTIONS(GEARS_BIND)
#undef GEARS_BIND
#define GEARS_PROBE(type, name, parameters)                                                                            \
    if (get_api("RedisModule_" #name, (void *)&RedisModule_##name) != REDISMODULE_OK) RedisModule_##name = NULL;
    GEARS_SERVER_OPTIONAL_FUNCTIONS(GEARS_PROBE)
#undef GEARS_PROBE
    return NULL;
}
