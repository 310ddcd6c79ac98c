/* Columns → DuckDB's vectors; see batch.h. Every count, offset and value is checked before DuckDB sees it. */
#include <string.h>

#include "batch.h"

typedef struct reader {
    char *at;
    const char *end;
    const char *problem;
} reader;

typedef struct list_entry {
    uint64_t offset, length;
} list_entry;

typedef __int128 i128;

/* What Python's datetime can be; DuckDB formats a TIME beyond its day from memory that is not there. */
#define US_OF_DAY INT64_C(86400000000)
enum { FIRST_DAY = -719162 /* 0001-01-01 */, LAST_DAY = 2932896 /* 9999-12-31 */ };

static void refuse(reader *r, const char *problem) {
    if (r->problem == NULL) r->problem = problem;
}

/* The next `count` things of `each` bytes, padded to 8. NULL: they are not all there. */
static void *take(reader *r, uint64_t count, size_t each) {
    uint64_t left = (uint64_t)(r->end - r->at);
    if (r->problem != NULL || count > left / each) {
        refuse(r, "a column is cut off");
        return NULL;
    }
    uint64_t size = (count * each + 7) & ~(uint64_t)7;
    if (size > left) {
        refuse(r, "a column is cut off");
        return NULL;
    }
    char *place = r->at;
    r->at += size;
    return place;
}

static bool is_valid(const uint64_t *words, idx_t i) { return words[i / 64] >> (i % 64) & 1; }

static bool has_null(const uint64_t *words, idx_t rows) {
    for (idx_t i = 0; i < rows / 64; i++)
        if (words[i] != ~(uint64_t)0) return true;
    return rows % 64 != 0 && (words[rows / 64] | ~(uint64_t)0 << (rows % 64)) != ~(uint64_t)0;
}

/* The vector may hold other rows before `offset`, and NULLs of an earlier use in these. */
static void set_validity(duckdb_vector vector, const uint64_t *words, idx_t offset, idx_t rows) {
    uint64_t *validity = duckdb_vector_get_validity(vector);
    if (validity == NULL) {
        if (!has_null(words, rows)) return;
        duckdb_vector_ensure_validity_writable(vector);
        validity = duckdb_vector_get_validity(vector);
    }
    for (idx_t i = 0; i < rows; i++) {
        idx_t at = offset + i;
        if (is_valid(words, i))
            validity[at / 64] |= (uint64_t)1 << (at % 64);
        else
            validity[at / 64] &= ~((uint64_t)1 << (at % 64));
    }
}

/* ---- fixed width ---------------------------------------------------------------------------------------------- */

static void check_booleans(reader *r, uint8_t *cells, const uint64_t *words, idx_t rows) {
    for (idx_t i = 0; i < rows; i++) {
        if (!is_valid(words, i)) cells[i] = 0;
        if (cells[i] > 1) refuse(r, "a BOOLEAN is neither 0 nor 1");
    }
}

static i128 integer_at(const char *cells, size_t width, idx_t i) {
    int16_t small;
    int32_t medium;
    int64_t large;
    i128 huge;
    switch (width) {
    case 2: memcpy(&small, cells + i * 2, 2); return small;
    case 4: memcpy(&medium, cells + i * 4, 4); return medium;
    case 8: memcpy(&large, cells + i * 8, 8); return large;
    default: memcpy(&huge, cells + i * 16, 16); return huge;
    }
}

static void check_range(reader *r, const char *cells, size_t width, const uint64_t *words, idx_t rows, i128 least,
                        i128 most, const char *problem) {
    for (idx_t i = 0; i < rows; i++) {
        if (!is_valid(words, i)) continue;
        i128 value = integer_at(cells, width, i);
        if (value < least || value > most) refuse(r, problem);
    }
}

static void check_timestamps(reader *r, const char *cells, const uint64_t *words, idx_t rows) {
    check_range(r, cells, 8, words, rows, FIRST_DAY * US_OF_DAY, (LAST_DAY + 1) * US_OF_DAY - 1,
                "a TIMESTAMP is outside of the years 1 to 9999");
}

static void check_decimals(reader *r, const gears_hook_type *type, const char *cells, const uint64_t *words,
                           idx_t rows) {
    i128 limit = 1;
    for (uint8_t i = 0; i < type->plain.precision; i++) limit *= 10;
    check_range(r, cells, type->width, words, rows, 1 - limit, limit - 1, "a DECIMAL has too many digits");
}

static void check_cells(reader *r, const gears_hook_type *type, char *cells, const uint64_t *words, idx_t rows) {
    if (type->shape != GEARS_HOOK_PLAIN) return;
    switch (type->plain.kind) {
    case GEARS_BOOLEAN: check_booleans(r, (uint8_t *)cells, words, rows); break;
    case GEARS_DECIMAL: check_decimals(r, type, cells, words, rows); break;
    case GEARS_DATE:
        check_range(r, cells, 4, words, rows, FIRST_DAY, LAST_DAY, "a DATE is outside of the years 1 to 9999");
        break;
    case GEARS_TIME: check_range(r, cells, 8, words, rows, 0, US_OF_DAY, "a TIME is outside of a day"); break;
    case GEARS_TIMESTAMP:
    case GEARS_TIMESTAMPTZ: check_timestamps(r, cells, words, rows); break;
    default: break;
    }
}

