/* JSON texts as values of nested types; see nested.h. One walk judges and writes: without a vector it only judges. */
#include "nested.h"

#include <stdlib.h>
#include <string.h>

#include "json_text.h"

typedef struct list_entry {
    uint64_t offset, length;
} list_entry;

typedef struct walk {
    gears_text text;
    gears_nested_room *room;
    size_t cells;
    bool no_memory;
} walk;

bool gears_nested_is(const gears_hook_type *type) {
    if (type->shape == GEARS_HOOK_PLAIN) return false;
    for (size_t i = 0; i < type->child_count; i++) {
        const gears_hook_type *child = type->children[i];
        if (child->shape == GEARS_HOOK_PLAIN ? child->plain.kind == GEARS_BLOB : !gears_nested_is(child)) return false;
    }
    return true;
}

static bool out_of_memory(walk *w) {
    w->no_memory = true;
    return false;
}

/* ---- DuckDB's vectors ----------------------------------------------------------------------------------------- */

static void set_validity(duckdb_vector vector, idx_t row, bool valid) {
    uint64_t *validity = duckdb_vector_get_validity(vector);
    if (validity == NULL) {
        if (valid) return;
        duckdb_vector_ensure_validity_writable(vector);
        validity = duckdb_vector_get_validity(vector);
    }
    uint64_t bit = (uint64_t)1 << (row % 64);
    validity[row / 64] = valid ? validity[row / 64] | bit : validity[row / 64] & ~bit;
}

static bool is_list(const gears_hook_type *type) {
    return type->shape == GEARS_HOOK_LIST || type->shape == GEARS_HOOK_MAP;
}

static duckdb_vector child_of(const gears_hook_type *type, duckdb_vector vector, size_t i) {
    if (type->shape == GEARS_HOOK_ARRAY) return duckdb_array_vector_get_child(vector);
    return is_list(type) ? duckdb_list_vector_get_child(vector) : duckdb_struct_vector_get_child(vector, i);
}

void gears_nested_write_null(const gears_hook_type *type, duckdb_vector vector, idx_t row) {
    set_validity(vector, row, false);
    if (is_list(type)) ((list_entry *)duckdb_vector_get_data(vector))[row] = (list_entry){0, 0};
    for (size_t i = 0; type->shape == GEARS_HOOK_ARRAY && i < type->size; i++)
        gears_nested_write_null(type->children[0], duckdb_array_vector_get_child(vector), row * type->size + i);
    for (size_t i = 0; type->shape == GEARS_HOOK_STRUCT && i < type->child_count; i++)
        gears_nested_write_null(type->children[i], duckdb_struct_vector_get_child(vector, i), row);
}

void gears_nested_clear(const gears_hook_type *type, duckdb_vector vector) {
    if (is_list(type)) duckdb_list_vector_set_size(vector, 0);
    for (size_t i = 0; i < type->child_count; i++) gears_nested_clear(type->children[i], child_of(type, vector, i));
}

static void write_string(duckdb_vector vector, idx_t row, gears_slice bytes) {
    duckdb_string_t value;
    if (bytes.size > sizeof value.inlined.bytes) {
        duckdb_unsafe_vector_assign_string_element_len(vector, row, bytes.data, bytes.size);
        return;
    }
    memset(&value, 0, sizeof value);
    value.inlined.length = (uint32_t)bytes.size;
    if (bytes.size > 0) memcpy(value.inlined.bytes, bytes.data, bytes.size);
    ((duckdb_string_t *)duckdb_vector_get_data(vector))[row] = value;
}

/* Room for the element at `at`, which is the list vector's last one then. */
static duckdb_vector add_element(walk *w, duckdb_vector vector, idx_t at) {
    if (duckdb_list_vector_reserve(vector, at + 1) == DuckDBSuccess &&
        duckdb_list_vector_set_size(vector, at + 1) == DuckDBSuccess)
        return duckdb_list_vector_get_child(vector);
    out_of_memory(w);
    return NULL;
}

/* ---- leaves --------------------------------------------------------------------------------------------------- */

/* A string's characters, which are good until the next call. */
static bool characters(walk *w, gears_slice string, gears_slice *out) {
    if (w->room->size < string.size) {
        char *grown = realloc(w->room->characters, string.size * 2);
        if (grown == NULL) return out_of_memory(w);
        w->room->characters = grown;
        w->room->size = string.size * 2;
    }
    return gears_text_characters(string, w->room->characters, out);
}

static bool read_plain(walk *w, const gears_hook_type *type, duckdb_vector vector, idx_t row) {
    char unused[16];
    gears_slice value;
    if (!gears_text_value(&w->text, &value)) return false;
    bool is_string = value.data[0] == '"' && !gears_cast_reads_json(&type->plain);
    if (is_string && !characters(w, value, &value)) return false;
    char *slot = unused;
    if (vector != NULL && type->width > 0) slot = (char *)duckdb_vector_get_data(vector) + row * type->width;
    if (value.size > UINT32_MAX || !gears_cast_value(&type->plain, value.data, value.size, slot)) return false;
    if (vector == NULL) return true;
    if (type->width == 0) write_string(vector, row, value);
    set_validity(vector, row, true);
    return true;
}

