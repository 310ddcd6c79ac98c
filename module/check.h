/* The shard's own check of a stage's SQL. Any client that may query can send any text to GEARSQL.EXECUTE, and DuckDB
 * runs what it is given: so the text is parsed by DuckDB itself, and every node of its tree must be on a closed list.
 *
 *   text → json_serialize_sql → one SELECT; functions of check_names.h and of users; relations of the stage and of its
 *          own WITH; no table functions but unnest and range; no samples, no parameters, no settings, no files
 *
 * A text that passed is remembered, so a stage that comes again is not parsed for this. */
#ifndef GEARS_CHECK_H
#define GEARS_CHECK_H

#include "stage.h"

/* DuckDB's parser as a statement, which is the caller's; one for each connection. Runs on: worker threads. */
bool gears_check_prepare(duckdb_connection connection, duckdb_prepared_statement *parser);

/* False: the stage has an error, which says what may not stand in a stage.
 * Runs on: worker threads. Takes: a mutex of its own. GIL: not needed. */
bool gears_check_stage(gears_stage *stage, duckdb_prepared_statement parser);

/* Whether DuckDB's parser gives up soon on a text that is wrong. Comments and dollar quotes, which no plan has, are not
 * afforded. Runs on: anywhere, no state. */
bool gears_check_affords(const char *text);

/* Bytes that DuckDB's parser and planner may take for a text, at most. Runs on: anywhere, no state. */
uint64_t gears_check_memory(const char *text);

#endif
