/* Ends the stages of a database that is emptied or replaced under them: FLUSHALL, FLUSHDB, SWAPDB, loading. */
#ifndef GEARS_FLUSH_H
#define GEARS_FLUSH_H

#include "server.h"

/* False: the server refused an event. Main thread, at load. */
bool gears_flush_subscribe(RedisModuleCtx *ctx);

#endif
