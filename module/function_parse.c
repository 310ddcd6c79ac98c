/* The words of a definition → a function; records ↔ words; see function.h. Everything is checked, since it can come from
 * any client, a file, or the cluster bus. Runs on: main thread, and keeps no state. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "function_parts.h"
#include "stage.h"

enum { MAX_NAME = 255, MAX_HASH = 128, FIXED_WORDS = 12 };

static bool refuse(char **error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (*error == NULL && vasprintf(error, format, arguments) < 0) *error = NULL;
    va_end(arguments);
    return false;
}

/* ---- words ---------------------------------------------------------------------------------------------------- */

static bool is_word(gears_slice word, const char *text) {
    return word.size == strlen(text) && strncasecmp(word.data, text, word.size) == 0;
}

/* The place of a word in a NULL-ended list, or -1. */
static int choice(gears_slice word, const char *const *texts) {
    for (int i = 0; texts[i] != NULL; i++)
        if (is_word(word, texts[i])) return i;
    return -1;
}

bool gears_function_number(gears_slice word, uint64_t *number) {
    if (word.size == 0 || word.size > 18) return false;
    *number = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') return false;
        *number = *number * 10 + (uint64_t)(word.data[i] - '0');
    }
    return true;
}

static bool is_text(gears_slice word) {
    for (size_t i = 0; i < word.size; i++)
        if ((unsigned char)word.data[i] < 0x20 || word.data[i] == 0x7f) return false;
    return gears_cast_utf8(word.data, word.size);
}

bool gears_function_is_name(gears_slice word) { return word.size > 0 && word.size <= MAX_NAME && is_text(word); }

static bool is_hash(gears_slice word) {
    for (size_t i = 0; i < word.size; i++)
        if (word.data[i] < '0' || word.data[i] > 'z' || (word.data[i] > '9' && word.data[i] < 'a')) return false;
    return word.size > 0 && word.size <= MAX_HASH;
}

static bool copy(gears_slice word, char **out, char **error) {
    *out = malloc(word.size + 1);
    if (*out == NULL) return refuse(error, "GEARSLIMIT out of memory");
    memcpy(*out, word.data, word.size);
    (*out)[word.size] = 0;
    return true;
}

/* ---- a definition --------------------------------------------------------------------------------------------- */

static bool read_names(gears_function *function, const gears_slice *words, char **error) {
    if (!gears_function_number(words[0], &function->version) || function->version == 0)
        return refuse(error, "GEARSSTAGE a version is a number from 1, of 18 digits at most");
    if (!is_hash(words[1]))
        return refuse(error, "GEARSSTAGE a hash is of digits and small letters, %d at most", MAX_HASH);
    if (!gears_function_is_name(words[2]))
        return refuse(error, "GEARSSTAGE a function's name is UTF-8 text of %d bytes at most", MAX_NAME);
    return copy(words[1], &function->hash, error) && copy(words[2], &function->name, error);
}

static bool read_kinds(gears_function *function, const gears_slice *words, char **error) {
    static const char *const kinds[] = {"SCALAR", "AGGREGATE", NULL};
    static const char *const isolations[] = {"SESSION", "PROCESS", "MAIN", NULL};
    static const char *const stabilities[] = {"IMMUTABLE", "VOLATILE", NULL};
    int kind = choice(words[3], kinds), isolation = choice(words[4], isolations),
        stability = choice(words[5], stabilities);
    if (kind < 0) return refuse(error, "GEARSSTAGE a function is SCALAR or AGGREGATE");
    if (isolation < 0) return refuse(error, "GEARSSTAGE an isolation is SESSION, PROCESS or MAIN");
    if (stability < 0) return refuse(error, "GEARSSTAGE a function is IMMUTABLE or VOLATILE");
    function->kind = (gears_function_kind)kind;
    function->isolation = (gears_isolation)isolation;
    function->is_volatile = stability == 1;
    return true;
}

static gears_hook_type *read_type(gears_slice word, char **error) {
    gears_hook_type *type = gears_hook_type_parse(word.data, word.size);
    if (type != NULL && gears_hook_type_crosses(type)) return type;
    gears_hook_type_free(type);
    char *text = gears_escape(word.data, word.size, 128, false);
    refuse(error, "GEARSSTAGE no type of hooks: %s", text ? text : "?");
    free(text);
    return NULL;
}

