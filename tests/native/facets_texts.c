/* For test_facets.py: what of a stage's SQL is let through, by trees as DuckDB's parser would give them, and what it
 * may cost; elements that wait for the next chunk. On a server that is none (tests/fuzz). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/fake.h"
#include "check.h"
#include "check_names.h"
#include "elements.h"
#include "facets.h"
#include "json.h"

/* ---- a parser that is none ---------------------------------------------------------------------------------------- */

static duckdb_string_t tree;

static duckdb_state bind(duckdb_prepared_statement statement, idx_t index, const char *text, idx_t length) {
    return (void)statement, (void)index, (void)text, (void)length, DuckDBSuccess;
}
static duckdb_state execute(duckdb_prepared_statement statement, duckdb_result *result) {
    return (void)statement, (void)result, DuckDBSuccess;
}
static duckdb_data_chunk fetch(duckdb_result result) { return (void)result, (duckdb_data_chunk)&tree; }
static duckdb_vector vector_of(duckdb_data_chunk chunk, idx_t column) { return (void)chunk, (void)column, NULL; }
static void *data_of(duckdb_vector vector) { return (void)vector, &tree; }
static void destroy_chunk(duckdb_data_chunk *chunk) { (void)chunk; }
static void destroy_result(duckdb_result *result) { (void)result; }

static void bind_parser(void) {
    duckdb_bind_varchar_length = bind;
    duckdb_execute_prepared = execute;
    duckdb_fetch_chunk = fetch;
    duckdb_data_chunk_get_vector = vector_of;
    duckdb_vector_get_data = data_of;
    duckdb_destroy_data_chunk = destroy_chunk;
    duckdb_destroy_result = destroy_result;
}

/* What the check says of an answer of the parser: NULL, or the error, malloc'ed. */
static char *check_answer(const char *json) {
    static int number;
    char sql[32];
    gears_stage stage = {.sql = sql};
    snprintf(sql, sizeof sql, "%d", number++); /* a text that has passed is not looked at again */
    tree.pointer.length = (uint32_t)strlen(json);
    if (strlen(json) <= sizeof tree.inlined.bytes)
        memcpy(tree.inlined.bytes, json, strlen(json));
    else
        tree.pointer.ptr = (char *)json;
    CHECK(gears_check_stage(&stage, NULL) == (stage.error == NULL));
    return stage.error;
}

/* As a query whose only item, or FROM, is this. */
static void expect(const char *member, const char *node, const char *expected) {
    char json[2000];
    snprintf(json, sizeof json, "{\"statements\":[{\"node\":{\"type\":\"SELECT_NODE\",\"%s\":%s}}]}", member, node);
    char *error = check_answer(json);
    bool same = expected == NULL ? error == NULL : error != NULL && strstr(error, expected) != NULL;
    if (!same) printf("%s: %s\n", node, error ? error : "passed"), failed = 1;
    free(error);
}

#define CALL(name) "{\"class\":\"FUNCTION\",\"function_name\":\"" name "\",\"arguments\":[]}"
#define TABLE(name) "{\"type\":\"BASE_TABLE\",\"table_name\":\"" name "\"}"

static void what_is_on_a_list_passes_and_nothing_else(void) {
    expect("select_list", "[" CALL("sum") "," CALL("SUM") "," CALL("gears_hook_1f") "]", NULL);
    expect("select_list", "[" CALL("sum") "," CALL("read_text") "]", "GEARSREFUSED the function read_text");
    expect("select_list", "[" CALL("su\\u006d") "]", "the function");
    expect("select_list", "[" CALL("") "]", "the function");
    expect("select_list", "[" CALL("age") "]", "the function age");
    expect("select_list", "[{\"class\":\"FUNCTION\"}]", "the function");
    expect("select_list",
           "[{\"class\":\"FUNCTION\",\"function_name\":\"sum\",\"qualified_name\":{\"path\":[\"system\",\"sum\"]}}]",
           "the function sum");
    expect("select_list", "[{\"class\":\"PARAMETER\"}]", "the expression PARAMETER");
    expect("select_list", "[{\"class\":\"CAST\",\"child\":{\"class\":\"SUBQUERY\",\"x\":" CALL("getenv") "}}]",
           "the function getenv");
    expect("from_table", "{\"type\":\"SHOW_REF\"}", "the clause SHOW_REF");
    expect("from_table", "{\"type\":\"EMPTY\",\"sample\":{}}", "the clause SAMPLE");
    expect("from_table", "{\"type\":\"EMPTY\",\"sample\":null}", NULL);
}

static void relations_are_of_the_stage_or_of_its_with(void) {
    expect("from_table", TABLE("scan_0"), NULL);
    expect("from_table", TABLE("given_12"), NULL);
    expect("from_table", TABLE("scan_"), "the table scan_");
    expect("from_table", TABLE("scan_0x"), "the table scan_0x");
    expect("from_table", TABLE("duckdb_settings"), "the table duckdb_settings");
    expect("cte_map\":{\"map\":[{\"key\":\"w\",\"value\":{\"query\":{\"node\":{\"type\":\"SELECT_NODE\"}}}}]},\"from_"
           "table",
           TABLE("W"), NULL);
    expect("from_table\":" TABLE("w") ",\"cte_map", "{\"map\":[]}", "the table w");
    expect("from_table", "{\"type\":\"TABLE_FUNCTION\",\"function\":" CALL("range") "}", NULL);
    expect("from_table", "{\"type\":\"TABLE_FUNCTION\",\"function\":" CALL("read_csv") "}",
           "the table function read_csv");
    expect("from_table", "{\"type\":\"TABLE_FUNCTION\"}", "the table function");
}