/* ---- the walk ------------------------------------------------------------------------------------------------- */

static bool read_value(walk *w, const gears_hook_type *type, duckdb_vector vector, idx_t row);

static void end_list(duckdb_vector vector, idx_t row, idx_t start, idx_t count) {
    if (vector == NULL) return;
    ((list_entry *)duckdb_vector_get_data(vector))[row] = (list_entry){start, count};
    set_validity(vector, row, true);
}

static bool read_list(walk *w, const gears_hook_type *type, duckdb_vector vector, idx_t row) {
    idx_t start = vector != NULL ? duckdb_list_vector_get_size(vector) : 0, count = 0;
    if (!gears_text_take(&w->text, '[')) return false;
    if (!gears_text_take(&w->text, ']')) {
        do {
            duckdb_vector child = vector != NULL ? add_element(w, vector, start + count) : NULL;
            if (w->no_memory || !read_value(w, type->children[0], child, start + count)) return false;
            count++;
        } while (gears_text_take(&w->text, ','));
        if (!gears_text_take(&w->text, ']')) return false;
    }
    end_list(vector, row, start, count);
    return true;
}

static bool read_array(walk *w, const gears_hook_type *type, duckdb_vector vector, idx_t row) {
    duckdb_vector child = vector != NULL ? duckdb_array_vector_get_child(vector) : NULL;
    if (!gears_text_take(&w->text, '[')) return false;
    for (size_t i = 0; i < type->size; i++) {
        if (i > 0 && !gears_text_take(&w->text, ',')) return false;
        if (!read_value(w, type->children[0], child, row * type->size + i)) return false;
    }
    if (vector != NULL) set_validity(vector, row, true);
    return gears_text_take(&w->text, ']');
}

/* Members come mostly in the order of the type, so the search begins at the one after the last. */
static size_t find_member(walk *w, const gears_hook_type *type, gears_slice name, size_t from) {
    gears_slice known;
    if (!characters(w, name, &known)) return type->child_count;
    for (size_t i = 0; i < type->child_count; i++) {
        size_t at = (from + i) % type->child_count;
        if (strlen(type->names[at]) == known.size && memcmp(type->names[at], known.data, known.size) == 0) return at;
    }
    return type->child_count;
}

static bool read_member(walk *w, const gears_hook_type *type, size_t at, duckdb_vector vector, idx_t row) {
    gears_slice unread;
    if (at == type->child_count) return gears_text_value(&w->text, &unread);
    return read_value(w, type->children[at], vector != NULL ? duckdb_struct_vector_get_child(vector, at) : NULL, row);
}

static bool read_members(walk *w, const gears_hook_type *type, duckdb_vector vector, idx_t row, uint64_t *seen) {
    gears_slice name;
    size_t next = 0;
    if (gears_text_take(&w->text, '}')) return true;
    do {
        if (!gears_text_name(&w->text, &name)) return false;
        size_t at = find_member(w, type, name, next);
        if (w->no_memory || !read_member(w, type, at, vector, row)) return false;
        if (at == type->child_count) continue;
        seen[at / 64] |= (uint64_t)1 << (at % 64);
        next = at + 1;
    } while (gears_text_take(&w->text, ','));
    return gears_text_take(&w->text, '}');
}

static bool read_struct(walk *w, const gears_hook_type *type, duckdb_vector vector, idx_t row) {
    uint64_t seen[GEARS_HOOK_TYPE_MEMBERS / 64] = {0};
    w->cells += type->child_count;
    if (!gears_text_take(&w->text, '{') || !read_members(w, type, vector, row, seen)) return false;
    if (vector != NULL) set_validity(vector, row, true);
    for (size_t i = 0; i < type->child_count; i++) {
        if (seen[i / 64] >> (i % 64) & 1) continue;
        w->cells += type->children[i]->cells - 1;
        if (vector != NULL) gears_nested_write_null(type->children[i], duckdb_struct_vector_get_child(vector, i), row);
    }
    return true;
}

_Static_assert(sizeof(gears_slice) == 16, "a key's value takes the place of a name");

/* ---- maps ----------------------------------------------------------------------------------------------------- */

static bool add_name(walk *w, gears_slice name) {
    gears_nested_room *room = w->room;
    if (room->name_count == room->name_capacity) {
        size_t capacity = room->name_capacity ? room->name_capacity * 2 : 64;
        gears_slice *grown = realloc(room->names, capacity * sizeof *grown);
        if (grown == NULL) return out_of_memory(w);
        room->names = grown;
        room->name_capacity = capacity;
    }
    room->names[room->name_count++] = name;
    return true;
}

static int compare_names(const void *one, const void *other) {
    return gears_text_compare(*(const gears_slice *)one, *(const gears_slice *)other);
}

static int compare_values(const void *one, const void *other) { return memcmp(one, other, sizeof(gears_slice)); }

