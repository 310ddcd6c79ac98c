/* Walks DuckDB's tree of a stage's SQL and refuses what is on no list; see check.h. */
#include "check.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check_names.h"
#include "json.h"

enum { MAX_NAMES = 256, KEPT_TEXTS = 256, KEPT_BYTES = 1 << 14, SHOWN = 100 };

typedef struct check {
    gears_json json;
    gears_stage *stage;
    gears_slice names[MAX_NAMES]; /* of WITH, as far as they can be seen from the node at hand */
    size_t name_count;
} check;

static const char *const expressions[] = {
    "BETWEEN",     "CASE",     "CAST",     "COLLATE", "COLUMN_REF", "COMPARISON",
    "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA",  "OPERATOR",   "POSITIONAL_REFERENCE",
    "STAR",        "SUBQUERY", "TYPE",     "WINDOW",
};
static const char *const queries[] = {"CTE_NODE", "RECURSIVE_CTE_NODE", "SELECT_NODE", "SET_OPERATION_NODE"};
static const char *const others[] = {
    "BASE_TABLE",        "PIVOT",          "EMPTY",          "EXPRESSION_LIST", "JOIN",       "SUBQUERY",
    "TABLE_FUNCTION",    "LIMIT_MODIFIER", "ORDER_MODIFIER", "ASCENDING",       "DESCENDING", "ORDER_DEFAULT",
    "DISTINCT_MODIFIER",
};
static const char *const table_functions[] = {"generate_series", "range", "json_each", "json_tree", "unnest"};

#define IS_AMONG(bytes, list) is_among(bytes, list, sizeof list / sizeof *list)

static bool is_among(gears_slice bytes, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (gears_json_is(bytes, list[i])) return true;
    return false;
}

static bool refuse(check *c, const char *what, gears_slice name) {
    char *shown = gears_escape(name.data, name.size, SHOWN, false);
    gears_stage_fail(c->stage, "GEARSREFUSED %s %s may not stand in a stage", what, shown ? shown : "?");
    free(shown);
    return false;
}

static bool walk(check *c, uint32_t node);

static bool walk_children(check *c, uint32_t node, const char *but) {
    bool is_object = c->json.nodes[node].kind == GEARS_JSON_OBJECT;
    for (uint32_t at = node + 1; at < c->json.nodes[node].end; at = c->json.nodes[at].end) {
        bool skipped = false;
        if (is_object) skipped = but != NULL && gears_json_is(gears_json_bytes(&c->json, at++), but);
        if (!skipped && !walk(c, at)) return false;
    }
    return true;
}

/* ---- functions ------------------------------------------------------------------------------------------------ */

/* DuckDB folds ASCII only. */
static bool fold(gears_slice name, char *out, size_t room) {
    if (name.size >= room) return false;
    for (size_t i = 0; i < name.size; i++) out[i] = (char)(name.data[i] & 0x80 ? name.data[i] : tolower(name.data[i]));
    out[name.size] = 0;
    return strlen(out) == name.size;
}

static int compare_names(const void *name, const void *entry) { return strcmp(name, *(const char *const *)entry); }

static bool may_call(gears_slice name) {
    static const char users[] = "gears_hook_";
    char folded[128];
    if (!fold(name, folded, sizeof folded)) return false;
    if (strncmp(folded, users, strlen(users)) == 0) return true;
    size_t count = sizeof gears_check_names / sizeof *gears_check_names;
    return bsearch(folded, gears_check_names, count, sizeof *gears_check_names, compare_names) != NULL;
}

static size_t count_items(check *c, uint32_t array) {
    size_t count = 0;
    for (uint32_t at = array + 1; at < c->json.nodes[array].end; at = c->json.nodes[at].end) count++;
    return count;
}

/* 'main.f', 'system.main.f' and the like lead to the same functions: nobody needs them. */
static bool is_plain_name(check *c, uint32_t node) {
    uint32_t path = gears_json_member(&c->json, gears_json_member(&c->json, node, "qualified_name"), "path");
    return path == 0 || count_items(c, path) <= 1;
}

static bool check_call(check *c, uint32_t node) {
    gears_slice name = gears_json_text(&c->json, node, "function_name");
    if (!is_plain_name(c, node) || !may_call(name)) return refuse(c, "the function", name);
    /* Of one value it counts from today. */
    uint32_t arguments = gears_json_member(&c->json, node, "arguments");
    if (name.size == 3 && strncasecmp(name.data, "age", 3) == 0 && count_items(c, arguments) < 2)
        return refuse(c, "the function", name);
    return true;
}

static bool check_table_function(check *c, uint32_t node) {
    uint32_t call = gears_json_member(&c->json, node, "function");
    gears_slice name = gears_json_text(&c->json, call, "function_name");
    char folded[32] = "";
    fold(name, folded, sizeof folded);
    if (call == 0 || !is_plain_name(c, call) || !IS_AMONG(((gears_slice){folded, strlen(folded)}), table_functions))
        return refuse(c, "the table function", name);
    return true;
}

