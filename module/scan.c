/* The keyspace scan as a DuckDB table function, and its keys as rows; see scan.h and scan_parts.h.
 *
 * One call fills one chunk in one turn at the server lock: RM_Scan hands over key after key, and each wanted field is
 * cast into a page (scan_page.c), which becomes the chunk when the lock is free again. What DuckDB does with the chunk
 * then is the pause in which clients run.
 *
 * Where the stage has a snapshot (snapshot.h), the same keys become the same pages in its child.
 *
 * The per-key path holds no allocation: a page keeps its memory from chunk to chunk. */
#include "scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "given.h"
#include "grow.h"
#include "lock.h"
#include "logical.h"
#include "rights.h"
#include "scan_parts.h"
#include "stage_limits.h"

/* The name of a scan's only column when a query reads none (count(*)): DuckDB knows no table without columns. */
#define NO_COLUMN "gears_none"

enum { MISFIT_SHOWN = 200 };

static _Thread_local gears_stage *thread_stage;
static _Thread_local RedisModuleCtx *thread_ctx;

void gears_scan_set_stage(gears_stage *stage, RedisModuleCtx *ctx) {
    thread_stage = stage;
    thread_ctx = ctx;
}

gears_stage *gears_scan_stage(void) { return thread_stage; }

/* ---- values into a page ----------------------------------------------------------------------------------------- */

static bool is_null_value(const gears_scan_spec *spec, const char *bytes, size_t length) {
    for (size_t i = 0; i < spec->null_count; i++)
        if (spec->nulls[i].length == length && memcmp(spec->nulls[i].data, bytes, length) == 0) return true;
    return false;
}

void gears_scan_fail_misfit(scan_state *s, const char *column, const char *type, gears_slice key, const char *bytes,
                            size_t length) {
    char *shown_column = gears_escape(column, strlen(column), MISFIT_SHOWN, true);
    char *shown_type = gears_escape(type, strlen(type), MISFIT_SHOWN, true);
    char *shown_key = gears_escape(key.data, key.size, MISFIT_SHOWN, true);
    char *shown_value = gears_escape(bytes, length, MISFIT_SHOWN, true);
    if (shown_column && shown_type && shown_key && shown_value)
        gears_stage_fail(s->stage, "GEARSMISFIT column=%s type=%s key=%s value=%s", shown_column, shown_type, shown_key,
                         shown_value);
    free(shown_column), free(shown_type), free(shown_key), free(shown_value);
    s->failed = true;
}

bool gears_scan_fail_memory(scan_state *s) {
    gears_stage_fail(s->stage, "GEARSLIMIT out of memory");
    s->failed = true;
    return false;
}

static bool put_plain(scan_state *s, target *t, const char *bytes, size_t length) {
    if (!gears_cast_value(&t->column->type, bytes, length, t->data + s->rows * t->width)) return false;
    if (t->width == 0) gears_page_set_string(s, t, s->rows, bytes, length);
    gears_page_set_valid(t, s->rows);
    return true;
}

/* False: a misfit, or the stage failed. */
static bool put_nested(scan_state *s, target *t, const char *bytes, size_t length) {
    const gears_hook_type *type = t->column->nested;
    if (s->rows == 0) s->cells = 0; /* what rows that were left out have taken */
    switch (gears_nested_judge(type, bytes, length, &s->room, &s->cells)) {
    case GEARS_NESTED_MISFIT: return false;
    case GEARS_NESTED_NO_MEMORY: return gears_scan_fail_memory(s);
    case GEARS_NESTED_NULL: return gears_page_set_null(t, s->rows), true;
    case GEARS_NESTED_VALUE: break;
    }
    gears_page_set_string(s, t, s->rows, bytes, length);
    gears_page_set_valid(t, s->rows);
    return true;
}

/* Put one value in its place. False: the row is not to be kept (skipped, or the stage failed). */
static bool put(scan_state *s, target *t, gears_slice key, const char *bytes, size_t length) {
    if (s->spec->null_count && t->column->name != NULL && is_null_value(s->spec, bytes, length)) {
        gears_page_set_null(t, s->rows);
        return true;
    }
    if ((t->column->nested ? put_nested : put_plain)(s, t, bytes, length)) return true;
    if (s->failed) return false;
    if (s->spec->on_error == GEARS_ON_ERROR_FAIL) {
        gears_scan_fail_misfit(s, t->column->name, t->column->type_name, key, bytes, length);
        return false;
    }
    s->misfits++;
    gears_page_set_null(t, s->rows);
    return s->spec->on_error == GEARS_ON_ERROR_NULL;
}

