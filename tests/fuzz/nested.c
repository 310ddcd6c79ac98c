/* A type and a text, parted by a byte 0xFF: JSON that a field holds. Judged, and written when it fits, twice into one
 * vector; DuckDB's vectors are fake_vector.h's. */
#include "nested.h"

#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "fake_vector.h"

enum { ROWS = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every element of a list lies in its child. */
static void check(const vector *v, size_t rows) {
    const uint64_t *entries = (const uint64_t *)(const void *)v->cells;
    for (size_t i = 0; i < v->type->child_count; i++)
        check(&v->children[i], is_list(v->type) ? v->list_size : rows_inside(v->type, rows));
    for (size_t row = 0; row < rows && is_list(v->type); row++)
        if ((v->validity == NULL || v->validity[row / 64] >> (row % 64) & 1) &&
            (entries[2 * row] > v->list_size || entries[2 * row + 1] > v->list_size - entries[2 * row]))
            abort();
}

static void write(const gears_hook_type *type, const char *text, size_t n, gears_nested_room *room) {
    vector v;
    duckdb_vector handle = (duckdb_vector)(void *)&v;
    bind();
    make(&v, type, ROWS);
    for (idx_t row = 0; row < ROWS; row++)
        if (!gears_nested_write(type, text, n, room, handle, row)) abort();
    check(&v, ROWS);
    gears_nested_write_null(type, handle, 0);
    check(&v, ROWS);
    release(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *part = memchr(data, FAKE_PART, size);
    if (part == NULL) return 0;
    gears_hook_type *type = gears_hook_type_parse((const char *)data, (size_t)(part - data));
    if (type != NULL && gears_nested_is(type)) {
        size_t n = (size_t)(data + size - part - 1), cells = 0, again = 0;
        char *text = malloc(n ? n : 1); /* so that a byte behind it is seen */
        if (n) memcpy(text, part + 1, n);
        gears_nested_room room = {0};
        gears_nested_fit fit = gears_nested_judge(type, text, n, &room, &cells);
        if (fit != gears_nested_judge(type, text, n, &room, &again) || cells != again) abort();
        if (fit != GEARS_NESTED_MISFIT) write(type, text, n, &room);
        gears_nested_free(&room);
        free(text);
    }
    gears_hook_type_free(type);
    return 0;
}
