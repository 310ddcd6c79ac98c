/* The words of GEARSQL.EXECUTE, one after the other; see words.h. */
#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool gears_words_refuse(gears_words *w, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (w->error == NULL && vasprintf(&w->error, format, arguments) < 0) w->error = NULL;
    va_end(arguments);
    return false;
}

bool gears_words_next(gears_words *w, const char *what, const char **bytes, size_t *length) {
    if (w->at >= w->argc) return gears_words_refuse(w, "GEARSSTAGE argument %d is missing: %s", w->at, what);
    *bytes = RedisModule_StringPtrLen(w->argv[w->at++], length);
    return true;
}

bool gears_words_is(gears_words *w, const char *word) {
    size_t length;
    if (w->at >= w->argc) return false;
    const char *bytes = RedisModule_StringPtrLen(w->argv[w->at], &length);
    return strlen(word) == length && memcmp(bytes, word, length) == 0;
}

bool gears_words_expect(gears_words *w, const char *word) {
    if (!gears_words_is(w, word)) return gears_words_refuse(w, "GEARSSTAGE argument %d must be %s", w->at, word);
    w->at++;
    return true;
}

bool gears_words_count(gears_words *w, const char *what, size_t most, size_t each, size_t *count) {
    long long number;
    if (w->at >= w->argc || RedisModule_StringToLongLong(w->argv[w->at], &number) != REDISMODULE_OK)
        return gears_words_refuse(w, "GEARSSTAGE argument %d must be a number: %s", w->at, what);
    if (number < 0 || (size_t)number > most || (size_t)number * each > (size_t)(w->argc - w->at - 1))
        return gears_words_refuse(w, "GEARSSTAGE argument %d is out of range: %s", w->at, what);
    w->at++;
    *count = (size_t)number;
    return true;
}

bool gears_words_bytes(gears_words *w, const char *what, gears_bytes *out) {
    const char *bytes;
    if (!gears_words_next(w, what, &bytes, &out->length)) return false;
    out->data = malloc(out->length + 1);
    if (out->data == NULL) return gears_words_refuse(w, "GEARSLIMIT out of memory");
    memcpy(out->data, bytes, out->length);
    out->data[out->length] = 0;
    return true;
}

bool gears_words_text(gears_words *w, const char *what, char **out) {
    gears_bytes text;
    if (!gears_words_bytes(w, what, &text)) return false;
    *out = text.data;
    if (strlen(text.data) != text.length)
        return gears_words_refuse(w, "GEARSSTAGE argument %d has a NUL byte: %s", w->at - 1, what);
    return true;
}
