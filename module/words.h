/* The words of GEARSQL.EXECUTE, taken one after the other. Each function that returns false has refused: the first refusal
 * stays. Arguments are counted from the command's name. Runs on: main thread. */
#ifndef GEARS_WORDS_H
#define GEARS_WORDS_H

#include "stage.h"

typedef struct gears_words {
    RedisModuleString **argv;
    int argc, at;
    char *error; /* malloc'ed */
} gears_words;

bool gears_words_refuse(gears_words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `what` is how the refusal names a word that is missing. */
bool gears_words_next(gears_words *w, const char *what, const char **bytes, size_t *length);
/* Whether the next word is this one; it stays the next one. */
bool gears_words_is(gears_words *w, const char *word);
bool gears_words_expect(gears_words *w, const char *word);
/* A count of things of `each` arguments, which must all be there. */
bool gears_words_count(gears_words *w, const char *what, size_t most, size_t each, size_t *count);
/* malloc'ed copies, with a NUL behind. */
bool gears_words_bytes(gears_words *w, const char *what, gears_bytes *out);
/* Text that C and DuckDB take as a C string: a NUL in it would cut it silently. */
bool gears_words_text(gears_words *w, const char *what, char **out);

#endif
