/* Bounds on functions of DuckDB's that make much of little: repeat('x', 2000000000) allocates past memory_limit. */
#ifndef GEARS_GROW_H
#define GEARS_GROW_H

#include <stdbool.h>

#include "duckdb_api.h"

/* Put macros of the functions' own names before them, once for each database, before its configuration is locked. */
bool gears_grow_register(duckdb_connection connection);

#endif