static void read_fixed(reader *r, const gears_hook_type *type, duckdb_vector vector, idx_t offset, idx_t rows,
                       const uint64_t *words) {
    char *cells = take(r, rows, type->width);
    if (cells == NULL) return;
    check_cells(r, type, cells, words, rows);
    memcpy((char *)duckdb_vector_get_data(vector) + offset * type->width, cells, rows * type->width);
}

/* ---- variable width ------------------------------------------------------------------------------------------- */

/* `rows` + 1 ascending numbers from 0. */
static const uint64_t *take_offsets(reader *r, idx_t rows) {
    const uint64_t *offsets = take(r, rows + 1, sizeof *offsets);
    if (offsets == NULL) return NULL;
    bool ascending = offsets[0] == 0;
    for (idx_t i = 0; i < rows; i++) ascending &= offsets[i] <= offsets[i + 1];
    if (ascending) return offsets;
    refuse(r, "offsets do not ascend from 0");
    return NULL;
}

static void set_string(duckdb_vector vector, duckdb_string_t *data, idx_t row, const char *bytes, size_t length) {
    if (length > sizeof data->inlined.bytes) {
        duckdb_unsafe_vector_assign_string_element_len(vector, row, bytes, length);
        return;
    }
    duckdb_string_t value;
    memset(&value, 0, sizeof value);
    value.inlined.length = (uint32_t)length;
    memcpy(value.inlined.bytes, bytes, length);
    data[row] = value;
}

static void read_strings(reader *r, const gears_hook_type *type, duckdb_vector vector, idx_t offset, idx_t rows,
                         const uint64_t *words) {
    const uint64_t *offsets = take_offsets(r, rows);
    const char *bytes = offsets ? take(r, offsets[rows], 1) : NULL;
    if (bytes == NULL) return;
    duckdb_string_t *data = duckdb_vector_get_data(vector);
    for (idx_t i = 0; i < rows; i++) {
        const char *at = bytes + offsets[i];
        size_t length = is_valid(words, i) ? offsets[i + 1] - offsets[i] : 0;
        if (length > UINT32_MAX || (is_valid(words, i) && !gears_cast_value(&type->plain, at, length, NULL))) {
            refuse(r, type->plain.kind == GEARS_JSON ? "a JSON is no JSON" : "a VARCHAR is not UTF-8");
            return;
        }
        set_string(vector, data, offset + i, at, length);
    }
}

static void read_column(reader *r, const gears_hook_type *type, duckdb_vector vector, idx_t offset, idx_t rows,
                        const uint64_t *mask);

static void read_list(reader *r, const gears_hook_type *type, duckdb_vector vector, idx_t offset, idx_t rows,
                      const uint64_t *words) {
    const uint64_t *offsets = take_offsets(r, rows);
    if (offsets == NULL) return;
    uint64_t total = offsets[rows];
    if (total / 64 > (uint64_t)(r->end - r->at) / 8) { /* before DuckDB reserves it */
        refuse(r, "a column is cut off");
        return;
    }
    idx_t base = duckdb_list_vector_get_size(vector);
    if (duckdb_list_vector_reserve(vector, base + total) != DuckDBSuccess ||
        duckdb_list_vector_set_size(vector, base + total) != DuckDBSuccess) {
        refuse(r, "a list is too long");
        return;
    }
    list_entry *entries = duckdb_vector_get_data(vector);
    for (idx_t i = 0; i < rows; i++) {
        bool there = is_valid(words, i);
        entries[offset + i] = (list_entry){there ? base + offsets[i] : 0, there ? offsets[i + 1] - offsets[i] : 0};
    }
    read_column(r, type->children[0], duckdb_list_vector_get_child(vector), base, total, NULL);
}

/* `mask`: rows that are NULL because the struct around them is; DuckDB wants the members to be NULL as well. */
static void read_column(reader *r, const gears_hook_type *type, duckdb_vector vector, idx_t offset, idx_t rows,
                        const uint64_t *mask) {
    uint64_t *words = take(r, (rows + 63) / 64, sizeof *words);
    if (words == NULL) return;
    for (idx_t i = 0; mask != NULL && i < (rows + 63) / 64; i++) words[i] &= mask[i];
    set_validity(vector, words, offset, rows);
    if (type->shape == GEARS_HOOK_LIST)
        read_list(r, type, vector, offset, rows, words);
    else if (type->shape == GEARS_HOOK_STRUCT)
        for (size_t i = 0; i < type->child_count; i++)
            read_column(r, type->children[i], duckdb_struct_vector_get_child(vector, i), offset, rows, words);
    else if (type->width == 0)
        read_strings(r, type, vector, offset, rows, words);
    else
        read_fixed(r, type, vector, offset, rows, words);
}

const char *gears_batch_read(char **at, const char *end, const gears_hook_type *type, duckdb_vector vector,
                             idx_t offset, idx_t rows) {
    reader r = {*at, end, NULL};
    read_column(&r, type, vector, offset, rows, NULL);
    *at = r.at;
    return r.problem;
}
