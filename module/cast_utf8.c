/* Is it UTF-8? The Unicode standard's table of well-formed byte sequences (chapter 3, table 3-7); ASCII by words. */
#include <string.h>

#include "cast_parts.h"

static bool within(unsigned char c, unsigned char low, unsigned char high) { return c >= low && c <= high; }

/* The length of the sequence of two to four bytes that begins at `p`, 0 if it is ill-formed. */
static size_t sequence(const unsigned char *p, size_t left) {
    unsigned char lead = p[0];
    if (within(lead, 0xC2, 0xDF)) return left >= 2 && within(p[1], 0x80, 0xBF) ? 2 : 0;
    if (within(lead, 0xE0, 0xEF)) {
        unsigned char low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
        return left >= 3 && within(p[1], low, high) && within(p[2], 0x80, 0xBF) ? 3 : 0;
    }
    if (within(lead, 0xF0, 0xF4)) {
        unsigned char low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
        bool good = left >= 4 && within(p[1], low, high) && within(p[2], 0x80, 0xBF) && within(p[3], 0x80, 0xBF);
        return good ? 4 : 0;
    }
    return 0;
}

bool gears_cast_utf8(const char *s, size_t n) {
    const unsigned char *p = (const unsigned char *)s;
    size_t left = n;
    while (left > 0) {
        uint64_t word;
        for (; left >= sizeof word; p += sizeof word, left -= sizeof word) {
            memcpy(&word, p, sizeof word);
            if (word & UINT64_C(0x8080808080808080)) break;
        }
        for (; left > 0 && *p < 0x80; p++, left--) continue;
        if (left == 0) break;
        size_t length = sequence(p, left);
        if (length == 0) return false;
        p += length, left -= length;
    }
    return true;
}
