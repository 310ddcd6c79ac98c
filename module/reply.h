/* Commands of the server that a hook executes (EXECUTE in mailbox.h), and their replies (its ANSWER).
 *
 * A reply is one value; no padding, integers little-endian:
 *   'n'                        NULL
 *   'i' int64                  an integer; a boolean as 0 or 1
 *   'd' double
 *   'b' uint32 length, bytes   a string of any kind
 *   'e' uint32 length, bytes   an error: its text, without '-'
 *   'a' uint32 count, values   an array or a set; a map as key, value, key, value, …
 *
 * Only commands whose flags say `readonly` are run, as the calling user, with what its ACL allows, in the stage's
 * database; all else is an error reply. Nothing of it can block, write, or run a script. */
#ifndef GEARS_REPLY_H
#define GEARS_REPLY_H

#include "batch.h"
#include "stage.h"

/* Run the command of EXECUTE's `payload` (a private copy: it comes from a session) and write the reply. False: the
 * stage was cancelled while it waited for the server, and nothing is written.
 * Runs on: worker thread. Takes: turn, server lock. */
bool gears_reply_execute(gears_stage *stage, RedisModuleCtx *ctx, const char *payload, size_t size,
                         gears_batch_writer *writer);
/* Write an error reply. */
void gears_reply_error(gears_batch_writer *writer, const char *text);

#endif
