/* Rows before they are DuckDB's: a page of them, laid out like DuckDB's vectors (snapshot.h); see scan_parts.h.
 *
 * DuckDB leaves by an exception when its memory is short, whatever C stands between. Through a turn it would take the
 * server lock along, which nobody would ever free: so no turn calls DuckDB, and neither does a snapshot's child. Rows are
 * read into a page, in memory of ours, and copied when the turn is over. Nested values are texts there. */
#include <stdlib.h>
#include <string.h>

#include "scan_parts.h"

enum { PAGE_HEAD = 64, ALIGN = 64, FIRST_PAGE = (sizeof(gears_load) + ALIGN - 1) / ALIGN * ALIGN };
enum { MOST_TEXT = 4 << 20, FIRST_TEXT = 64 << 10, KEPT_BYTES = 16 << 20 };

/* ---- layout --------------------------------------------------------------------------------------------------- */

/* Where a target's values lie in a page: their bitmap, then they. Returns where the next target's begin. */
static uint64_t place(const scan_state *s, const target *t, uint64_t at, uint64_t *values) {
    uint64_t width = t->column == NULL ? 0 : t->width ? t->width : sizeof(duckdb_string_t);
    *values = at + s->capacity / 8;
    return (*values + width * s->capacity + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static uint64_t page_size(const scan_state *s) {
    uint64_t at = PAGE_HEAD, values;
    for (size_t i = 0; i < s->target_count; i++) at = place(s, &s->targets[i], at, &values);
    return at;
}

static void aim(scan_state *s) {
    char *page = (char *)s->load + s->page_at;
    uint64_t at = PAGE_HEAD, values;
    s->page = (gears_page *)(void *)page;
    for (size_t i = 0; i < s->target_count; i++) {
        target *t = &s->targets[i];
        t->validity = (uint64_t *)(void *)(page + at);
        at = place(s, t, at, &values);
        t->data = page + values;
    }
}

/* ---- the scan's own load -------------------------------------------------------------------------------------- */

static bool resize(scan_state *s, uint64_t bytes) {
    gears_load *load = realloc(s->own_bytes ? s->load : NULL, bytes);
    if (load == NULL) return false;
    s->load = load;
    s->own_bytes = bytes;
    if (s->page != NULL) aim(s);
    return true;
}

static uint64_t room(scan_state *s, uint64_t size, bool aligned) {
    if (s->own_bytes > 0) {
        uint64_t needed = s->load->used + size + ALIGN;
        if (needed > s->own_bytes && !resize(s, needed + needed / 2)) return 0;
    }
    return gears_load_room(s->load, size, aligned);
}

void gears_page_free(scan_state *s) {
    if (s->own_bytes > 0) free(s->load);
    s->load = NULL;
    s->own_bytes = 0;
}

bool gears_page_open(scan_state *s) {
    s->page = NULL;
    if (s->own_bytes > KEPT_BYTES) gears_page_free(s);
    if (s->own_bytes == 0 && !resize(s, FIRST_PAGE + page_size(s) + FIRST_TEXT)) return gears_scan_fail_memory(s);
    memset(s->load, 0, sizeof *s->load);
    s->load->used = FIRST_PAGE;
    gears_page_begin(s);
    return !s->load->failed || gears_scan_fail_memory(s);
}

/* ---- rows into a page ----------------------------------------------------------------------------------------- */

void gears_page_begin(scan_state *s) {
    uint64_t start = room(s, page_size(s), true);
    if (s->page != NULL) s->page->rows = s->rows, s->page->next = start;
    s->rows = s->cells = 0;
    if (start == 0) {
        s->load->failed = true;
        return;
    }
    s->page_at = start;
    s->texts_at = s->load->used;
    aim(s);
    *s->page = (gears_page){0, 0};
    for (size_t i = 0; i < s->target_count; i++) memset(s->targets[i].validity, 0xff, s->capacity / 8);
}

bool gears_page_is_heavy(const scan_state *s) { return s->load->used - s->texts_at > MOST_TEXT; }

void gears_page_set_null(target *t, size_t row) { t->validity[row / 64] &= ~((uint64_t)1 << (row % 64)); }

/* A row that on_error = 'skip' dropped may have left NULLs behind in its place. */
void gears_page_set_valid(target *t, size_t row) { t->validity[row / 64] |= (uint64_t)1 << (row % 64); }

static void append_string(scan_state *s, target *t, size_t row, const char *bytes, size_t length) {
    uint64_t at = length <= UINT32_MAX ? room(s, length, false) : 0;
    if (at == 0) {
        s->load->failed = true;
        if (s->own_bytes > 0) gears_scan_fail_memory(s);
        return;
    }
    duckdb_string_t *value = &((duckdb_string_t *)(void *)t->data)[row];
    memcpy((char *)s->load + at, bytes, length);
    value->pointer.length = (uint32_t)length;
    memcpy(value->pointer.prefix, bytes, sizeof value->pointer.prefix);
    value->pointer.ptr = (char *)(uintptr_t)at;
}

void gears_page_set_string(scan_state *s, target *t, size_t row, const char *bytes, size_t length) {
    duckdb_string_t value;
    if (length > sizeof value.inlined.bytes) {
        append_string(s, t, row, bytes, length);
        return;
    }
    memset(&value, 0, sizeof value);
    value.inlined.length = (uint32_t)length;
    memcpy(value.inlined.bytes, bytes, length);
    ((duckdb_string_t *)(void *)t->data)[row] = value;
}

/* ---- a page into vectors -------------------------------------------------------------------------------------- */

static bool is_valid(const uint64_t *validity, size_t row) { return validity[row / 64] >> (row % 64) & 1; }

static gears_slice text_of(const scan_state *s, const duckdb_string_t *value) {
    uint32_t length = value->inlined.length;
    bool is_inlined = length <= sizeof value->inlined.bytes;
    const char *bytes = value->inlined.bytes;
    return (gears_slice){is_inlined ? bytes : (const char *)s->load + (uintptr_t)value->pointer.ptr, length};
}

static void copy_strings(const scan_state *s, const target *t, const duckdb_string_t *from, const uint64_t *validity) {
    duckdb_string_t *to = duckdb_vector_get_data(t->vector);
    for (size_t row = 0; row < s->rows; row++) {
        if (!is_valid(validity, row)) continue;
        gears_slice text = text_of(s, &from[row]);
        if (text.size <= sizeof from->inlined.bytes)
            to[row] = from[row];
        else
            duckdb_unsafe_vector_assign_string_element_len(t->vector, row, text.data, text.size);
    }
}

static bool has_nulls(const uint64_t *validity, size_t rows) {
    for (size_t word = 0; word < rows / 64; word++)
        if (~validity[word]) return true;
    return rows % 64 && (~validity[rows / 64] & (((uint64_t)1 << rows % 64) - 1));
}

static void copy_validity(const scan_state *s, const target *t, const uint64_t *validity) {
    if (!has_nulls(validity, s->rows)) return;
    duckdb_vector_ensure_validity_writable(t->vector);
    memcpy(duckdb_vector_get_validity(t->vector), validity, (s->rows + 63) / 64 * sizeof *validity);
}

static bool copy_nested(scan_state *s, const target *t, const duckdb_string_t *from, const uint64_t *validity) {
    gears_nested_clear(t->column->nested, t->vector);
    for (size_t row = 0; row < s->rows; row++) {
        if (!is_valid(validity, row)) {
            gears_nested_write_null(t->column->nested, t->vector, row);
            continue;
        }
        gears_slice text = text_of(s, &from[row]);
        if (!gears_nested_write(t->column->nested, text.data, text.size, &s->room, t->vector, row))
            return gears_scan_fail_memory(s);
    }
    return true;
}

bool gears_page_copy(scan_state *s) {
    uint64_t at = PAGE_HEAD, values;
    const char *page = (const char *)s->page;
    s->rows = s->page->rows;
    for (size_t i = 0; i < s->target_count; i++) {
        const target *t = &s->targets[i];
        const uint64_t *validity = (const uint64_t *)(const void *)(page + at);
        at = place(s, t, at, &values);
        if (t->column == NULL) continue;
        const duckdb_string_t *strings = (const duckdb_string_t *)(const void *)(page + values);
        if (t->column->nested != NULL) {
            if (!copy_nested(s, t, strings, validity)) return false;
            continue;
        }
        copy_validity(s, t, validity);
        if (t->width > 0)
            memcpy(duckdb_vector_get_data(t->vector), page + values, s->rows * t->width);
        else
            copy_strings(s, t, strings, validity);
    }
    return true;
}
