/* The commands and INFO. All run on the main thread and never wait for a worker: a command parses, queues, and blocks its
 * client. */
#ifndef GEARS_COMMAND_H
#define GEARS_COMMAND_H

#include "stage.h"

int gears_command_execute(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int gears_command_fetch(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int gears_command_cancel(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int gears_command_status(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int gears_command_define(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int gears_command_undefine(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
int gears_command_functions(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
void gears_command_info(RedisModuleInfoCtx *ctx, int for_crash_report);

/* Whether the calling user may run a command with this first word, by its ACL, in its database. */
bool gears_command_may(RedisModuleCtx *ctx, const char *command, const char *word);

/* True if this client may start a stage now; else it has its error. */
bool gears_command_may_start(RedisModuleCtx *ctx);
/* Queue the stage (takes the reference) and block its client; with NULL, reply with the error (freed). */
int gears_command_start(RedisModuleCtx *ctx, gears_stage *stage, char *error);

#endif
