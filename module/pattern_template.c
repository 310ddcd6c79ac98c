/* Key templates: matching a key and taking its placeholders' texts; see pattern.h. */
#include "pattern.h"

#include <string.h>

bool gears_pattern_template(const gears_slice *literals, size_t count, gears_template *out) {
    if (count == 0) return false;
    for (size_t i = 1; i + 1 < count; i++)
        if (literals[i].size == 0) return false;
    *out = (gears_template){literals, count - 1};
    return true;
}

/* The first place of `what` in the `n` bytes at `s`, NULL if there is none; `what` is not empty. */
static const char *find(const char *s, size_t n, const gears_slice *what) {
    for (const char *end = s + n; (size_t)(end - s) >= what->size; s++) {
        s = memchr(s, what->data[0], (size_t)(end - s) - what->size + 1);
        if (s == NULL || memcmp(s, what->data, what->size) == 0) return s;
    }
    return NULL;
}

static bool starts_with(const char *s, size_t n, const gears_slice *what) {
    return n >= what->size && (what->size == 0 || memcmp(s, what->data, what->size) == 0);
}

/* No backtracking: taking L1 … L(n-1) at their earliest places leaves the most to the rest of the key. If any choice
 * of places matches, move its first one to the earliest place: all stay in order, every placeholder but the second
 * keeps or loses text, the second only gains; so that choice matches too, and by induction the earliest ones do. The
 * last placeholder ends where the last literal, anchored at the key's end, begins. */
bool gears_pattern_capture(const gears_template *t, const char *key, size_t n, gears_slice *captures) {
    const gears_slice *literals = t->literals, *last = &literals[t->placeholders];
    if (t->placeholders == 0) return n == last->size && starts_with(key, n, last);
    if (n < literals[0].size + last->size + 1 || !starts_with(key, n, &literals[0])) return false;
    if (!starts_with(key + n - last->size, last->size, last)) return false;
    const char *start = key + literals[0].size, *end = key + n - last->size;
    for (size_t i = 0; i + 1 < t->placeholders; i++) {
        const gears_slice *literal = &literals[i + 1];
        const char *stop = start == end ? NULL : find(start + 1, (size_t)(end - start - 1), literal);
        if (stop == NULL) return false;
        captures[i] = (gears_slice){start, (size_t)(stop - start)};
        start = stop + literal->size;
    }
    captures[t->placeholders - 1] = (gears_slice){start, (size_t)(end - start)};
    return start < end;
}

gears_prefix gears_pattern_template_prefix(const gears_template *t) {
    return (gears_prefix){t->literals[0].size, t->placeholders == 1 && t->literals[1].size == 0};
}