static void an_answer_that_is_no_tree_is_refused(void) {
    static const char *const answers[] = {
        "",
        "{}",
        "[]",
        "{\"statements\":[]",
        "{\"statements\":[{},{}]}",
        "{\"statements\":\"\\",
        "{\"error_message\":\"100% wrong\"}",
        "{\"statements\":[{\"node\":{\"type\":\"CTE_NODE\"}}]}",
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        char *error = check_answer(answers[i]);
        if (error == NULL || strncmp(error, "GEARSREFUSED ", 13) != 0) printf("%s\n", answers[i]), failed = 1;
        free(error);
    }
}

/* bsearch finds nothing in what is not in order, and a name is folded before. */
static void the_names_are_in_order_and_folded(void) {
    for (size_t i = 0; i < sizeof gears_check_names / sizeof *gears_check_names; i++) {
        for (const char *c = gears_check_names[i]; *c; c++) CHECK(!isupper((unsigned char)*c));
        CHECK(i == 0 || strcmp(gears_check_names[i - 1], gears_check_names[i]) < 0);
    }
}

/* ---- what a text may cost ----------------------------------------------------------------------------------------- */

static char *levels(const char *level, int count) {
    char *text = calloc(strlen(level) * (size_t)count + 1, 1);
    for (int i = 0; i < count; i++) strcat(text, level);
    return text;
}

static void a_text_that_takes_long_to_refuse_is_not_afforded(void) {
    static const struct {
        const char *level;
        int count;
        bool afforded;
    } cases[] = {
        {"WITH w AS (", 4, true},
        {"WITH w AS (", 8, false},
        {"with w as materialized (", 8, false},
        {"WITH w AS ((", 8, false},
        {"WITH w AS (SELECT 1) ", 500, true},
        {"'WITH w AS ('", 500, true},
        {"\"WITH w AS (\"", 500, true},
        {"WITH w AS (SELECT (", 4, true},
        {"WITH w AS (SELECT (", 8, false},
        {"WITH w AS (SELECT 1 UNION (", 8, false},
        {"WITH w AS (EXPLAIN ", 9, false},
        {"e'\\' -- '", 1, true},
        {"'\\' -- '", 1, false},
        {"x -> position(", 6, true},
        {"x -> position(", 12, false},
        {"x -> 1 + POSITION(", 12, false},
        {"x -> f(1) + position (", 12, false},
        {"x ->-[1, 2] % position(", 12, false},
        {"position(x -> (", 12, true},
        {"x ->> position(", 12, true},
        {"x -> f(", 100, true},
        {"x -> f(x) ", 500, true},
        {"x - f(", 100, true},
        {"(", 320, true},
        {"(", 321, false},
        {")", 5000, true},
        {"-- ", 1, false},
        {"/* ", 1, false},
        {"$1", 1, false},
        {"'$1 -- /*'", 1, true},
        {"'", 1, true},
        {"e'\\", 1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = levels(cases[i].level, cases[i].count);
        if (gears_check_affords(text) != cases[i].afforded)
            printf("%d × %s\n", cases[i].count, cases[i].level), failed = 1;
        free(text);
    }
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

static void elements_come_out_as_they_went_in(void) {
    gears_elements queue = {0};
    char *large = levels("0123456789", 1000);
    gears_slice values[3];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 100; i++)
            CHECK(gears_elements_push(&queue, (gears_slice[]){{large, i * 100}, {NULL, 9}, {"a\0b", 3}}, 3));
        CHECK(queue.count == 100);
        for (size_t i = 0; i < 100; i++) {
            gears_elements_pop(&queue, values, 3);
            CHECK(values[0].size == i * 100 && values[0].data != NULL && memcmp(values[0].data, large, i * 100) == 0);
            CHECK(values[1].data == NULL && values[2].size == 3 && memcmp(values[2].data, "a\0b", 3) == 0);
        }
        CHECK(queue.count == 0 && queue.size == 0);
    }
    gears_elements_free(&queue);
    free(large);
}

/* A token is a word, a quoted text, or a sign; a byte is a byte. */
static void the_memory_for_a_text_is_by_tokens_and_bytes(void) {
    static const struct {
        const char *text;
        unsigned tokens;
    } cases[] = {
        {"", 0},           {" \t\r\n\f\v", 0},     {"SELECT 1,1", 4}, {"a_1.\xc3\xa9", 3}, {"'1, 1''1' x", 2},
        {"\"1, 1\" x", 2}, {"E'\\' , 1 ' , 1", 3}, {"'\\' , 1", 3},   {"[[[", 3},          {"-- 1", 3},
        {"'1, 1", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (gears_check_memory(cases[i].text) != cases[i].tokens * 3072 + strlen(cases[i].text) * 64)
            printf("%s\n", cases[i].text), failed = 1;
}

int main(void) {
    fake_server();
    bind_parser();
    what_is_on_a_list_passes_and_nothing_else();
    relations_are_of_the_stage_or_of_its_with();
    an_answer_that_is_no_tree_is_refused();
    the_names_are_in_order_and_folded();
    a_text_that_takes_long_to_refuse_is_not_afforded();
    the_memory_for_a_text_is_by_tokens_and_bytes();
    elements_come_out_as_they_went_in();
    return failed;
}
