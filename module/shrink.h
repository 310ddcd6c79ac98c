/* Whether a database's table of keys may shrink, for servers and modes in which all keys share one table.
 *
 * A table that shrinks while RM_Scan is in its middle gives keys again that were read before. It shrinks when it is
 * less than an eighth to a tenth full, so not before its database has lost two thirds of the keys that it has had since
 * the table last changed its size. These peaks are kept here, by a look ten times a second. */
#ifndef GEARS_SHRINK_H
#define GEARS_SHRINK_H

#include <stdbool.h>
#include <stdint.h>

#include "server.h"

/* Whether a database with so many keys may have a table that shrinks now or soon; `keys` may be a new peak.
 * Any thread. */
bool gears_shrink_may(int database, uint64_t keys);

/* False: the server refused the event. Main thread, at load. */
bool gears_shrink_subscribe(RedisModuleCtx *ctx);

#endif
