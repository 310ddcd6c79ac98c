/* DuckDB's vectors ↔ the columns of a mailbox's messages (mailbox.h has the format).
 *
 * Writing goes straight into the mailbox. Reading takes a private copy of what a session wrote: a session is not
 * trusted, and could change its memory between check and use. Both run on worker threads, hold no lock that matters to
 * the server, and may be left by an exception of DuckDB (out of memory): so nothing here owns memory across its calls,
 * but for writing's selections, which DuckDB's reading calls do not interrupt. */
#ifndef GEARS_BATCH_H
#define GEARS_BATCH_H

#include "hook_type.h"

/* A place that fills up; once something did not fit, `full` stays and nothing more is written. */
typedef struct gears_batch_writer {
    char *at, *end;
    bool full;
} gears_batch_writer;

/* `length` bytes, padded to 8. */
void gears_batch_put(gears_batch_writer *writer, const void *bytes, size_t length);
/* The last part of a message: not padded. */
void gears_batch_put_tail(gears_batch_writer *writer, const void *bytes, size_t length);
/* The first `rows` values of a flat vector (DuckDB hands over no other) as a column. */
void gears_batch_write(gears_batch_writer *writer, const gears_hook_type *type, duckdb_vector vector, idx_t rows);

/* Read a column of `rows` values from [*at, end) into a flat vector, from its row `offset` on; *at moves behind it.
 * The bytes' validity words are changed in place. NULL, or what is wrong with the bytes (static storage); the vector
 * then holds anything. */
const char *gears_batch_read(char **at, const char *end, const gears_hook_type *type, duckdb_vector vector,
                             idx_t offset, idx_t rows);

#endif
