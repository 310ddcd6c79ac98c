/* What the parser may cost; see check.h. DuckDB 2.0 reads a query in WITH that begins with WITH four times before it
 * gives up, and those inside of it four times each: eight unclosed ones, ninety characters, take half a minute. */
#include <string.h>
#include <strings.h>

#include "check.h"

enum { MAX_OPEN = 4096, MAX_COST = 1 << 17 };

typedef struct scan {
    const char *at;
    bool nested[MAX_OPEN]; /* of the parentheses that are open: those of "AS (WITH" */
    size_t open;
    unsigned depth; /* how many of them are nested */
    bool is_named;  /* the token before was AS or MATERIALIZED */
    bool may_nest;  /* there were only opening parentheses since */
} scan;

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c & 0x80;
}

static const char *skip_quoted(const char *s, bool escapes) {
    char quote = *s++;
    for (; *s; s++) {
        if (escapes && *s == '\\' && s[1])
            s++;
        else if (*s == quote && *++s != quote)
            break;
    }
    return s;
}

static void read_word(scan *s) {
    const char *word = s->at;
    while (is_word(*s->at)) s->at++;
    size_t length = (size_t)(s->at - word);
    if (s->may_nest && length == 4 && strncasecmp(word, "WITH", 4) == 0) {
        s->nested[s->open - 1] = true;
        s->depth++;
    }
    s->may_nest = false;
    s->is_named = (length == 2 && strncasecmp(word, "AS", 2) == 0) ||
                  (length == 12 && strncasecmp(word, "MATERIALIZED", 12) == 0);
    if (*s->at == '\'') s->at = skip_quoted(s->at, length == 1 && (*word == 'e' || *word == 'E'));
}

static void read_sign(scan *s) {
    s->may_nest = *s->at == '(' && (s->is_named || s->may_nest);
    s->is_named = false;
    if (*s->at == '(') s->nested[s->open++] = false;
    if (*s->at == ')' && s->open > 0 && s->nested[--s->open]) s->depth--;
    if (*s->at == '\'' || *s->at == '"')
        s->at = skip_quoted(s->at, false);
    else
        s->at++;
}

bool gears_check_affords(const char *text) {
    scan s = {.at = text};
    uint64_t cost = 0;
    while (*s.at) {
        const char *before = s.at;
        bool is_comment = (*s.at == '-' && s.at[1] == '-') || (*s.at == '/' && s.at[1] == '*');
        if (is_comment || *s.at == '$' || s.open == MAX_OPEN) return false; /* no plan writes these */
        if (strchr(" \t\r\n\f\v", *s.at))
            s.at++;
        else if (is_word(*s.at))
            read_word(&s);
        else
            read_sign(&s);
        if (s.depth > 0) cost += (uint64_t)(s.at - before) << (2 * s.depth);
        if (s.depth > 16 || cost > MAX_COST) return false;
    }
    return true;
}