static bool read_types(gears_function *function, const gears_slice *words, size_t count, char **error) {
    uint64_t parameters;
    if (!is_word(words[6], "PARAMS") || !gears_function_number(words[7], &parameters) ||
        parameters > GEARS_FUNCTION_PARAMETERS || count != FIXED_WORDS + parameters)
        return refuse(error, "GEARSSTAGE PARAMS and their number, %d at most, do not fit", GEARS_FUNCTION_PARAMETERS);
    function->parameters = calloc(parameters + 1, sizeof *function->parameters);
    if (function->parameters == NULL) return refuse(error, "GEARSLIMIT out of memory");
    for (; function->parameter_count < parameters; function->parameter_count++) {
        gears_hook_type *type = read_type(words[8 + function->parameter_count], error);
        if (type == NULL) return false;
        function->parameters[function->parameter_count] = type;
    }
    if (!is_word(words[count - 4], "RETURNS")) return refuse(error, "GEARSSTAGE RETURNS is missing");
    function->returns = read_type(words[count - 3], error);
    return function->returns != NULL;
}

static bool read_definition(gears_function *function, const gears_slice *words, size_t count, char **error) {
    gears_slice definition = words[count - 1];
    if (!is_word(words[count - 2], "DEFINITION")) return refuse(error, "GEARSSTAGE DEFINITION is missing");
    if (definition.size > GEARS_DEFINITION_BYTES)
        return refuse(error, "GEARSLIMIT a definition has %zu bytes at most", GEARS_DEFINITION_BYTES);
    if (definition.size < 2 || definition.data[0] != '{' || memchr(definition.data, 0, definition.size) != NULL ||
        !gears_cast_utf8(definition.data, definition.size))
        return refuse(error, "GEARSSTAGE a definition is a JSON object");
    function->definition_length = definition.size;
    if (!copy(definition, &function->definition, error)) return false;
    function->call = gears_hook_type_call(function->kind == GEARS_AGGREGATE, function->is_volatile,
                                          function->parameters, function->parameter_count, function->returns);
    return function->call != NULL || refuse(error, "GEARSLIMIT out of memory");
}

gears_function *gears_function_parse(const gears_slice *words, size_t count, char **error) {
    gears_function *function = calloc(1, sizeof *function);
    if (function == NULL) {
        refuse(error, "GEARSLIMIT out of memory");
        return NULL;
    }
    atomic_store(&function->references, 1);
    bool whole = count >= FIXED_WORDS || refuse(error, "GEARSSTAGE words of the definition are missing");
    if (whole && read_names(function, words, error) && read_kinds(function, words, error) &&
        read_types(function, words, count, error) && read_definition(function, words, count, error))
        return function;
    gears_function_release(function);
    return NULL;
}

void gears_function_retain(gears_function *function) { atomic_fetch_add(&function->references, 1); }

void gears_function_release(gears_function *function) {
    if (atomic_fetch_sub(&function->references, 1) != 1) return;
    for (size_t i = 0; i < function->parameter_count; i++) gears_hook_type_free(function->parameters[i]);
    gears_hook_type_free(function->returns);
    free(function->parameters);
    free(function->name);
    free(function->hash);
    free(function->definition);
    free(function->call);
    free(function);
}

/* ---- records -------------------------------------------------------------------------------------------------- */

char *gears_function_record(const gears_slice *words, size_t count, size_t *length) {
    *length = 0;
    for (size_t i = 0; i < count; i++) *length += sizeof(uint32_t) + words[i].size;
    char *record = malloc(*length ? *length : 1), *out = record;
    for (size_t i = 0; i < count && record != NULL; i++) {
        uint32_t size = (uint32_t)words[i].size;
        memcpy(out, &size, sizeof size);
        memcpy(out + sizeof size, words[i].data, size);
        out += sizeof size + size;
    }
    return record;
}

size_t gears_function_words(const char *record, size_t length, gears_slice *words) {
    size_t count = 0;
    while (length > 0) {
        uint32_t size;
        if (count == GEARS_FUNCTION_WORDS || length < sizeof size) return 0;
        memcpy(&size, record, sizeof size);
        if (length - sizeof size < size) return 0;
        words[count++] = (gears_slice){record + sizeof size, size};
        record += sizeof size + size;
        length -= sizeof size + size;
    }
    return count;
}
