/* GEARSQL.EXECUTE's words → a stage, and all of it freed again. The first word is the command's. */
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void define_a_function(void) {
    static const char *const texts[] = {"1", "abc",    "f",       "SCALAR", "SESSION",    "IMMUTABLE", "PARAMS",
                                        "1", "BIGINT", "RETURNS", "BIGINT", "DEFINITION", "{}"};
    gears_slice words[sizeof texts / sizeof *texts];
    char *error = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) words[i] = (gears_slice){texts[i], strlen(texts[i])};
    if (gears_function_store(words, sizeof texts / sizeof *texts, &error) != GEARS_STORED) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool begun;
    RedisModuleString *words[FAKE_WORDS];
    if (!begun) fake_server(), define_a_function();
    begun = true;
    long before = fake_strings();
    int count = fake_words(data, size, words);
    char *error = NULL;
    gears_stage *stage = gears_stage_parse(NULL, words, count, &error);
    if ((stage == NULL) != (error != NULL)) abort();
    if (stage != NULL) gears_stage_release(stage);
    free(error);
    fake_words_free(words, count);
    if (fake_strings() != before) abort();
    return 0;
}
