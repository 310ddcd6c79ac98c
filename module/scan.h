/* The keyspace as DuckDB relations scan_0, scan_1, …: a table function that reads hashes under the server lock. */
#ifndef GEARS_SCAN_H
#define GEARS_SCAN_H

#include <stdbool.h>

#include "duckdb_api.h"
#include "stage.h"

/* Register the table function and the names scan_<i> with the database; once. */
bool gears_scan_register(duckdb_database database);

/* The stage whose scans the calling thread's next statement reads, and the context that it may lock with.
 * Runs on: worker threads; a statement is bound and run by the thread that set these. */
void gears_scan_set_stage(gears_stage *stage, RedisModuleCtx *ctx);
gears_stage *gears_scan_stage(void); /* the calling thread's; NULL: none */

/* After the stage's last row: false if slots moved under it, with the stage's error set. For scans that were read to
 * their ends this is known already. Runs on: worker threads. Takes: turn, server lock. */
bool gears_scan_close(gears_stage *stage, RedisModuleCtx *ctx);

#endif
