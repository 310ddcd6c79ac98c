/* A set of key names, by their bytes. Names are held, so freeing takes the thread that may free them: any. */
#ifndef GEARS_NAMES_H
#define GEARS_NAMES_H

#include <stddef.h>

#include "server.h"

typedef struct gears_names {
    RedisModuleString **places; /* open addressing; a power of two, at most half full */
    size_t count, capacity;
    size_t bytes; /* of the names themselves */
} gears_names;

typedef enum { GEARS_NAME_NEW, GEARS_NAME_KNOWN, GEARS_NAME_NO_MEMORY } gears_name_added;

/* Sets of very many names are divided into so many parts: so none takes long to grow. */
enum { GEARS_NAME_PARTS = 256 };

/* The part, of GEARS_NAME_PARTS, that a name belongs to. */
gears_names *gears_names_part(gears_names *parts, RedisModuleString *name);

gears_name_added gears_names_add(gears_names *names, RedisModuleString *name);
/* Memory that all parts take, or nearly so. */
size_t gears_names_memory(const gears_names *parts);
void gears_names_clear(gears_names *names);

#endif
