/* The functions that users defined, as this server knows them: what CREATE FUNCTION stored with GEARSQL.DEFINE.
 *
 * The registry belongs to the main thread. It is saved with the RDB (function_save.c), replicated as commands, and
 * spread to the cluster's other nodes over the cluster bus (function_bus.c); the later version wins everywhere, and of
 * two with the same version the one with the larger hash. A dropped function leaves its name and the version in
 * which it was dropped. A function never changes: a stage that took one keeps it. */
#ifndef GEARS_FUNCTION_H
#define GEARS_FUNCTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hook_type.h"
#include "pattern.h"
#include "server.h"

typedef enum {
    GEARS_SCALAR,
    GEARS_AGGREGATE
} gears_function_kind; /* a table function is a scalar one that gives a list */
typedef enum { GEARS_ISOLATION_SESSION, GEARS_ISOLATION_PROCESS, GEARS_ISOLATION_MAIN } gears_isolation;

typedef struct gears_function {
    atomic_int references;
    char *name, *hash; /* hash names the definition: what a stage asks for */
    uint64_t version;
    gears_function_kind kind;
    gears_isolation isolation;
    bool is_volatile;
    size_t parameter_count;
    gears_hook_type **parameters, *returns;
    char *definition; /* JSON for the session */
    size_t definition_length;
    char *call; /* what SQL on a shard calls it: hook_type.h */
} gears_function;

void gears_function_retain(gears_function *function);
void gears_function_release(gears_function *function);

/* The function of that name if it has that hash, retained; else NULL. Runs on: main thread. */
gears_function *gears_function_find(const char *name, size_t name_length, const char *hash, size_t hash_length);

/* ---- the registry; all of it runs on the main thread ----------------------------------------------------------- */

enum { GEARS_FUNCTIONS_MOST = 4096, GEARS_FUNCTION_WORDS = 272, GEARS_FUNCTION_PARAMETERS = 256 };
#define GEARS_DEFINITION_BYTES ((size_t)1 << 20)
#define GEARS_REGISTRY_BYTES ((size_t)64 << 20)

/* What is known of a name. `record` is its words, by which it is saved and travels: each a uint32 length (little-endian)
 * and its bytes. They are the words of the command without its name: version hash name … or, dropped, version name. */
typedef struct gears_known {
    char *name;
    uint64_t version;
    gears_function *function; /* NULL: dropped */
    char *record;
    size_t record_length;
} gears_known;

typedef enum { GEARS_STORED, GEARS_SAME, GEARS_STALE, GEARS_FULL, GEARS_MALFORMED } gears_storing;

/* A function of the words of DEFINE after SET or CHECK; NULL with *error set to a malloc'ed reply. Compiles nothing. */
gears_function *gears_function_parse(const gears_slice *words, size_t count, char **error);
/* Store what such words, or the two of UNDEFINE, say. *error is a malloc'ed reply unless STORED or SAME. */
gears_storing gears_function_store(const gears_slice *words, size_t count, char **error);
/* The words of a record, GEARS_FUNCTION_WORDS at most; 0 if it is none. */
size_t gears_function_words(const char *record, size_t length, gears_slice *words);
void gears_function_clear(void);

size_t gears_function_known_count(void);
const gears_known *gears_function_known(size_t index); /* in the order of names */
const gears_known *gears_function_known_as(const char *name, size_t length);
/* Order of (version, hash) against that of `known`: negative if older. */
int gears_function_compare(uint64_t version, const char *hash, size_t hash_length, const gears_known *known);
/* Equal registries have equal ones. */
uint64_t gears_function_digest(void);

/* How many are defined. Any thread, no lock: INFO may call it. */
size_t gears_function_count(void);

/* ---- how it lasts and spreads; main thread ------------------------------------------------------------------------ */

/* Fill in what the module's data type does with the registry. */
void gears_function_save_with(RedisModuleTypeMethods *methods);
/* Begin to exchange functions with the cluster's nodes; nothing outside a cluster. In OnLoad. */
void gears_function_spread(RedisModuleCtx *ctx);
/* Tell the cluster soon that there is something new. */
void gears_function_changed(RedisModuleCtx *ctx);
/* Send what was learned from the bus to the replicas and the AOF, as a command. */
void gears_function_replicate(RedisModuleCtx *ctx, const gears_slice *words, size_t count);

#endif
