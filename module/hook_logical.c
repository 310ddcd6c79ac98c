/* Types of hooks → DuckDB's logical types; see hook_type.h. */
#include <stdlib.h>

#include "hook_type.h"
#include "logical.h"

static duckdb_logical_type list_type(const gears_hook_type *type) {
    duckdb_logical_type child = gears_hook_type_logical(type->children[0]);
    duckdb_logical_type list = duckdb_create_list_type(child);
    duckdb_destroy_logical_type(&child);
    return list;
}

static duckdb_logical_type array_type(const gears_hook_type *type) {
    duckdb_logical_type child = gears_hook_type_logical(type->children[0]);
    duckdb_logical_type array = duckdb_create_array_type(child, type->size);
    duckdb_destroy_logical_type(&child);
    return array;
}

static duckdb_logical_type map_type(const gears_hook_type *type) {
    duckdb_logical_type key = gears_hook_type_logical(type->children[0]->children[0]);
    duckdb_logical_type value = gears_hook_type_logical(type->children[0]->children[1]);
    duckdb_logical_type map = duckdb_create_map_type(key, value);
    duckdb_destroy_logical_type(&key);
    duckdb_destroy_logical_type(&value);
    return map;
}

static duckdb_logical_type struct_type(const gears_hook_type *type) {
    duckdb_logical_type *members = calloc(type->child_count + 1, sizeof *members);
    if (members == NULL) return NULL;
    for (size_t i = 0; i < type->child_count; i++) members[i] = gears_hook_type_logical(type->children[i]);
    duckdb_logical_type made = duckdb_create_struct_type(members, (const char **)type->names, type->child_count);
    for (size_t i = 0; i < type->child_count; i++) duckdb_destroy_logical_type(&members[i]);
    free(members);
    return made;
}

duckdb_logical_type gears_hook_type_logical(const gears_hook_type *type) {
    switch (type->shape) {
    case GEARS_HOOK_LIST: return list_type(type);
    case GEARS_HOOK_STRUCT: return struct_type(type);
    case GEARS_HOOK_ARRAY: return array_type(type);
    case GEARS_HOOK_MAP: return map_type(type);
    case GEARS_HOOK_PLAIN: break;
    }
    return gears_logical_type(&type->plain);
}