/* ---- relations ------------------------------------------------------------------------------------------------ */

/* 'scan_0', 'given_12': what DuckDB asks scan.c about. Which of them there are is seen when the text is bound. */
static bool is_of_the_stage(gears_slice name) {
    static const char *const prefixes[] = {"scan_", "given_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t length = strlen(prefixes[i]), digits = length;
        if (name.size <= length || name.size > length + 7 || memcmp(name.data, prefixes[i], length) != 0) continue;
        while (digits < name.size && isdigit((unsigned char)name.data[digits])) digits++;
        if (digits == name.size) return true;
    }
    return false;
}

static bool is_of_with(check *c, gears_slice name) {
    for (size_t i = 0; i < c->name_count; i++)
        if (c->names[i].size == name.size && strncasecmp(c->names[i].data, name.data, name.size) == 0) return true;
    return false;
}

static bool is_given(check *c, uint32_t node, const char *member) {
    uint32_t value = gears_json_member(&c->json, node, member);
    return value != 0 && !gears_json_is(gears_json_bytes(&c->json, value), "null");
}

static bool check_table(check *c, uint32_t node) {
    gears_slice name = gears_json_text(&c->json, node, "table_name");
    bool known = is_plain_name(c, node) && (is_of_the_stage(name) || is_of_with(c, name));
    if (!known || is_given(c, node, "at_clause")) return refuse(c, "the table", name);
    return true;
}

/* ---- WITH ----------------------------------------------------------------------------------------------------- */

static bool add_name(check *c, gears_slice name) {
    if (name.size == 0 || memchr(name.data, '\\', name.size) != NULL || c->name_count == MAX_NAMES)
        return refuse(c, "WITH", name);
    c->names[c->name_count++] = name;
    return true;
}

/* A query of WITH sees those before it. By its own name it would find a table of the catalog, unless it is recursive:
 * then it does so in its second part only. */
static bool walk_with(check *c, uint32_t node) {
    uint32_t map = gears_json_member(&c->json, gears_json_member(&c->json, node, "cte_map"), "map");
    for (uint32_t at = map + 1; map != 0 && at < c->json.nodes[map].end; at = c->json.nodes[at].end) {
        uint32_t value = gears_json_member(&c->json, at, "value");
        if (value == 0 || !walk_children(c, value, NULL)) return false;
        if (!add_name(c, gears_json_text(&c->json, at, "key"))) return false;
    }
    return true;
}

static bool walk_parts(check *c, uint32_t node, gears_slice type) {
    const char *first = gears_json_is(type, "RECURSIVE_CTE_NODE") ? "left"
                        : gears_json_is(type, "CTE_NODE")         ? "query"
                                                                  : NULL;
    if (first != NULL) {
        uint32_t part = gears_json_member(&c->json, node, first);
        if (part == 0 || !walk(c, part) || !add_name(c, gears_json_text(&c->json, node, "cte_name"))) return false;
    }
    for (uint32_t at = node + 1; at < c->json.nodes[node].end; at = c->json.nodes[at + 1].end) {
        gears_slice name = gears_json_bytes(&c->json, at);
        if (gears_json_is(name, "cte_map") || (first != NULL && gears_json_is(name, first))) continue;
        if (!walk(c, at + 1)) return false;
    }
    return true;
}

static bool walk_query(check *c, uint32_t node, gears_slice type) {
    size_t before = c->name_count;
    bool passed = walk_with(c, node) && walk_parts(c, node, type);
    c->name_count = before;
    return passed;
}

/* ---- the tree ------------------------------------------------------------------------------------------------- */

static bool walk_expression(check *c, uint32_t node, gears_slice class) {
    if (!IS_AMONG(class, expressions)) return refuse(c, "the expression", class);
    bool calls = gears_json_is(class, "FUNCTION") || gears_json_is(class, "WINDOW");
    if (calls && !check_call(c, node)) return false;
    if (gears_json_is(class, "TYPE") && !is_plain_name(c, node))
        return refuse(c, "the type", gears_json_text(&c->json, node, "type_name"));
    return walk_children(c, node, NULL);
}

static bool walk_other(check *c, uint32_t node, gears_slice type) {
    if (!IS_AMONG(type, others)) return refuse(c, "the clause", type);
    if (gears_json_is(type, "BASE_TABLE") && !check_table(c, node)) return false;
    if (!gears_json_is(type, "TABLE_FUNCTION")) return walk_children(c, node, NULL);
    if (!check_table_function(c, node)) return false;
    return walk_children(c, gears_json_member(&c->json, node, "function"), NULL) && walk_children(c, node, "function");
}

