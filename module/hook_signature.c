/* The functions that DuckDB knows: one scalar function for each signature, two aggregates for each signature and
 * index. Registered once for the server's one database, at the first stage that needs them; see hook_parts.h. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hook_parts.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static gears_hook_signature *known; /* under mutex; entries stay and do not change */

static void free_signature(gears_hook_signature *s) {
    if (s == NULL) return;
    for (size_t i = 0; i < s->parameter_count && s->parameters != NULL; i++) gears_hook_type_free(s->parameters[i]);
    gears_hook_type_free(s->returns);
    free(s->parameters);
    free(s->text);
    free(s->call);
    free(s);
}

/* A function may go; its signature stays. */
static gears_hook_type *copy_type(const gears_hook_type *type) {
    char *text = gears_hook_type_text(type);
    gears_hook_type *copy = text != NULL ? gears_hook_type_parse(text, strlen(text)) : NULL;
    free(text);
    return copy;
}

static char *signature_text(const gears_function *f) {
    return gears_hook_type_signature(f->kind == GEARS_AGGREGATE, f->is_volatile, f->parameters, f->parameter_count,
                                     f->returns);
}

static gears_hook_signature *new_signature(const gears_function *f, uint32_t index) {
    gears_hook_signature *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->text = signature_text(f);
    s->call = strdup(f->call);
    s->aggregate = f->kind == GEARS_AGGREGATE;
    s->is_volatile = f->is_volatile;
    s->index = index;
    s->plain = (gears_hook_form){s, false};
    s->state = (gears_hook_form){s, true};
    s->parameters = calloc(f->parameter_count + 1, sizeof *s->parameters);
    s->returns = copy_type(f->returns);
    bool whole = s->text && s->call && s->parameters && s->returns;
    for (size_t i = 0; i < f->parameter_count && whole; i++) {
        s->parameters[s->parameter_count++] = copy_type(f->parameters[i]);
        whole = s->parameters[i] != NULL;
    }
    if (whole) return s;
    free_signature(s);
    return NULL;
}

/* ---- registration --------------------------------------------------------------------------------------------- */

static bool register_scalar(duckdb_connection connection, gears_hook_signature *s) {
    duckdb_scalar_function f = duckdb_create_scalar_function();
    duckdb_logical_type type = duckdb_create_logical_type(DUCKDB_TYPE_INTEGER);
    duckdb_scalar_function_set_name(f, s->call);
    duckdb_scalar_function_add_parameter(f, type);
    duckdb_destroy_logical_type(&type);
    for (size_t i = 0; i < s->parameter_count; i++) {
        type = gears_hook_type_logical(s->parameters[i]);
        duckdb_scalar_function_add_parameter(f, type);
        duckdb_destroy_logical_type(&type);
    }
    type = gears_hook_type_logical(s->returns);
    duckdb_scalar_function_set_return_type(f, type);
    duckdb_destroy_logical_type(&type);
    duckdb_scalar_function_set_special_handling(f);
    if (s->is_volatile) duckdb_scalar_function_set_volatile(f);
    duckdb_scalar_function_set_extra_info(f, &s->plain, NULL);
    duckdb_scalar_function_set_function(f, gears_hook_call_scalar);
    bool registered = duckdb_register_scalar_function(connection, f) == DuckDBSuccess;
    duckdb_destroy_scalar_function(&f);
    return registered;
}

static bool register_aggregate(duckdb_connection connection, gears_hook_signature *s, gears_hook_form *form) {
    char name[64];
    snprintf(name, sizeof name, "%s_%u%s", s->call, s->index, form->is_state ? "_state" : "");
    duckdb_aggregate_function f = duckdb_create_aggregate_function();
    duckdb_logical_type type = duckdb_create_logical_type(DUCKDB_TYPE_INTEGER);
    duckdb_aggregate_function_set_name(f, name);
    duckdb_aggregate_function_add_parameter(f, type);
    duckdb_destroy_logical_type(&type);
    for (size_t i = 0; i < s->parameter_count; i++) {
        type = gears_hook_type_logical(s->parameters[i]);
        duckdb_aggregate_function_add_parameter(f, type);
        duckdb_destroy_logical_type(&type);
    }
    type = form->is_state ? duckdb_create_logical_type(DUCKDB_TYPE_BLOB) : gears_hook_type_logical(s->returns);
    duckdb_aggregate_function_set_return_type(f, type);
    duckdb_destroy_logical_type(&type);
    duckdb_aggregate_function_set_special_handling(f);
    duckdb_aggregate_function_set_extra_info(f, form, NULL);
    duckdb_aggregate_function_set_functions(f, gears_hook_call_size, gears_hook_call_init, gears_hook_call_update,
                                            gears_hook_call_combine, gears_hook_call_finalize);
    bool registered = duckdb_register_aggregate_function(connection, f) == DuckDBSuccess;
    duckdb_destroy_aggregate_function(&f);
    return registered;
}

static bool register_forms(duckdb_connection connection, gears_hook_signature *s) {
    if (!s->aggregate) return register_scalar(connection, s);
    return register_aggregate(connection, s, &s->plain) && register_aggregate(connection, s, &s->state);
}

/* ---- look-up -------------------------------------------------------------------------------------------------- */

/* Names are hashes: two signatures with one name would make DuckDB read one type as another. */
static const gears_hook_signature *find_or_register(gears_stage *stage, duckdb_connection connection, uint32_t index,
                                                    const char *text) {
    const gears_function *f = stage->hooks[index];
    for (const gears_hook_signature *s = known; s != NULL; s = s->next) {
        if (s->engine != stage->engine || strcmp(s->call, f->call) != 0) continue;
        if (strcmp(s->text, text) != 0) {
            gears_stage_fail(stage, "GEARSFUNCTION another signature has the name %s", f->call);
            return NULL;
        }
        if (!s->aggregate || s->index == index) return s;
    }
    gears_hook_signature *s = new_signature(f, index);
    if (s == NULL || !register_forms(connection, s)) { /* not freed: DuckDB may hold one form of it */
        gears_stage_fail(stage, "GEARSFUNCTION DuckDB refused %s", f->call);
        return NULL;
    }
    s->engine = stage->engine;
    s->next = known;
    known = s;
    return s;
}

const gears_hook_signature *gears_hook_signature_of(gears_stage *stage, duckdb_connection connection, uint32_t index) {
    char *text = signature_text(stage->hooks[index]);
    const gears_hook_signature *found = NULL;
    if (text == NULL) {
        gears_stage_fail(stage, "GEARSLIMIT out of memory");
        return NULL;
    }
    pthread_mutex_lock(&mutex);
    found = find_or_register(stage, connection, index, text);
    pthread_mutex_unlock(&mutex);
    free(text);
    return found;
}
