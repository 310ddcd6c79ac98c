/* Types of columns → DuckDB's logical types. */
#ifndef GEARS_LOGICAL_H
#define GEARS_LOGICAL_H

#include "cast.h"
#include "duckdb_api.h"

/* The caller destroys it. JSON is DuckDB's own alias of VARCHAR. */
duckdb_logical_type gears_logical_type(const gears_type *type);

#endif