static bool put_field(scan_state *s, target *t, gears_slice key, RedisModuleString *value) {
    size_t length;
    if (value == NULL) {
        gears_page_set_null(t, s->rows);
        return true;
    }
    const char *bytes = RedisModule_StringPtrLen(value, &length);
    return put(s, t, key, bytes, length);
}

/* Of a field, or a part of an element; the others come from the key. */
bool gears_scan_is_field(const gears_column *column) {
    return column != NULL && column->source > GEARS_SOURCE_CONSTANT;
}

/* An index beyond is that of NO_COLUMN, or of a row's number. */
void gears_scan_set_target(scan_state *s, target *t, uint64_t index) {
    /* The one behind the columns is the keys' (stage_parse_scan.c). */
    t->column = index < s->spec->column_count + s->spec->lenient ? &s->spec->columns[index] : NULL;
    t->width = t->column ? gears_cast_width(&t->column->type) : 0; /* 0: a string */
}

/* ---- keys into rows ------------------------------------------------------------------------------------------- */

/* Several fields a call save the look-up of the hash, not that of the field. */
static bool put_fields(scan_state *s, gears_slice name, RedisModuleKey *key) {
    bool keep = true;
    for (size_t i = 0; i < s->field_count && keep; i += 4) {
        RedisModuleString *v[4] = {NULL, NULL, NULL, NULL};
        size_t left = s->field_count - i;
        RedisModuleString *f[4];
        for (size_t j = 0; j < 4; j++) f[j] = j < left ? s->targets[i + j].column->field : NULL;
        RedisModule_HashGet(key, REDISMODULE_HASH_NONE, f[0], &v[0], f[1], &v[1], f[2], &v[2], f[3], &v[3], NULL);
        for (size_t j = 0; j < 4 && j < left; j++) {
            if (keep) keep = put_field(s, &s->targets[i + j], name, v[j]);
            if (v[j] != NULL) RedisModule_FreeString(NULL, v[j]);
        }
    }
    return keep;
}

/* What a row's columns have from its key. */
static bool put_name(scan_state *s, gears_slice name) {
    for (size_t i = s->field_count; i < s->target_count; i++) {
        target *t = &s->targets[i];
        if (t->column == NULL) continue;
        gears_slice part = name;
        if (t->column->source == GEARS_SOURCE_PLACEHOLDER) part = s->captures[t->column->placeholder];
        if (t->column->source == GEARS_SOURCE_CONSTANT)
            part.data = RedisModule_StringPtrLen(t->column->field, &part.size);
        if (!put(s, t, name, part.data, part.size)) return false;
    }
    return true;
}

static bool put_row(scan_state *s, RedisModuleKey *key, gears_slice name) {
    if (s->field_count > 0 && !put_fields(s, name, key)) return false;
    return put_name(s, name);
}

/* What a row took that is not kept is given back. */
static void end_row(scan_state *s, uint64_t used, bool kept) {
    if (kept)
        s->rows++;
    else
        s->load->used = used;
}

static void read_row(scan_state *s, RedisModuleKey *key, gears_slice name) {
    uint64_t used = s->load->used;
    end_row(s, used, put_row(s, key, name));
}

bool gears_scan_matches(scan_state *s, const char *bytes, size_t length) {
    if (s->spec->is_template) return gears_pattern_capture(&s->spec->key_template, bytes, length, s->captures);
    return gears_pattern_glob(&s->spec->glob, bytes, length);
}

/* ---- elements into rows (read.h) ------------------------------------------------------------------------------ */

static gears_slice key_at_hand(const scan_state *s) { return (gears_slice){s->reader.name, s->reader.name_length}; }

static bool put_values(scan_state *s, const gears_slice *values) {
    for (size_t i = 0; i < s->field_count; i++) {
        if (values[i].data == NULL)
            gears_page_set_null(&s->targets[i], s->rows);
        else if (!put(s, &s->targets[i], key_at_hand(s), values[i].data, values[i].size))
            return false;
    }
    return put_name(s, key_at_hand(s));
}

static void put_element(scan_state *s, const gears_slice *values) {
    uint64_t used = s->load->used;
    end_row(s, used, put_values(s, values));
}

bool gears_scan_is_full(void *data) {
    const scan_state *s = data;
    return s->rows == s->capacity || (s->rows > 0 && (s->cells > MOST_CELLS || gears_page_is_heavy(s)));
}

static bool on_element(void *data, const gears_slice *values) {
    scan_state *s = data;
    if (!gears_scan_is_full(s)) {
        put_element(s, values);
    } else if (!gears_elements_push(&s->waiting, values, s->field_count)) {
        gears_stage_fail(s->stage, "GEARSLIMIT out of memory");
        s->failed = true;
    }
    return !s->failed;
}

