/* For test_facets.py: rows before they are DuckDB's (scan_page.c), in a load of the scan's own and in a snapshot's, and the
 * room in one (snapshot_child.c). On a server that is none (tests/fuzz), with vectors of ours. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "scan_parts.h"
#include "snapshot_parts.h"

enum { NUMBER, TEXT, COUNT, TARGETS, ROWS = 2048, LONG = 100000 };
#define MIB ((size_t)1 << 20)

/* ---- vectors ------------------------------------------------------------------------------------------------------ */

typedef struct vector {
    duckdb_string_t values[ROWS]; /* or int64_t */
    uint64_t validity[ROWS / 64];
    bool has_validity;
    char *copies[ROWS];
} vector;

static vector vectors[TARGETS];

static void *data_of(duckdb_vector v) { return ((vector *)(void *)v)->values; }
static void make_validity(duckdb_vector v) { ((vector *)(void *)v)->has_validity = true; }
static uint64_t *validity_of(duckdb_vector handle) {
    vector *v = (vector *)(void *)handle;
    return v->has_validity ? v->validity : NULL;
}

static void assign(duckdb_vector handle, idx_t row, const char *bytes, idx_t length) {
    vector *v = (vector *)(void *)handle;
    free(v->copies[row]);
    v->copies[row] = malloc(length);
    memcpy(v->copies[row], bytes, length);
    v->values[row].pointer.length = (uint32_t)length;
}

static void clear_vectors(void) {
    for (size_t i = 0; i < TARGETS; i++) {
        for (size_t row = 0; row < ROWS; row++) free(vectors[i].copies[row]);
        memset(&vectors[i], 0, sizeof vectors[i]);
    }
}

static bool is_null(int which, size_t row) {
    return vectors[which].has_validity && !(vectors[which].validity[row / 64] >> (row % 64) & 1);
}

static bool is_text(size_t row, const char *bytes, size_t length) {
    const vector *v = &vectors[TEXT];
    const duckdb_string_t *value = &v->values[row];
    if (is_null(TEXT, row) || value->inlined.length != length) return false;
    return memcmp(length <= sizeof value->inlined.bytes ? value->inlined.bytes : v->copies[row], bytes, length) == 0;
}

/* ---- a scan ------------------------------------------------------------------------------------------------------- */

static gears_stage stage;
static gears_column columns[2] = {{.type = {.kind = GEARS_BIGINT}}, {.type = {.kind = GEARS_VARCHAR}}};
static target targets[TARGETS];
static scan_state s;
static char a_long_text[8 << 20];

static void begin(void) {
    clear_vectors();
    s = (scan_state){.stage = &stage, .targets = targets, .target_count = TARGETS, .capacity = ROWS};
    for (int i = 0; i < TARGETS; i++)
        targets[i] = (target){.column = i == COUNT ? NULL : &columns[i], .vector = (duckdb_vector)(void *)&vectors[i]};
    targets[NUMBER].width = sizeof(int64_t);
}

static void end(void) {
    gears_page_free(&s);
    clear_vectors();
    free(stage.error);
    stage.error = NULL;
}

static void put(int64_t number, const char *bytes, size_t length) {
    memcpy(targets[NUMBER].data + s.rows * sizeof number, &number, sizeof number);
    gears_page_set_valid(&targets[NUMBER], s.rows);
    gears_page_set_string(&s, &targets[TEXT], s.rows, bytes, length);
    gears_page_set_valid(&targets[TEXT], s.rows);
    s.rows++;
}

static bool copy_page(void) {
    s.page->rows = s.rows;
    return gears_page_copy(&s);
}

static int64_t number_at(size_t row) { return ((const int64_t *)(const void *)vectors[NUMBER].values)[row]; }

/* ---- the scan's own load ------------------------------------------------------------------------------------------ */

static void what_was_put_is_copied(void) {
    static const struct {
        const char *bytes;
        size_t length;
    } texts[] = {{"", 0}, {"a", 1}, {"twelve bytes", 12}, {"thirteen byte", 13}, {"a\0b", 3}, {a_long_text, LONG}};
    enum { TEXTS = sizeof texts / sizeof *texts };
    begin();
    CHECK(gears_page_open(&s));
    for (size_t i = 0; i < TEXTS; i++) put((int64_t)i - 3, texts[i].bytes, texts[i].length);
    CHECK(copy_page() && s.rows == TEXTS);
    for (size_t i = 0; i < TEXTS; i++) {
        CHECK(number_at(i) == (int64_t)i - 3);
        CHECK(is_text(i, texts[i].bytes, texts[i].length));
    }
    CHECK(!vectors[NUMBER].has_validity && !vectors[TEXT].has_validity); /* without NULLs none is needed */
    end();
}

static void nulls_are_of_their_rows(void) {
    static const size_t nulls[] = {0, 63, 64, ROWS - 1};
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++) {
        begin();
        CHECK(gears_page_open(&s));
        for (size_t row = 0; row <= nulls[i]; row++) put(1, "x", 1);
        gears_page_set_null(&targets[TEXT], nulls[i]);
        if (nulls[i] + 1 < ROWS) gears_page_set_null(&targets[NUMBER], nulls[i] + 1); /* of a row that was not kept */
        CHECK(copy_page() && !vectors[NUMBER].has_validity);
        for (size_t row = 0; row <= nulls[i]; row++) CHECK(is_null(TEXT, row) == (row == nulls[i]));
        end();
    }
}

