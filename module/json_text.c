/* JSON texts; see json_text.h. */
#include "json_text.h"

#include <stdlib.h>
#include <string.h>

#include "cast.h"

enum { MAX_DEPTH = 512 };

static void skip_blanks(gears_text *j) {
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r')) j->at++;
}

static bool take(gears_text *j, char c) {
    if (j->at == j->end || *j->at != c) return false;
    j->at++;
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool skip_digits(gears_text *j) {
    const char *start = j->at;
    while (j->at < j->end && is_digit(*j->at)) j->at++;
    return j->at > start;
}

static bool skip_number(gears_text *j) {
    take(j, '-');
    if (!take(j, '0') && !skip_digits(j)) return false;
    if (take(j, '.') && !skip_digits(j)) return false;
    if (j->at < j->end && (*j->at | 32) == 'e') {
        j->at++;
        if (!take(j, '+')) take(j, '-');
        return skip_digits(j);
    }
    return true;
}

static int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits of a \u escape; -1 if they are not there. */
static int read_hex(const char *s, const char *end) {
    int value = 0;
    if (end - s < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(s[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Behind "\u", whose digits are there; moves behind the character. False: half of a pair alone. */
static bool read_unicode(const char **s, const char *end, unsigned *out) {
    unsigned high = (unsigned)read_hex(*s, end);
    *s += 4;
    *out = high;
    if (high < 0xD800 || high > 0xDFFF) return true;
    if (high > 0xDBFF || end - *s < 6 || (*s)[0] != '\\' || (*s)[1] != 'u') return false;
    unsigned low = (unsigned)read_hex(*s + 2, end);
    *s += 6;
    *out = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    return low >= 0xDC00 && low <= 0xDFFF;
}

static bool skip_escape(gears_text *j) {
    if (j->at == j->end) return false;
    char c = *j->at++;
    if (c != 'u') return c != 0 && strchr("\"\\/bfnrt", c) != NULL;
    unsigned character;
    return read_hex(j->at, j->end) >= 0 && read_unicode(&j->at, j->end, &character);
}

static bool skip_string(gears_text *j) {
    const char *start = j->at;
    if (!take(j, '"')) return false;
    while (j->at < j->end) {
        unsigned char c = (unsigned char)*j->at++;
        if (c == '"') return gears_cast_utf8(start, (size_t)(j->at - start));
        if (c < 0x20 || (c == '\\' && !skip_escape(j))) return false;
    }
    return false;
}

static bool skip_word(gears_text *j, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(j->end - j->at) < length || memcmp(j->at, word, length) != 0) return false;
    j->at += length;
    return true;
}

static bool skip_value(gears_text *j, int depth);

static bool skip_name(gears_text *j, gears_slice *name) {
    const char *start = j->at;
    if (!skip_string(j)) return false;
    *name = (gears_slice){start, (size_t)(j->at - start)};
    skip_blanks(j);
    if (!take(j, ':')) return false;
    skip_blanks(j);
    return true;
}

/* Behind '{' or '['. */
static bool skip_parts(gears_text *j, char close, int depth) {
    gears_slice name;
    skip_blanks(j);
    if (take(j, close)) return true;
    do {
        skip_blanks(j);
        if (close == '}' && !skip_name(j, &name)) return false;
        if (!skip_value(j, depth)) return false;
        skip_blanks(j);
    } while (take(j, ','));
    return take(j, close);
}

static bool skip_value(gears_text *j, int depth) {
    if (j->at == j->end || depth > MAX_DEPTH) return false;
    switch (*j->at) {
    case '{': j->at++; return skip_parts(j, '}', depth + 1);
    case '[': j->at++; return skip_parts(j, ']', depth + 1);
    case '"': return skip_string(j);
    case 't': return skip_word(j, "true");
    case 'f': return skip_word(j, "false");
    case 'n': return skip_word(j, "null");
    default: return skip_number(j);
    }
}

bool gears_text_valid(const char *s, size_t n) {
    gears_text j = {s, s + n};
    skip_blanks(&j);
    if (!skip_value(&j, 0)) return false;
    skip_blanks(&j);
    return j.at == j.end;
}

bool gears_text_sees(gears_text *j, char c) {
    skip_blanks(j);
    return j->at < j->end && *j->at == c;
}

bool gears_text_take(gears_text *j, char c) {
    skip_blanks(j);
    return take(j, c);
}

bool gears_text_value(gears_text *j, gears_slice *value) {
    skip_blanks(j);
    const char *start = j->at;
    if (!skip_value(j, 0)) return false;
    *value = (gears_slice){start, (size_t)(j->at - start)};
    return true;
}

bool gears_text_name(gears_text *j, gears_slice *name) {
    skip_blanks(j);
    return skip_name(j, name);
}

bool gears_text_ended(gears_text *j) {
    skip_blanks(j);
    return j->at == j->end;
}

bool gears_text_enter(gears_text *j, const char *s, size_t n, char open) {
    *j = (gears_text){s, s + n};
    skip_blanks(j);
    return take(j, open);
}

static gears_text_step ended(gears_text *j) {
    skip_blanks(j);
    return j->at == j->end ? GEARS_TEXT_END : GEARS_TEXT_BAD;
}

gears_text_step gears_text_next(gears_text *j, bool *first, gears_slice *name, gears_slice *value) {
    skip_blanks(j);
    if (take(j, name != NULL ? '}' : ']')) return ended(j);
    if (!*first && !take(j, ',')) return GEARS_TEXT_BAD;
    *first = false;
    skip_blanks(j);
    if (name != NULL && !skip_name(j, name)) return GEARS_TEXT_BAD;
    const char *start = j->at;
    if (!skip_value(j, 1)) return GEARS_TEXT_BAD;
    *value = (gears_slice){start, (size_t)(j->at - start)};
    skip_blanks(j);
    /* A comma before the end is none of JSON. */
    bool more = j->at < j->end && *j->at == ',';
    bool closed = j->at < j->end && *j->at == (name != NULL ? '}' : ']');
    return more || closed ? GEARS_TEXT_VALUE : GEARS_TEXT_BAD;
}

static char *put_character(char *out, unsigned c) {
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (char)(0xE0 | c >> 12);
        } else {
            *out++ = (char)(0xF0 | c >> 18);
            *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (c & 0x3F));
    return out;
}

/* What an escape stands for, behind its backslash; moves behind it. Returns the end of what was put. */
static char *put_escaped(const char **s, const char *end, char *out) {
    static const char FROM[] = "bfnrt", TO[] = "\b\f\n\r\t";
    char escaped = *(*s)++;
    unsigned c;
    if (escaped == 'u') return read_unicode(s, end, &c) ? put_character(out, c) : NULL;
    const char *known = strchr(FROM, escaped);
    *out++ = known != NULL ? TO[known - FROM] : escaped;
    return out;
}

bool gears_text_characters(gears_slice string, char *out, gears_slice *characters) {
    const char *s = string.data + 1, *end = string.data + string.size - 1;
    if (memchr(s, '\\', (size_t)(end - s)) == NULL) {
        *characters = (gears_slice){s, (size_t)(end - s)};
        return true;
    }
    char *start = out;
    while (s < end && out != NULL) {
        char c = *s++;
        if (c != '\\')
            *out++ = c;
        else
            out = put_escaped(&s, end, out);
    }
    if (out != NULL) *characters = (gears_slice){start, (size_t)(out - start)};
    return out != NULL;
}

/* A string's bytes, one by one. */
typedef struct characters {
    const char *at, *end;
    char put[4];
    unsigned used, count;
} characters;

/* -1: no more. */
static int next_byte(characters *c) {
    if (c->used < c->count) return (unsigned char)c->put[c->used++];
    if (c->at == c->end) return -1;
    char byte = *c->at++;
    if (byte != '\\') return (unsigned char)byte;
    char *end = put_escaped(&c->at, c->end, c->put);
    c->count = end != NULL ? (unsigned)(end - c->put) : 0;
    c->used = 1;
    return c->count > 0 ? (unsigned char)c->put[0] : -1;
}

int gears_text_compare(gears_slice one, gears_slice other) {
    characters a = {.at = one.data + 1, .end = one.data + one.size - 1};
    characters b = {.at = other.data + 1, .end = other.data + other.size - 1};
    for (;;) {
        int x = next_byte(&a), y = next_byte(&b);
        if (x != y || x < 0) return x - y;
    }
}

bool gears_text_is(gears_slice string, gears_slice name, char *scratch) {
    gears_slice characters;
    if (!gears_text_characters(string, scratch, &characters)) return false;
    return characters.size == name.size && memcmp(characters.data, name.data, name.size) == 0;
}

int gears_text_member(const char *s, size_t n, const char *name, size_t name_size, char *out, size_t *size) {
    gears_text j;
    gears_slice key, value, text;
    bool first = true;
    int found = 0;
    char *scratch = malloc(n + 1);
    gears_text_step step = scratch != NULL && gears_text_enter(&j, s, n, '{') ? GEARS_TEXT_VALUE : GEARS_TEXT_BAD;
    while (step == GEARS_TEXT_VALUE && (step = gears_text_next(&j, &first, &key, &value)) == GEARS_TEXT_VALUE) {
        if (!gears_text_is(key, (gears_slice){name, name_size}, scratch)) continue;
        found = !gears_text_is_null(value);
        text = value;
        if (value.data[0] == '"' && !gears_text_characters(value, scratch, &text)) step = GEARS_TEXT_BAD;
        if (text.size > 0) memmove(out, text.data, text.size);
        *size = text.size;
    }
    free(scratch);
    return step == GEARS_TEXT_END ? found : -1;
}