/* A text that is no JSON object has none of the members. */
static bool on_no_object(void *data, gears_slice text) {
    scan_state *s = data;
    if (s->spec->on_error == GEARS_ON_ERROR_FAIL) {
        gears_scan_fail_misfit(s, s->targets[0].column->name, "member of a JSON object", key_at_hand(s), text.data,
                               text.size);
        return false;
    }
    s->misfits++;
    if (s->spec->on_error == GEARS_ON_ERROR_SKIP) return true;
    for (size_t i = 0; i < s->field_count; i++) s->reader.values[i] = (gears_slice){NULL, 0};
    return on_element(s, s->reader.values);
}

/* The key's elements may outlive its name: from then on placeholders are parts of the reader's copy. */
static void read_elements(scan_state *s, RedisModuleString *name, RedisModuleKey *key) {
    gears_read_begin(&s->reader, s->ctx, name, key);
    s->failed |= s->reader.failed;
    if (s->reader.open || s->waiting.count > 0) gears_scan_matches(s, s->reader.name, s->reader.name_length);
}

/* The elements that wait for a chunk. False: the stage failed. */
static bool put_waiting(scan_state *s) {
    while (s->waiting.count > 0 && !gears_scan_is_full(s) && !s->failed) {
        gears_elements_pop(&s->waiting, s->reader.values, s->field_count);
        put_element(s, s->reader.values);
    }
    return !s->failed;
}

/* The command that reads keys of a type as wholly as a scan does. */
static const char *const READ_BY[] = {
    [GEARS_KEYS_HASH] = "HGETALL",  [GEARS_KEYS_STRING] = "GET",  [GEARS_KEYS_JSON] = "GET",
    [GEARS_KEYS_SET] = "SMEMBERS",  [GEARS_KEYS_LIST] = "LRANGE", [GEARS_KEYS_ZSET] = "ZRANGE",
    [GEARS_KEYS_STREAM] = "XRANGE",
};

static bool may_read(scan_state *s, RedisModuleString *name) {
    if (!s->check_keys) return true;
    if (s->has_selectors) {
        if (gears_rights_may_read(s->user, s->stage->database, READ_BY[s->spec->key_type], name)) return true;
    } else if (RedisModule_ACLCheckKeyPermissions(s->user, name, REDISMODULE_CMD_KEY_ACCESS) == REDISMODULE_OK) {
        return true;
    }
    if (s->stage->withhold) {
        s->withheld++;
        return false;
    }
    gears_stage_fail(s->stage, "NOPERM the user has no right to read all of the keys that the table's pattern matches");
    s->failed = true;
    return false;
}

/* As of the turn's beginning, or of the snapshot's: by a child's own clock keys would go while it reads. */
static bool is_expired(const scan_state *s, RedisModuleKey *key) {
    long long at = RedisModule_GetAbsExpire(key);
    return at >= 0 && at < s->now_ms;
}

/* One key: a row, rows of its elements, or not ours. RM_Scan may hand over a key that is logically expired: it is not a
 * row. */
void gears_scan_read_key(scan_state *s, RedisModuleString *name, RedisModuleKey *key) {
    size_t length;
    const char *bytes = RedisModule_StringPtrLen(name, &length);
    if (!gears_scan_matches(s, bytes, length)) return;
    if (s->stage->only != NULL && !gears_slot_set_has(&s->stage->only->wanted, gears_slot_of(bytes, length))) return;
    if (RedisModule_KeyType(key) !=
        (s->by_element ? gears_read_keytype(s->spec->key_type) : REDISMODULE_KEYTYPE_HASH)) {
        s->skipped++;
        return;
    }
    if (is_expired(s, key) || !may_read(s, name)) return;
    if (s->by_element)
        read_elements(s, name, key);
    else
        read_row(s, key, (gears_slice){bytes, length});
}

/* Reads a key by its name, which is freed. It may be gone. */
void gears_scan_read_named(scan_state *s, RedisModuleString *name) {
    RedisModuleKey *key = RedisModule_OpenKey(s->ctx, name, REDISMODULE_READ | REDISMODULE_OPEN_KEY_NOTOUCH);
    if (key != NULL) {
        gears_scan_read_key(s, name, key);
        RedisModule_CloseKey(key);
    }
    RedisModule_FreeString(NULL, name);
}

