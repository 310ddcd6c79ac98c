/* Relations that a stage brings along, given_0, given_1, …: small sides of its joins, the same on every shard. */
#ifndef GEARS_GIVEN_H
#define GEARS_GIVEN_H

#include "duckdb_api.h"
#include "stage.h"

enum { GEARS_GIVEN_CHUNK = 2048 };

/* Register the table function that reads them; once. */
bool gears_given_register(duckdb_connection connection);

#endif
