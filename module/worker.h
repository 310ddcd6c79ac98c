/* The worker threads: persistent, each with its own DuckDB connection and thread-safe server context. */
#ifndef GEARS_WORKER_H
#define GEARS_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#include "stage.h"

enum { GEARS_WORKERS = 64 }; /* at most */

/* Module arguments. */
extern unsigned gears_worker_limit, gears_worker_memory_mb, gears_worker_queue_limit;

/* Queue a stage (takes the caller's reference). A worker is started if none is idle and the limit allows; a thread
 * that cannot be had is an error only if there is no other. False if the queue is full or no worker can run.
 * Runs on: main thread, which holds the server lock (a thread-safe context is made). */
bool gears_worker_submit(gears_stage *stage);

/* Answer stages that are cancelled and wait in the queue, without waiting for a worker. Any thread. */
void gears_worker_drop_cancelled(void);

/* Have all workers give back what is theirs and end, within `milliseconds`; false: one is still at work. Once, when all
 * stages are cancelled and none will come. Runs on: main thread, at the Shutdown event. */
bool gears_worker_end_all(unsigned milliseconds);

size_t gears_worker_count(void);
size_t gears_worker_queued(void);
unsigned long long gears_worker_stages_total(void);
unsigned long long gears_worker_rows_total(void);
/* Bytes that DuckDB held when a stage last ended; no lock, so INFO may call it. */
unsigned long long gears_worker_duckdb_memory(void);

#endif
