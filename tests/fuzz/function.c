/* The words of GEARSQL.DEFINE, and records of a file or the cluster bus: the whole input is taken as both. */
#include "function_parts.h"

#include <stdlib.h>
#include <string.h>

#include "fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const gears_slice *words, size_t count) {
    char *error = NULL;
    gears_function *function = gears_function_parse(words, count, &error);
    if ((function == NULL) != (error != NULL)) abort();
    free(error);
    if (function == NULL) return;
    size_t length; /* a record of the words is the words */
    gears_slice again[GEARS_FUNCTION_WORDS];
    char *record = gears_function_record(words, count, &length);
    if (gears_function_words(record, length, again) != count) abort();
    for (size_t i = 0; i < count; i++)
        if (again[i].size != words[i].size || memcmp(again[i].data, words[i].data, words[i].size) != 0) abort();
    free(record);
    gears_function_release(function);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gears_slice words[GEARS_FUNCTION_WORDS];
    char *error = NULL;
    size_t count = gears_function_words((const char *)data, size, words), start = 0;
    if (count > 0) parse(words, count);
    if (count > 0) gears_function_store(words, count, &error);
    free(error);
    count = 0;
    for (size_t i = 0; i <= size && count < GEARS_FUNCTION_WORDS; i++) {
        if (i < size && data[i] != FAKE_PART) continue;
        words[count++] = (gears_slice){(const char *)data + start, i - start};
        start = i + 1;
    }
    parse(words, count);
    gears_function_clear();
    return 0;
}
