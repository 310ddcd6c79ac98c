/* Bounds of one stage: its time, the rows that it reads, the rows and bytes that it ships, its memory. A query names its own, the
 * server's are module arguments; the tighter one holds. And stages that may run only once. */
#ifndef GEARS_STAGE_LIMITS_H
#define GEARS_STAGE_LIMITS_H

#include "stage.h"

/* Module arguments; 0: no bound. */
extern unsigned gears_limits_time_ms, gears_limits_rows, gears_limits_shipped_rows, gears_limits_shipped_mb,
    gears_limits_frame_mb, gears_limits_memory_mb, gears_limits_frames_mb;

/* Give the stage the server's bounds where they are tighter, and see to its deadline. False, with the stage failed: what
 * came along with it is too much. Runs on: main thread, when the stage is accepted. */
bool gears_limits_start(RedisModuleCtx *ctx, gears_stage *stage);

/* Count rows that were read, or rows and bytes that go into a frame, which has `frame` bytes then. False, with the stage failed: too many.
 * Runs on: worker threads. Takes no lock. */
bool gears_limits_scanned(gears_stage *stage, uint64_t rows);
bool gears_limits_shipped(gears_stage *stage, uint64_t rows, uint64_t bytes, uint64_t frame);
/* Memory beside DuckDB's count, of the stage and of all of them: names that a scan has come to remember; what DuckDB may
 * take to read the text. False, with the stage failed: too much. In either case it is to be given back.
 * Runs on: any thread. Takes no lock. */
bool gears_limits_remembered(gears_stage *stage, uint64_t bytes);
bool gears_limits_reads(gears_stage *stage, uint64_t bytes);
void gears_limits_forgotten(gears_stage *stage, uint64_t bytes);
/* The frame is with its client, or thrown away: it does not count as kept any more. Runs on: worker threads. */
void gears_limits_freed(uint64_t bytes);

/* True if this user had no stage of this id here lately (4,096 stages); it has one now. Runs on: main thread. */
bool gears_limits_first_time(const gears_stage *stage);

#endif
