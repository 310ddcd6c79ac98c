/* DuckDB's vectors → columns; see batch.h. Cells of NULLs are written as zeros: a vector's are left-overs of other
 * rows, and no business of the session's. */
#include <stdlib.h>
#include <string.h>

#include "batch.h"

/* Which rows of a vector are meant, in order; an own list of them only below a NULL struct or a list. */
typedef struct selection {
    const idx_t *rows; /* NULL: 0, 1, 2, … */
    idx_t count;
} selection;

enum { LONGEST_INLINED = sizeof((duckdb_string_t *)0)->inlined.bytes };

/* A row that is NULL whatever the vector says: it is in a struct that is NULL. */
static const idx_t NO_ROW = ~(idx_t)0;

typedef struct list_entry {
    uint64_t offset, length;
} list_entry;

static idx_t row_at(const selection *s, idx_t i) { return s->rows == NULL ? i : s->rows[i]; }

static bool is_valid(const uint64_t *validity, idx_t row) {
    return row != NO_ROW && (validity == NULL || (validity[row / 64] >> (row % 64) & 1));
}

/* Room for `size` bytes, rounded up to 8, the rest zero. NULL: full. */
static void *reserve(gears_batch_writer *w, size_t size) {
    size_t padded = (size + 7) & ~(size_t)7;
    if (w->full || padded < size || padded > (size_t)(w->end - w->at)) {
        w->full = true;
        return NULL;
    }
    char *place = w->at;
    w->at += padded;
    if (padded > size) memset(place + size, 0, padded - size);
    return place;
}

/* The same for `count` things of `each` bytes. */
static void *reserve_array(gears_batch_writer *w, idx_t count, size_t each) {
    if (count > (size_t)-1 / 2 / each) {
        w->full = true;
        return NULL;
    }
    return reserve(w, (size_t)count * each);
}

void gears_batch_put(gears_batch_writer *w, const void *bytes, size_t length) {
    void *place = reserve(w, length);
    if (place != NULL && length > 0) memcpy(place, bytes, length);
}

void gears_batch_put_tail(gears_batch_writer *w, const void *bytes, size_t length) {
    if (w->full || length > (size_t)(w->end - w->at)) {
        w->full = true;
        return;
    }
    memcpy(w->at, bytes, length);
    w->at += length;
}

/* True if there is a NULL among the rows; they are written either way. */
static bool write_validity(gears_batch_writer *w, const uint64_t *validity, const selection *s) {
    idx_t words = (s->count + 63) / 64;
    uint64_t *out = reserve_array(w, words, sizeof *out);
    bool has_null = false;
    if (out == NULL) return false;
    if (s->rows == NULL && validity != NULL) {
        memcpy(out, validity, words * sizeof *out);
    } else {
        memset(out, 0xff, words * sizeof *out);
        if (s->rows != NULL)
            for (idx_t i = 0; i < s->count; i++)
                if (!is_valid(validity, s->rows[i])) out[i / 64] &= ~((uint64_t)1 << (i % 64));
    }
    if (s->count % 64 != 0) out[words - 1] |= ~(uint64_t)0 << (s->count % 64);
    for (idx_t i = 0; i < words; i++) has_null |= out[i] != ~(uint64_t)0;
    if (s->count % 64 != 0) out[words - 1] &= ~(~(uint64_t)0 << (s->count % 64));
    return has_null;
}

static void write_fixed(gears_batch_writer *w, size_t width, const char *data, const uint64_t *validity,
                        const selection *s, bool has_null) {
    char *out = reserve_array(w, s->count, width);
    if (out == NULL) return;
    if (s->rows == NULL) {
        memcpy(out, data, s->count * width);
        for (idx_t i = 0; has_null && i < s->count; i++)
            if (!is_valid(validity, i)) memset(out + i * width, 0, width);
        return;
    }
    for (idx_t i = 0; i < s->count; i++) {
        if (is_valid(validity, s->rows[i]))
            memcpy(out + i * width, data + s->rows[i] * width, width);
        else
            memset(out + i * width, 0, width);
    }
}

