/* A pattern (or a template's literals) and a key, parted by a byte 0xFF. */
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void match_glob(const char *pattern, size_t n, const char *key, size_t m) {
    gears_glob glob = gears_pattern_compile(pattern, n);
    char *prefix = malloc(n ? n : 1);
    bool matches = gears_pattern_glob(&glob, key, m);
    if (matches != gears_pattern_match(pattern, n, key, m)) abort();
    gears_prefix found = gears_pattern_prefix(&glob, prefix);
    if (found.size > n) abort();
    /* Every match begins with the prefix, and with `whole` all that goes on after it is a match. */
    bool begins = m >= found.size && (found.size == 0 || memcmp(key, prefix, found.size) == 0);
    if (matches && !begins) abort();
    if (found.whole && begins && m > 0 && !matches) abort();
    free(prefix);
}

static void match_template(const gears_slice *literals, size_t count, const char *key, size_t m) {
    gears_template made;
    if (!gears_pattern_template(literals, count, &made)) return;
    gears_slice *captures = calloc(count, sizeof *captures);
    gears_prefix prefix = gears_pattern_template_prefix(&made);
    bool matches = gears_pattern_capture(&made, key, m, captures);
    if (matches && (m < prefix.size || memcmp(key, literals[0].data, prefix.size) != 0)) abort();
    size_t total = 0; /* literals and captures are the key */
    for (size_t i = 0; i < count && matches; i++) total += literals[i].size;
    for (size_t i = 0; i + 1 < count && matches; i++) {
        if (captures[i].size == 0) abort();
        total += captures[i].size;
    }
    if (matches && total != m) abort();
    free(captures);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gears_slice parts[64];
    size_t count = 0, start = 0;
    for (size_t i = 0; i <= size && count < 64; i++) {
        if (i < size && data[i] != FAKE_PART) continue;
        parts[count++] = (gears_slice){(const char *)data + start, i - start};
        start = i + 1;
    }
    if (count < 2) return 0;
    gears_slice key = parts[count - 1];
    match_glob(parts[0].data, parts[0].size, key.data, key.size);
    match_template(parts, count - 1, key.data, key.size);
    return 0;
}
