/* Hooks: DuckDB's calls of user functions, a batch at a time, into the stage's sessions.
 *
 * DuckDB knows one function for each signature (hook_type.h); its first argument, a constant, is the hook's number in
 * the stage. DuckDB runs a stage on its worker's thread alone, so a thread-local says whose hooks are meant. */
#ifndef GEARS_HOOK_H
#define GEARS_HOOK_H

#include "function.h"
#include "stage.h"

/* HOOK_EXECUTE no|read: whether hooks may run read-only commands of the server as the calling user. */
extern bool gears_hook_execute;

/* Register what the stage's hooks need in DuckDB, acquire their sessions and begin the stage there. False: the stage
 * has failed. Runs on: worker thread, before the SQL is prepared. */
bool gears_hook_open(gears_stage *stage, RedisModuleCtx *ctx, duckdb_connection connection);
/* End the stage in its sessions and release them. Runs on: worker thread, after DuckDB has let go of the result. */
void gears_hook_close(gears_stage *stage);

/* DuckDB failed with this message: if a hook's error is behind it, that is the stage's. Runs on: worker thread. */
bool gears_hook_explain(gears_stage *stage, const char *message);

#endif