/* A row that was left out leaves its place to the next, NULLs and all. */
static void a_place_is_used_again(void) {
    begin();
    CHECK(gears_page_open(&s));
    gears_page_set_null(&targets[TEXT], 0);
    gears_page_set_null(&targets[NUMBER], 0);
    put(9, "kept", 4);
    CHECK(copy_page() && number_at(0) == 9 && is_text(0, "kept", 4));
    CHECK(gears_page_open(&s) && s.rows == 0);
    put(8, "next", 4);
    CHECK(copy_page() && s.rows == 1 && number_at(0) == 8 && is_text(0, "next", 4));
    end();
}

static void a_page_grows_with_its_texts_and_moves(void) {
    begin();
    CHECK(gears_page_open(&s));
    uint64_t first_bytes = s.own_bytes;
    size_t count = 0;
    for (; !gears_page_is_heavy(&s); count++) {
        memset(a_long_text, (int)('a' + count % 26), LONG);
        put((int64_t)count, a_long_text, LONG);
    }
    CHECK(count == 4 * MIB / LONG + 1 && s.own_bytes > first_bytes && copy_page() && s.rows == count);
    for (size_t row = 0; row < count; row++) {
        memset(a_long_text, (int)('a' + row % 26), LONG);
        CHECK(number_at(row) == (int64_t)row && is_text(row, a_long_text, LONG));
    }
    uint64_t grown = s.own_bytes; /* memory is kept for the next chunk, if it is not much */
    CHECK(gears_page_open(&s) && s.own_bytes == grown && !gears_page_is_heavy(&s));
    for (int i = 0; i < 3; i++) put(i, a_long_text, sizeof a_long_text);
    CHECK(copy_page() && is_text(2, a_long_text, sizeof a_long_text) && s.own_bytes > 16 * MIB);
    CHECK(gears_page_open(&s) && s.own_bytes == first_bytes);
    end();
}

static void a_text_that_no_vector_can_hold_fails(void) {
    begin();
    CHECK(gears_page_open(&s));
    gears_page_set_string(&s, &targets[TEXT], 0, a_long_text, (size_t)UINT32_MAX + 1);
    CHECK(s.load->failed && s.failed && stage.error != NULL && strcmp(stage.error, "GEARSLIMIT out of memory") == 0);
    end();
}

/* ---- a snapshot's load -------------------------------------------------------------------------------------------- */

static gears_load *map_load(void) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    return mmap(NULL, LOAD_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
}

static void a_load_has_room_up_to_its_end(void) {
    gears_load *load = map_load();
    load->used = 1;
    CHECK(gears_load_room(load, 10, false) == 1 && load->used == 11);
    CHECK(gears_load_room(load, 10, true) == 64 && load->used == 74);
    CHECK(gears_load_room(load, LOAD_BYTES, false) == 0 && gears_load_room(load, UINT64_MAX, true) == 0);
    CHECK(gears_load_room(load, LOAD_BYTES - 73, false) == 0 && load->used == 74);
    CHECK(gears_load_room(load, LOAD_BYTES - 74, false) == 74 && load->used == LOAD_BYTES);
    CHECK(gears_load_room(load, 1, false) == 0 && gears_load_room(load, 1, true) == 0);
    load->used = LOAD_BYTES - 63; /* what is aligned would begin at the end */
    CHECK(gears_load_room(load, 1, true) == 0 && gears_load_room(load, 63, false) == LOAD_BYTES - 63);
    munmap(load, LOAD_BYTES);
}

static void pages_follow_each_other_in_a_snapshots_load(void) {
    begin();
    s.load = map_load();
    s.load->used = sizeof *s.load;
    for (int page = 0; page < 3; page++) {
        gears_page_begin(&s);
        for (int row = 0; row <= page; row++) put(page * 10 + row, a_long_text, LONG);
    }
    s.page->rows = s.rows;
    s.page = (gears_page *)(void *)((char *)s.load + 64 * ((sizeof *s.load + 63) / 64));
    for (int page = 0; page < 3; page++) {
        CHECK(gears_page_copy(&s) && s.rows == (size_t)page + 1 && s.own_bytes == 0);
        for (size_t row = 0; row < s.rows; row++)
            CHECK(number_at(row) == page * 10 + (int64_t)row && is_text(row, a_long_text, LONG));
        CHECK((s.page->next == 0) == (page == 2));
        s.page = (gears_page *)(void *)((char *)s.load + s.page->next);
    }
    munmap(s.load, LOAD_BYTES);
    s.load = NULL;
    end();
}

/* The child says so with its load; there is no page to write to then. */
static void a_snapshots_load_that_is_full_has_failed(void) {
    begin();
    s.load = map_load();
    s.load->used = sizeof *s.load;
    gears_page_begin(&s);
    s.load->used = LOAD_BYTES - 1000;
    gears_page_set_string(&s, &targets[TEXT], 0, a_long_text, LONG);
    CHECK(s.load->failed && stage.error == NULL);
    s.load->failed = false;
    s.rows = 5;
    const gears_page *before = s.page;
    gears_page_begin(&s);
    CHECK(s.load->failed && before->rows == 5 && before->next == 0 && s.rows == 0);
    munmap(s.load, LOAD_BYTES);
    s.load = NULL;
    end();
}

int main(void) {
    fake_server();
    duckdb_vector_get_data = data_of;
    duckdb_vector_get_validity = validity_of;
    duckdb_vector_ensure_validity_writable = make_validity;
    duckdb_unsafe_vector_assign_string_element_len = assign;
    what_was_put_is_copied();
    nulls_are_of_their_rows();
    a_place_is_used_again();
    a_page_grows_with_its_texts_and_moves();
    a_text_that_no_vector_can_hold_fails();
    a_load_has_room_up_to_its_end();
    pages_follow_each_other_in_a_snapshots_load();
    a_snapshots_load_that_is_full_has_failed();
    return failed;
}
