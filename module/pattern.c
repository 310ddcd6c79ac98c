/* Globs and key templates: see pattern.h. */
#include "pattern.h"

#include <string.h>

/* A matcher's place: what is left of the pattern and of the key. */
typedef struct {
    const char *pattern, *pattern_end;
    const char *key, *key_end;
} place;

static bool is_special(char c) { return c == '*' || c == '?' || c == '[' || c == '\\'; }

gears_glob gears_pattern_compile(const char *pattern, size_t n) {
    gears_glob glob = {.pattern = pattern, .size = n};
    while (glob.plain < n && !is_special(pattern[glob.plain])) glob.plain++;
    glob.simple = glob.plain + 1 == n && pattern[glob.plain] == '*';
    return glob;
}

/* Servers compare bytes as `char`, signed or not as the machine has it, and take the ends of a range in any order. */
static bool in_range(char c, char one, char other) {
    return one < other ? c >= one && c <= other : c >= other && c <= one;
}

/* `at->pattern` is behind '['; moves it behind the closing ']' or, if there is none, to the end. A '\' quotes the next
 * byte, but not as an end of a range; a ']' is never a member but by '\' or as the end of a range. */
static bool match_class(place *at, char c) {
    const char *p = at->pattern, *end = at->pattern_end;
    bool negated = p < end && *p == '^', found = false;
    p += negated;
    while (p < end && *p != ']') {
        if (*p == '\\' && end - p >= 2) {
            found |= p[1] == c;
            p += 2;
        } else if (end - p >= 3 && p[1] == '-') {
            found |= in_range(c, p[0], p[2]);
            p += 3;
        } else {
            found |= *p++ == c;
        }
    }
    at->pattern = p < end ? p + 1 : end;
    return found != negated;
}

/* One element of the pattern, which is no '*', against one byte of the key; moves both on. */
static bool match_one(place *at) {
    char element = *at->pattern++, c = *at->key++;
    if (element == '?') return true;
    if (element == '[') return match_class(at, c);
    if (element == '\\' && at->pattern < at->pattern_end) element = *at->pattern++;
    return element == c;
}

static void skip_stars(place *at) {
    while (at->pattern < at->pattern_end && *at->pattern == '*') at->pattern++;
}

/* Every element but '*' takes one byte, so on a failure only the last '*' need take more: what the earlier ones took
 * was the shortest, and a longer text for them leaves the later elements no place that this one has not. */
static bool match(place at) {
    place star = {0};
    for (;;) {
        if (at.pattern < at.pattern_end && *at.pattern == '*') {
            skip_stars(&at);
            if (at.pattern == at.pattern_end) return true;
            star = at;
        }
        if (at.key == at.key_end) return at.pattern == at.pattern_end;
        if (at.pattern < at.pattern_end && match_one(&at)) continue;
        if (star.pattern == NULL) return false;
        star.key++;
        at = star;
    }
}

bool gears_pattern_glob(const gears_glob *glob, const char *key, size_t n) {
    if (n == 0) return glob->size == 0 || (glob->simple && glob->plain == 0); /* to servers '**' does not match '' */
    if (n < glob->plain || memcmp(key, glob->pattern, glob->plain) != 0) return false;
    if (glob->simple) return true;
    return match((place){glob->pattern + glob->plain, glob->pattern + glob->size, key + glob->plain, key + n});
}

bool gears_pattern_match(const char *pattern, size_t pattern_size, const char *key, size_t key_size) {
    gears_glob glob = gears_pattern_compile(pattern, pattern_size);
    return gears_pattern_glob(&glob, key, key_size);
}

gears_prefix gears_pattern_prefix(const gears_glob *glob, char *prefix) {
    size_t i = 0, size = 0;
    while (i < glob->size && (glob->pattern[i] == '\\' || !is_special(glob->pattern[i]))) {
        if (glob->pattern[i] == '\\' && i + 1 < glob->size) i++;
        prefix[size++] = glob->pattern[i++];
    }
    return (gears_prefix){size, i + 1 == glob->size && glob->pattern[i] == '*'};
}
