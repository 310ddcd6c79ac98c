/* The functions that users defined, as this server knows them: what CREATE FUNCTION stored with GEARSQL.DEFINE.
 *
 * The registry belongs to the main thread. It is saved with the RDB (aux data), replicated as commands, and spread to
 * the cluster's other nodes over the cluster bus; the later version wins everywhere. A function never changes: a stage
 * that took one keeps it. */
#ifndef GEARS_FUNCTION_H
#define GEARS_FUNCTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hook_type.h"

typedef enum { GEARS_SCALAR, GEARS_AGGREGATE } gears_function_kind; /* a table function is a scalar one that gives a list */
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

#endif