static void write_strings(gears_batch_writer *w, duckdb_string_t *data, const uint64_t *validity, const selection *s) {
    uint64_t *offsets = reserve_array(w, s->count + 1, sizeof *offsets);
    if (offsets == NULL) return;
    uint64_t total = 0, room = (uint64_t)(w->end - w->at);
    for (idx_t i = 0; i < s->count; i++) {
        idx_t row = row_at(s, i);
        offsets[i] = total;
        if (!is_valid(validity, row)) continue;
        uint32_t length = data[row].inlined.length;
        if (length > room - total) {
            w->full = true;
            return;
        }
        const char *bytes = length <= LONGEST_INLINED ? data[row].inlined.bytes : data[row].pointer.ptr;
        memcpy(w->at + total, bytes, length);
        total += length;
    }
    offsets[s->count] = total;
    reserve(w, total);
}

static void write_column(gears_batch_writer *w, const gears_hook_type *type, duckdb_vector vector, const selection *s);

static bool is_consecutive(const list_entry *entries, const uint64_t *validity, const selection *s) {
    uint64_t next = 0;
    for (idx_t i = 0; i < s->count; i++) {
        idx_t row = row_at(s, i);
        if (!is_valid(validity, row) || entries[row].length == 0) continue;
        if (entries[row].offset != next) return false;
        next += entries[row].length;
    }
    return true;
}

/* Lists may lie in the child in any order, with gaps, and several times. */
static void write_list(gears_batch_writer *w, const gears_hook_type *type, duckdb_vector vector, const selection *s,
                       const uint64_t *validity) {
    const list_entry *entries = duckdb_vector_get_data(vector);
    uint64_t *offsets = reserve_array(w, s->count + 1, sizeof *offsets);
    if (offsets == NULL) return;
    selection children = {NULL, 0};
    for (idx_t i = 0; i < s->count; i++) {
        idx_t row = row_at(s, i);
        offsets[i] = children.count;
        if (is_valid(validity, row)) children.count += entries[row].length;
    }
    offsets[s->count] = children.count;
    if (children.count / 64 > (uint64_t)(w->end - w->at) / 8) { /* not even its validity fits */
        w->full = true;
        return;
    }
    idx_t *rows = NULL;
    if (!is_consecutive(entries, validity, s)) {
        children.rows = rows = malloc((children.count + 1) * sizeof *rows);
        if (rows == NULL) {
            w->full = true;
            return;
        }
        for (idx_t i = 0; i < s->count; i++)
            for (uint64_t j = offsets[i]; j < offsets[i + 1]; j++)
                rows[j] = entries[row_at(s, i)].offset + (j - offsets[i]);
    }
    write_column(w, type->children[0], duckdb_list_vector_get_child(vector), &children);
    free(rows);
}

static void write_struct(gears_batch_writer *w, const gears_hook_type *type, duckdb_vector vector, const selection *s,
                         const uint64_t *validity, bool has_null) {
    selection members = *s;
    idx_t *rows = NULL;
    if (has_null) {
        members.rows = rows = malloc((s->count + 1) * sizeof *rows);
        if (rows == NULL) {
            w->full = true;
            return;
        }
        for (idx_t i = 0; i < s->count; i++) rows[i] = is_valid(validity, row_at(s, i)) ? row_at(s, i) : NO_ROW;
    }
    for (size_t i = 0; i < type->child_count; i++)
        write_column(w, type->children[i], duckdb_struct_vector_get_child(vector, i), &members);
    free(rows);
}

static void write_column(gears_batch_writer *w, const gears_hook_type *type, duckdb_vector vector, const selection *s) {
    const uint64_t *validity = duckdb_vector_get_validity(vector);
    bool has_null = write_validity(w, validity, s);
    if (w->full) return;
    if (type->shape == GEARS_HOOK_LIST)
        write_list(w, type, vector, s, validity);
    else if (type->shape == GEARS_HOOK_STRUCT)
        write_struct(w, type, vector, s, validity, has_null);
    else if (type->width == 0)
        write_strings(w, duckdb_vector_get_data(vector), validity, s);
    else
        write_fixed(w, type->width, duckdb_vector_get_data(vector), validity, s, has_null);
}

void gears_batch_write(gears_batch_writer *w, const gears_hook_type *type, duckdb_vector vector, idx_t rows) {
    write_column(w, type, vector, &(selection){NULL, rows});
}
