/* What the parser may cost; see check.h. Time: DuckDB 2.0 reads a query in WITH that has a WITH of its own two to four times
 * before it gives up, and those inside of it as often each: eight unclosed ones, ninety characters, take half a minute.
 * Calls of position() behind an arrow (x -> 1 + position(…)) are like that, too. For parentheses in each other it needs
 * memory by the square of their number. What plans write has fewer: the trees that they come from are not as deep.
 *
 * Memory, which DuckDB does not count as its own: for each token up to 3 KB (FROM a,a,…: 2.9; [[[…: 2.6; SELECT 1,1,…:
 * 1.6; a = 1 OR …: 0.6), for each byte of a text or name up to 70 (measured as a server's RSS). */
#include <string.h>
#include <strings.h>

#include "check.h"

enum { MAX_OPEN = 320, MAX_COST = 1 << 17, TOKEN_BYTES = 3072, TEXT_BYTES = 64 };

typedef enum open_kind {
    OPEN_PLAIN,
    OPEN_QUERY /* of WITH: "AS (" */,
    OPEN_NESTED /* and it has a WITH; or of a position() behind "->" */
} open_kind;

typedef struct scan {
    const char *text, *at;
    open_kind kinds[MAX_OPEN]; /* of the parentheses that are open */
    size_t open;
    unsigned depth;               /* how many of them are nested */
    bool is_named;                /* the token before was AS or MATERIALIZED */
    bool is_call;                 /* it was POSITION */
    bool has_arrow[MAX_OPEN + 1]; /* whether there was a "->", by how many parentheses were open */
} scan;

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c & 0x80;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

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

/* A WITH makes the query of WITH around it nested, however far in it stands. */
static void read_with(scan *s) {
    size_t at = s->open;
    while (at > 0 && s->kinds[at - 1] == OPEN_PLAIN) at--;
    if (at == 0 || s->kinds[at - 1] == OPEN_NESTED) return;
    s->kinds[at - 1] = OPEN_NESTED;
    s->depth++;
}

static void read_word(scan *s) {
    const char *word = s->at;
    while (is_word(*s->at)) s->at++;
    size_t length = (size_t)(s->at - word);
    if (length == 4 && strncasecmp(word, "WITH", 4) == 0) read_with(s);
    s->is_call = length == 8 && strncasecmp(word, "POSITION", 8) == 0;
    s->is_named = (length == 2 && strncasecmp(word, "AS", 2) == 0) ||
                  (length == 12 && strncasecmp(word, "MATERIALIZED", 12) == 0);
    if (*s->at == '\'') s->at = skip_quoted(s->at, length == 1 && (*word == 'e' || *word == 'E'));
}

static void read_sign(scan *s) {
    if (*s->at == '(') {
        bool is_nested = s->is_call && s->has_arrow[s->open];
        s->kinds[s->open++] = is_nested ? OPEN_NESTED : s->is_named ? OPEN_QUERY : OPEN_PLAIN;
        s->depth += is_nested;
        s->has_arrow[s->open] = false;
    }
    s->is_named = s->is_call = false;
    if (*s->at == '-' && s->at[1] == '>' && s->at[2] != '>') s->has_arrow[s->open] = true;
    if (*s->at == ')' && s->open > 0 && s->kinds[--s->open] == OPEN_NESTED) s->depth--;
    if (*s->at == '\'' || *s->at == '"')
        s->at = skip_quoted(s->at, false);
    else
        s->at++;
}

bool gears_check_affords(const char *text) {
    scan s = {.text = text, .at = text};
    uint64_t cost = 0;
    while (*s.at) {
        const char *before = s.at;
        bool is_comment = (*s.at == '-' && s.at[1] == '-') || (*s.at == '/' && s.at[1] == '*');
        if (is_comment || *s.at == '$' || s.open == MAX_OPEN) return false; /* no plan writes these */
        if (is_blank(*s.at))
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

uint64_t gears_check_memory(const char *text) {
    scan s = {.text = text, .at = text};
    uint64_t tokens = 0;
    while (*s.at) {
        tokens += !is_blank(*s.at);
        if (is_word(*s.at))
            read_word(&s);
        else
            s.at = *s.at == '\'' || *s.at == '"' ? skip_quoted(s.at, false) : s.at + 1;
    }
    return tokens * TOKEN_BYTES + (uint64_t)(s.at - text) * TEXT_BYTES;
}