/* Takes the names from `first` on, in which none may be twice. */
static bool end_names(gears_nested_room *room, size_t first, const gears_hook_type *key) {
    int (*compare)(const void *, const void *) = key->width == 0 ? compare_names : compare_values;
    gears_slice *names = room->names + first;
    size_t count = room->name_count - first;
    bool once = true;
    if (count > 1) qsort(names, count, sizeof *names, compare);
    for (size_t i = 1; i < count && once; i++) once = compare(&names[i - 1], &names[i]) != 0;
    room->name_count = first;
    return once;
}

/* A key as its vector holds it, yet one zero and one NaN: what DuckDB holds for equal is equal. */
static void unify_zeros(const gears_type *type, void *value) {
    double real = 1;
    float small = 1;
    if (type->kind == GEARS_DOUBLE) memcpy(&real, value, sizeof real);
    if (type->kind == GEARS_FLOAT) memcpy(&small, value, sizeof small);
    if ((type->kind == GEARS_DOUBLE && real == 0) || (type->kind == GEARS_FLOAT && small == 0)) memset(value, 0, 8);
}

/* Judges a name as a key, and keeps what tells it from others. */
static bool judge_key(walk *w, const gears_hook_type *key, gears_slice name) {
    gears_slice text, value = {NULL, 0};
    if (key->width == 0) return add_name(w, name);
    if (!characters(w, name, &text) || !gears_cast_value(&key->plain, text.data, text.size, &value)) return false;
    unify_zeros(&key->plain, &value);
    return add_name(w, value);
}

static void write_key(const gears_hook_type *key, duckdb_vector vector, idx_t at, gears_slice text) {
    if (key->width == 0)
        write_string(vector, at, text);
    else
        gears_cast_value(&key->plain, text.data, text.size, (char *)duckdb_vector_get_data(vector) + at * key->width);
    set_validity(vector, at, true);
}

static bool read_entry(walk *w, const gears_hook_type *entry, duckdb_vector vector, idx_t at) {
    gears_slice name, key;
    if (!gears_text_name(&w->text, &name)) return false;
    if (vector == NULL) return judge_key(w, entry->children[0], name) && read_value(w, entry->children[1], NULL, 0);
    duckdb_vector pair = add_element(w, vector, at);
    if (pair == NULL || !characters(w, name, &key)) return false;
    set_validity(pair, at, true);
    write_key(entry->children[0], duckdb_struct_vector_get_child(pair, 0), at, key);
    return read_value(w, entry->children[1], duckdb_struct_vector_get_child(pair, 1), at);
}

/* A MAP is a list of its entries, underneath. */
static bool read_map(walk *w, const gears_hook_type *type, duckdb_vector vector, idx_t row) {
    idx_t start = vector != NULL ? duckdb_list_vector_get_size(vector) : 0, count = 0;
    size_t first = w->room->name_count;
    if (!gears_text_take(&w->text, '{')) return false;
    if (!gears_text_take(&w->text, '}')) {
        do {
            w->cells++;
            if (!read_entry(w, type->children[0], vector, start + count++)) return false;
        } while (gears_text_take(&w->text, ','));
        if (!gears_text_take(&w->text, '}')) return false;
    }
    if (vector == NULL && !end_names(w->room, first, type->children[0]->children[0])) return false;
    end_list(vector, row, start, count);
    return true;
}

static bool read_value(walk *w, const gears_hook_type *type, duckdb_vector vector, idx_t row) {
    if (++w->cells > GEARS_NESTED_CELLS) return false;
    if (gears_text_sees(&w->text, 'n')) {
        gears_slice null;
        w->cells += type->cells - 1;
        if (vector != NULL) gears_nested_write_null(type, vector, row);
        return gears_text_value(&w->text, &null);
    }
    switch (type->shape) {
    case GEARS_HOOK_ARRAY: return read_array(w, type, vector, row);
    case GEARS_HOOK_LIST: return read_list(w, type, vector, row);
    case GEARS_HOOK_STRUCT: return read_struct(w, type, vector, row);
    case GEARS_HOOK_MAP: return read_map(w, type, vector, row);
    default: return read_plain(w, type, vector, row);
    }
}

gears_nested_fit gears_nested_judge(const gears_hook_type *type, const char *s, size_t n, gears_nested_room *room,
                                    size_t *cells) {
    walk w = {.text = {s, s + n}, .room = room};
    room->name_count = 0;
    bool is_null = gears_text_sees(&w.text, 'n');
    bool fits = read_value(&w, type, NULL, 0) && gears_text_ended(&w.text);
    *cells += w.cells;
    if (w.no_memory) return GEARS_NESTED_NO_MEMORY;
    return !fits ? GEARS_NESTED_MISFIT : is_null ? GEARS_NESTED_NULL : GEARS_NESTED_VALUE;
}

bool gears_nested_write(const gears_hook_type *type, const char *s, size_t n, gears_nested_room *room,
                        duckdb_vector vector, idx_t row) {
    walk w = {.text = {s, s + n}, .room = room};
    return read_value(&w, type, vector, row);
}

void gears_nested_free(gears_nested_room *room) {
    free(room->characters);
    free(room->names);
    *room = (gears_nested_room){0};
}
