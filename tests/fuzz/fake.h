/* A server of strings and one reply, for C that runs without one; all else of its API ends the program. */
#ifndef GEARS_FAKE_H
#define GEARS_FAKE_H

#include "server.h"

enum { FAKE_WORDS = 1024, FAKE_PART = 0xFF };

/* Once, first. */
void fake_server(void);

/* What CLUSTER NODES answers. */
void fake_nodes(const char *bytes, size_t length);

/* The words of an input, parted by bytes 0xFF; returns how many. */
int fake_words(const uint8_t *data, size_t size, RedisModuleString **words);
void fake_words_free(RedisModuleString **words, int count);

/* Strings that were made and not freed. */
long fake_strings(void);

#endif