/* Reads on in the key at hand, which was read in part in the turns before. */
void gears_scan_read_open(scan_state *s) {
    RedisModuleString *name = RedisModule_CreateString(NULL, s->reader.name, s->reader.name_length);
    RedisModuleKey *key = RedisModule_OpenKey(s->ctx, name, REDISMODULE_READ | REDISMODULE_OPEN_KEY_NOTOUCH);
    bool there = key != NULL && !is_expired(s, key) && may_read(s, name);
    if (!s->failed) gears_read_go_on(&s->reader, s->ctx, there ? key : NULL);
    if (key != NULL) RedisModule_CloseKey(key);
    RedisModule_FreeString(NULL, name);
    s->failed |= s->reader.failed;
}

/* ---- the table function --------------------------------------------------------------------------------------- */

static void aim_at_chunk(scan_state *s, duckdb_data_chunk chunk) {
    s->rows = s->cells = 0;
    for (size_t i = 0; i < s->target_count; i++) {
        target *t = &s->targets[i];
        if (t->column == NULL || s->lenient != NULL) continue;
        t->vector = duckdb_data_chunk_get_vector(chunk, t->position);
    }
    if (s->lenient != NULL) gears_lenient_aim(s);
}

/* Until there is a row, or no more. False: the stage is cancelled or has failed. */
static bool take_turns(scan_state *s) {
    if (!gears_page_open(s) || !put_waiting(s)) return false;
    while (s->rows == 0 && !gears_scan_is_done(s))
        if (!gears_scan_take_turn(s)) return false;
    s->page->rows = s->rows;
    return gears_page_copy(s);
}

/* A chunk without rows is the end: one whose rows were all skipped is filled again. */
static bool fill_chunk(scan_state *s, duckdb_data_chunk chunk) {
    do {
        aim_at_chunk(s, chunk);
        if (!(s->stage->mode_chosen || gears_scan_choose_mode(s))) return false;
        if (!(s->stage->snapshot ? gears_scan_take_page(s) : take_turns(s))) return false;
        if (s->lenient == NULL || s->rows == 0) return true;
        if (!gears_lenient_cast(s, chunk)) return false;
    } while (s->rows == 0);
    return true;
}

static void scan_function(duckdb_function_info info, duckdb_data_chunk chunk) {
    scan_state *s = duckdb_function_get_init_data(info);
    uint64_t started = gears_lock_now();
    if (!fill_chunk(s, chunk)) {
        duckdb_function_set_error(info, "the scan was stopped");
        return;
    }
    if (!gears_limits_scanned(s->stage, s->rows)) {
        duckdb_function_set_error(info, "too many rows");
        return;
    }
    atomic_fetch_add_explicit(&s->stage->scan_us, gears_lock_now() - started, memory_order_relaxed);
    duckdb_data_chunk_set_size(chunk, s->rows);
}

void gears_scan_free(void *data) {
    scan_state *s = data;
    if (s->channel != NULL) gears_snapshot_drop(s->stage, s->channel);
    while (s->held_count > 0) RedisModule_FreeString(NULL, s->held[--s->held_count]);
    gears_scan_free_names(s);
    gears_repeat_free(&s->repeat);
    for (size_t part = 0; part < GEARS_NAME_PARTS; part++) gears_names_clear(&s->known[part]);
    gears_limits_forgotten(s->stage, s->known_bytes);
    gears_read_free(&s->reader);
    gears_nested_free(&s->room);
    gears_elements_free(&s->waiting);
    gears_lenient_free(s->lenient);
    gears_page_free(s);
    if (s->cursor != NULL) RedisModule_ScanCursorDestroy(s->cursor);
    free(s->held);
    free(s->targets);
    free(s);
}

static void add_target(scan_state *s, duckdb_init_info info, idx_t position, bool fields) {
    idx_t index = duckdb_init_get_column_index(info, position);
    target *t = &s->targets[s->target_count];
    gears_scan_set_target(s, t, index < s->spec->column_count ? index : UINT64_MAX);
    if (gears_scan_is_field(t->column) != fields) return;
    t->position = position;
    s->target_count++;
}

static bool open_reader(scan_state *s) {
    const gears_column **columns = calloc(s->field_count + 1, sizeof(gears_column *));
    if (columns == NULL) return false;
    for (size_t i = 0; i < s->field_count; i++) columns[i] = s->targets[i].column;
    bool opened = gears_read_init(&s->reader, s->stage, s->spec, s->field_count, columns);
    s->reader.scan = s;
    s->reader.row = on_element;
    s->reader.misfit = on_no_object;
    s->reader.full = gears_scan_is_full;
    free(columns);
    return opened;
}

