/* Which keys are rows, and what their placeholders hold: server globs and key templates.
 *
 * Called by the scan for every key (worker threads, server lock held) and through ctypes by the portable reader.
 * Nothing allocates; a gears_glob and a gears_template borrow the bytes they are made of.
 */
#ifndef GEARS_PATTERN_H
#define GEARS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "export.h"

/* Some bytes of somebody else; NULs are bytes like any other. `data` may be NULL if `size` is 0. */
typedef struct {
    const char *data;
    size_t size;
} gears_slice;

/* A pattern of the servers' own language (KEYS, SCAN MATCH). `plain` leading bytes stand for themselves; with
 * `simple` the rest is one '*'. Make it with gears_pattern_compile. */
typedef struct {
    const char *pattern;
    size_t size;
    size_t plain;
    bool simple;
} gears_glob;

/* Literals L0 … Ln around n placeholders, as in KeyTemplate. Make it with gears_pattern_template. */
typedef struct {
    const gears_slice *literals;
    size_t placeholders;
} gears_template;

/* What all keys of a pattern begin with. `whole` says that the pattern is nothing but the prefix and '*': every key
 * that goes on after the prefix is a match. */
typedef struct {
    size_t size;
    bool whole;
} gears_prefix;

/* Prepares a glob for gears_pattern_glob; every byte string is a glob. Keeps `pattern`. */
gears_glob gears_pattern_compile(const char *pattern, size_t n);

/* True if the glob matches the whole key, exactly as the server's SCAN MATCH does (case-sensitive). Takes time of at
 * most |pattern| * |key|. */
bool gears_pattern_glob(const gears_glob *glob, const char *key, size_t n);

/* Makes a template of `count` literals (>= 1), one more than placeholders; keeps `literals` and their bytes. False
 * (refused) if a literal between two placeholders is empty, since then no key tells where the first one ends. */
bool gears_pattern_template(const gears_slice *literals, size_t count, gears_template *out);

/* Matches a key: every placeholder takes the shortest non-empty text up to the next literal, the last literal ends
 * the key. On true `captures` (room for `placeholders`, borrowing from `key`) holds the texts; on false, rubbish. */
bool gears_pattern_capture(const gears_template *t, const char *key, size_t n, gears_slice *captures);

/* The prefix of a glob, escapes undone, is written to `prefix` (room for the glob's size). */
gears_prefix gears_pattern_prefix(const gears_glob *glob, char *prefix);

/* The prefix of a template is its first literal. `whole` with one placeholder and no literal after it; then the
 * prefix itself is no match, yet all that is longer is. */
gears_prefix gears_pattern_template_prefix(const gears_template *t);

/* gears_pattern_compile and gears_pattern_glob in one, for ctypes. */
GEARS_EXPORT bool gears_pattern_match(const char *pattern, size_t pattern_size, const char *key, size_t key_size);

#endif
