/* JSON texts (RFC 8259), read in place and strictly: nothing is built, nothing allocated.
 *
 * A value's *text* is what a column reads: of a string its characters, of anything else the value as it is written.
 * Called by the scan (worker threads) and, through ctypes, by the client's portable reader. */
#ifndef GEARS_TEXT_H
#define GEARS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "export.h"
#include "pattern.h"

/* What is left of a text. */
typedef struct gears_text {
    const char *at, *end;
} gears_text;

/* True if the bytes are one JSON value, maybe between blanks: UTF-8, no deeper than 512. */
GEARS_EXPORT bool gears_text_valid(const char *s, size_t n);

/* Steps over '{' or '[' at the text's beginning. */
bool gears_text_enter(gears_text *j, const char *s, size_t n, char open);

typedef enum { GEARS_TEXT_VALUE, GEARS_TEXT_END, GEARS_TEXT_BAD } gears_text_step;

/* The next value of what was entered, as it is written; of an object also its name, with its quotes. END: it is closed,
 * and nothing follows. */
gears_text_step gears_text_next(gears_text *j, bool *first, gears_slice *name, gears_slice *value);

/* For those who walk through a text by themselves; each passes over blanks first. Takes `c` if it is next. */
bool gears_text_take(gears_text *j, char c);
/* Whether `c` is next. */
bool gears_text_sees(gears_text *j, char c);
/* A whole value, as it is written. */
bool gears_text_value(gears_text *j, gears_slice *value);
/* A member's name, with its quotes, and the colon. */
bool gears_text_name(gears_text *j, gears_slice *name);
/* Whether nothing follows. */
bool gears_text_ended(gears_text *j);

/* Which of two strings with their quotes is less, by their characters' bytes; as memcmp. */
int gears_text_compare(gears_slice one, gears_slice other);

/* A string with its quotes → its characters, in place of `out` (room for string.size bytes) or, if nothing is escaped,
 * where they stand. False: an escape that is no character (half of a surrogate pair). */
bool gears_text_characters(gears_slice string, char *out, gears_slice *characters);

/* Whether a string with its quotes is that name. `scratch` has room for string.size bytes. */
bool gears_text_is(gears_slice string, gears_slice name, char *scratch);

/* The text of an object's member, copied to `out` (room for n bytes): 1; 0 if it is missing or null; -1 if the text is
 * no object. For ctypes. */
GEARS_EXPORT int gears_text_member(const char *s, size_t n, const char *name, size_t name_size, char *out,
                                   size_t *size);

static inline bool gears_text_is_null(gears_slice value) { return value.size == 4 && value.data[0] == 'n'; }

#endif