static bool walk(check *c, uint32_t node) {
    gears_json_kind kind = c->json.nodes[node].kind;
    if (kind == GEARS_JSON_STRING || kind == GEARS_JSON_OTHER) return true;
    if (kind == GEARS_JSON_ARRAY) return walk_children(c, node, NULL);
    if (is_given(c, node, "sample")) return refuse(c, "the clause", (gears_slice){"SAMPLE", 6});
    gears_slice class = gears_json_text(&c->json, node, "class"), type = gears_json_text(&c->json, node, "type");
    if (class.size > 0) return walk_expression(c, node, class);
    if (type.size == 0) return walk_children(c, node, NULL);
    return IS_AMONG(type, queries) ? walk_query(c, node, type) : walk_other(c, node, type);
}

static bool check_answer(check *c) {
    uint32_t statements = gears_json_member(&c->json, 0, "statements");
    if (statements == 0) {
        gears_slice said = gears_json_text(&c->json, 0, "error_message");
        char *shown = gears_escape(said.data, said.size, 1000, false);
        gears_stage_fail(c->stage, "GEARSREFUSED a stage is one SELECT: %s", shown ? shown : "?");
        free(shown);
        return false;
    }
    if (count_items(c, statements) != 1)
        gears_stage_fail(c->stage, "GEARSREFUSED a stage is one SELECT, not several");
    else if (walk_children(c, statements, NULL))
        return true;
    gears_stage_fail(c->stage, "GEARSREFUSED the SQL is no tree of this DuckDB"); /* unless it has an error by now */
    return false;
}

/* ---- DuckDB's parser ------------------------------------------------------------------------------------------ */

static bool fail_with(gears_stage *stage, const char *message) {
    char *text = gears_escape(message ? message : "?", strlen(message ? message : "?"), 1000, false);
    gears_stage_fail(stage, "GEARSREFUSED the SQL cannot be parsed: %s", text ? text : "?");
    free(text);
    return false;
}

static bool check_json(gears_stage *stage, const char *text, size_t length) {
    check *c = calloc(1, sizeof *c);
    if (c == NULL) {
        gears_stage_fail(stage, "GEARSLIMIT out of memory");
        return false;
    }
    c->stage = stage;
    bool passed = gears_json_read(&c->json, text, length);
    if (!passed) gears_stage_fail(stage, "GEARSREFUSED the SQL is too long, or nested too deeply");
    passed = passed && check_answer(c);
    gears_json_free(&c->json);
    free(c);
    return passed;
}

static bool check_row(gears_stage *stage, duckdb_result result) {
    duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
    if (chunk == NULL) return fail_with(stage, "no tree");
    const duckdb_string_t *row = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
    uint32_t length = row->inlined.length;
    bool inlined = length <= sizeof row->inlined.bytes;
    bool passed = check_json(stage, inlined ? row->inlined.bytes : row->pointer.ptr, length);
    duckdb_destroy_data_chunk(&chunk);
    return passed;
}

static bool check_text(gears_stage *stage, duckdb_prepared_statement parser) {
    if (duckdb_bind_varchar_length(parser, 1, stage->sql, strlen(stage->sql)) != DuckDBSuccess)
        return fail_with(stage, "it is no UTF-8");
    duckdb_result result;
    memset(&result, 0, sizeof result);
    bool ran = duckdb_execute_prepared(parser, &result) == DuckDBSuccess;
    bool passed = ran ? check_row(stage, result) : fail_with(stage, duckdb_result_error(&result));
    duckdb_destroy_result(&result);
    return passed;
}

/* ---- texts that passed ---------------------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char *kept[KEPT_TEXTS]; /* under mutex; by hash, the newest one stays */

static char **place_of(const char *text) {
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return &kept[(hash ^ hash >> 32) % KEPT_TEXTS];
}

static bool has_passed(const char *text) {
    char **place = place_of(text);
    pthread_mutex_lock(&mutex);
    bool passed = *place != NULL && strcmp(*place, text) == 0;
    pthread_mutex_unlock(&mutex);
    return passed;
}

static void keep(const char *text) {
    if (strlen(text) > KEPT_BYTES) return;
    char *copy = strdup(text), **place = place_of(text);
    pthread_mutex_lock(&mutex);
    char *before = *place;
    *place = copy;
    pthread_mutex_unlock(&mutex);
    free(before);
}

bool gears_check_prepare(duckdb_connection connection, duckdb_prepared_statement *parser) {
    if (duckdb_prepare(connection, "SELECT json_serialize_sql($1::VARCHAR)", parser) == DuckDBSuccess) return true;
    duckdb_destroy_prepare(parser);
    return false;
}

bool gears_check_stage(gears_stage *stage, duckdb_prepared_statement parser) {
    if (has_passed(stage->sql)) return true;
    if (!gears_check_affords(stage->sql)) return fail_with(stage, "it is nested too deeply, or has comments");
    if (!check_text(stage, parser)) return false;
    keep(stage->sql);
    return true;
}