static void scan_init(duckdb_init_info info) {
    scan_state *s = calloc(1, sizeof *s);
    idx_t count = duckdb_init_get_column_count(info);
    if (s != NULL) s->targets = calloc(count + 2, sizeof *s->targets);
    if (s == NULL || s->targets == NULL) {
        free(s);
        duckdb_init_set_error(info, "out of memory");
        return;
    }
    s->stage = thread_stage;
    s->ctx = thread_ctx;
    if (s->stage->slots != NULL) s->stage->slots->executions++, s->stage->slots->open_scans++;
    s->spec = duckdb_init_get_bind_data(info);
    if (s->stage->mode == GEARS_MODE_SLICED) s->stage->mode_chosen = true;
    s->cursor = RedisModule_ScanCursorCreate();
    s->capacity = duckdb_vector_size();
    for (idx_t i = 0; i < count; i++) add_target(s, info, i, true);
    s->field_count = s->target_count;
    for (idx_t i = 0; i < count; i++) add_target(s, info, i, false);
    s->by_element = s->spec->key_type != GEARS_KEYS_HASH;
    if (s->by_element && !open_reader(s)) duckdb_init_set_error(info, "out of memory");
    bool reads = s->target_count > 0 && s->targets[s->target_count - 1].column != NULL;
    const char *problem = s->spec->lenient && reads ? gears_lenient_open(s, duckdb_init_get_extra_info(info)) : NULL;
    if (problem != NULL) duckdb_init_set_error(info, problem);
    duckdb_init_set_max_threads(info, 1);
    duckdb_init_set_init_data(info, s, gears_scan_free);
}

static void add_result_column(duckdb_bind_info info, const char *name, duckdb_logical_type type) {
    duckdb_bind_add_result_column(info, name, type);
    duckdb_destroy_logical_type(&type);
}

static void scan_bind(duckdb_bind_info info) {
    duckdb_value parameter = duckdb_bind_get_parameter(info, 0);
    int64_t index = duckdb_get_int64(parameter);
    duckdb_destroy_value(&parameter);
    if (thread_stage == NULL || index < 0 || (size_t)index >= thread_stage->scan_count) {
        duckdb_bind_set_error(info, "the stage has no such scan");
        return;
    }
    thread_stage->scan_binds++;
    gears_scan_spec *spec = &thread_stage->scans[index];
    for (size_t i = 0; i < spec->column_count; i++) {
        const gears_column *column = &spec->columns[i];
        add_result_column(info, column->name,
                          column->nested ? gears_hook_type_logical(column->nested)
                                         : gears_logical_type(&column->declared));
    }
    if (spec->column_count == 0) add_result_column(info, NO_COLUMN, duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN));
    duckdb_bind_set_bind_data(info, spec, NULL);
}

/* The number behind a prefix, if a name is that. */
static bool is_numbered(const char *name, const char *format, int *index) {
    int used = 0;
    return sscanf(name, format, index, &used) == 1 && name[used] == 0 && *index >= 0;
}

/* 'scan_<i>' is not a table: DuckDB asks here, and reads gears_scan(i) instead; gears_given(i) for 'given_<i>'. */
static void replace_scan(duckdb_replacement_scan_info info, const char *table_name, void *data) {
    int index = -1;
    (void)data;
    bool scans = is_numbered(table_name, "scan_%d%n", &index);
    if (!scans && !is_numbered(table_name, "given_%d%n", &index)) return;
    duckdb_value parameter = duckdb_create_int64(index);
    duckdb_replacement_scan_set_function_name(info, scans ? "gears_scan" : "gears_given");
    duckdb_replacement_scan_add_parameter(info, parameter);
    duckdb_destroy_value(&parameter);
}

bool gears_scan_register(duckdb_database database) {
    duckdb_connection connection = NULL;
    if (duckdb_connect(database, &connection) != DuckDBSuccess) return false;
    duckdb_table_function function = duckdb_create_table_function();
    duckdb_logical_type bigint = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
    duckdb_table_function_set_name(function, "gears_scan");
    duckdb_table_function_set_extra_info(function, database, NULL); /* where casts run */
    duckdb_table_function_add_parameter(function, bigint);
    duckdb_table_function_set_bind(function, scan_bind);
    duckdb_table_function_set_init(function, scan_init);
    duckdb_table_function_set_function(function, scan_function);
    duckdb_table_function_supports_projection_pushdown(function, true);
    bool registered = duckdb_register_table_function(connection, function) == DuckDBSuccess;
    registered = registered && gears_given_register(connection);
    registered = registered && gears_lenient_register(connection);
    duckdb_destroy_logical_type(&bigint);
    duckdb_destroy_table_function(&function);
    registered = registered && gears_grow_register(connection);
    duckdb_disconnect(&connection);
    if (registered) duckdb_add_replacement_scan(database, replace_scan, NULL, NULL);
    return registered;
}
