/* What a user may do, asked of the server's ACL. */
#ifndef GEARS_RIGHTS_H
#define GEARS_RIGHTS_H

#include "server.h"

/* Whether a user may run a command with this first word in a database. Runs on: main thread; others under the server lock. */
bool gears_rights_may(RedisModuleUser *user, int database, const char *command, const char *word);
/* Whether one of a user's selectors (or what stands outside of them) lets it read this key by this command.
 * Runs on: main thread; others under the server lock. */
bool gears_rights_may_read(RedisModuleUser *user, int database, const char *command, RedisModuleString *key);

#endif
