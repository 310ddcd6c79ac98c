/* A type's name and a text, parted by a byte 0xFF; hooks' types, too. */
#include "cast.h"

#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "hook_type.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A misfit leaves the slot; a value stays in its width. */
static void cast(const gears_type *type, const char *text, size_t n) {
    size_t width = gears_cast_width(type);
    uint8_t *slot = malloc(width ? width : 1), untouched[16];
    memset(slot, 0xA5, width ? width : 1);
    memset(untouched, 0xA5, sizeof untouched);
    if (!gears_cast_value(type, text, n, slot) && memcmp(slot, untouched, width) != 0) abort();
    if (type->kind == GEARS_VARCHAR && gears_cast_value(type, text, n, NULL) != gears_cast_utf8(text, n)) abort();
    free(slot);
}

/* What a type prints as is what it is. */
static void parse_hook_type(const char *name, size_t n) {
    gears_hook_type *type = gears_hook_type_parse(name, n);
    if (type == NULL) return;
    char *text = gears_hook_type_text(type);
    gears_hook_type *again = gears_hook_type_parse(text, strlen(text));
    if (again == NULL) abort();
    char *same = gears_hook_type_text(again);
    if (strcmp(text, same) != 0) abort();
    free(same), free(text);
    gears_hook_type_free(again), gears_hook_type_free(type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *part = memchr(data, FAKE_PART, size);
    size_t name_size = part ? (size_t)(part - data) : size;
    gears_type type;
    parse_hook_type((const char *)data, name_size);
    if (part != NULL && gears_cast_parse_type((const char *)data, name_size, &type))
    {
        cast(&type, (const char *)part + 1, size - name_size - 1);
        gears_cast_free_type(&type);
    }
    return 0;
}
