/* Decodes the arguments of GEARSQL.EXECUTE into a stage. A client can send anything: every count is checked against
 * what is there before anything is allocated, and every refusal names the argument.
 *
 *   GEARSQL.EXECUTE id VERSION v DUCKDB v
 *       [MODE sliced|snapshot] [ACL error|skip] [NODE primary|replica] [SLOTS n (first last)…]
 *       [LIMITS n (name number)…] [ONCE]
 *       { SCAN error|null|skip [TYPE word] [CAST duckdb] (GLOB pattern | TEMPLATE n literal…)
 *         NULLS n value… COLUMNS n (name type source)… }…
 *       { GIVEN rows n (name type)… bytes }…
 *       [HOOKS session n (name hash)…] SQL text
 *
 * A column's source is k (the key), pN (placeholder N), cTEXT (this text), fNAME (a field), ev, ei or es (of an element).
 *
 * Runs on: main thread. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nested.h"
#include "stage.h"
#include "version.h"

enum {
    MAX_SCANS = 64,
    MAX_COLUMNS = 4096,
    MAX_LITERALS = 256,
    MAX_ID = 128,
    MAX_GIVEN = 64,
    MAX_GIVEN_ROWS = 1 << 24,
    MAX_GIVEN_BYTES = 64 << 20
};

typedef struct decoder {
    RedisModuleString **argv;
    int argc, at;
    char *error;
} decoder;

static bool refuse(decoder *d, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (d->error == NULL && vasprintf(&d->error, format, arguments) < 0) d->error = NULL;
    va_end(arguments);
    return false;
}

static bool next(decoder *d, const char *what, const char **bytes, size_t *length) {
    if (d->at >= d->argc) return refuse(d, "GEARSSTAGE argument %d is missing: %s", d->at, what);
    *bytes = RedisModule_StringPtrLen(d->argv[d->at++], length);
    return true;
}

static bool next_is(decoder *d, const char *word) {
    size_t length;
    if (d->at >= d->argc) return false;
    const char *bytes = RedisModule_StringPtrLen(d->argv[d->at], &length);
    return strlen(word) == length && memcmp(bytes, word, length) == 0;
}

static bool expect(decoder *d, const char *word) {
    if (!next_is(d, word)) return refuse(d, "GEARSSTAGE argument %d must be %s", d->at, word);
    d->at++;
    return true;
}

/* A count of things of `each` arguments, which must all be there. */
static bool next_count(decoder *d, const char *what, size_t most, size_t each, size_t *count) {
    long long number;
    if (d->at >= d->argc || RedisModule_StringToLongLong(d->argv[d->at], &number) != REDISMODULE_OK)
        return refuse(d, "GEARSSTAGE argument %d must be a number: %s", d->at, what);
    if (number < 0 || (size_t)number > most || (size_t)number * each > (size_t)(d->argc - d->at - 1))
        return refuse(d, "GEARSSTAGE argument %d is out of range: %s", d->at, what);
    d->at++;
    *count = (size_t)number;
    return true;
}

static bool next_bytes(decoder *d, const char *what, gears_bytes *out) {
    const char *bytes;
    if (!next(d, what, &bytes, &out->length)) return false;
    out->data = malloc(out->length + 1);
    if (out->data == NULL) return refuse(d, "GEARSLIMIT out of memory");
    memcpy(out->data, bytes, out->length);
    out->data[out->length] = 0;
    return true;
}

/* Text that C and DuckDB take as a C string: a NUL in it would cut it silently. */
static bool next_text(decoder *d, const char *what, char **out) {
    gears_bytes text;
    if (!next_bytes(d, what, &text)) return false;
    *out = text.data;
    if (strlen(text.data) != text.length)
        return refuse(d, "GEARSSTAGE argument %d has a NUL byte: %s", d->at - 1, what);
    return true;
}

static bool decode_version(decoder *d, const char *word, const char *what, const char *ours) {
    char *theirs = NULL;
    if (!expect(d, word)) return false;
    bool same = next_text(d, what, &theirs) && strcmp(theirs, ours) == 0;
    if (!same && theirs != NULL && d->error == NULL) {
        char *asked = gears_escape(theirs, strlen(theirs), 64, true);
        refuse(d, "GEARSVERSION expected=%s found=%s what=%s", asked ? asked : "?", ours, what);
        free(asked);
    }
    free(theirs);
    return same;
}

static bool decode_on_error(decoder *d, gears_on_error *out) {
    static const char *const words[] = {"error", "null", "skip"};
    for (int i = 0; i < 3; i++) {
        if (next_is(d, words[i])) {
            *out = (gears_on_error)i;
            return expect(d, words[i]);
        }
    }
    return refuse(d, "GEARSSTAGE argument %d must be error, null or skip", d->at);
}

/* TYPE word: what keys are rows; without it, hashes. */
static bool decode_key_type(decoder *d, gears_key_type *out) {
    static const char *const words[] = {
        [GEARS_KEYS_HASH] = "hash",     [GEARS_KEYS_STRING] = "string", [GEARS_KEYS_JSON] = "json",
        [GEARS_KEYS_SET] = "set",       [GEARS_KEYS_LIST] = "list",     [GEARS_KEYS_ZSET] = "zset",
        [GEARS_KEYS_STREAM] = "stream",
    };
    if (!next_is(d, "TYPE")) return true;
    d->at++;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!next_is(d, words[i])) continue;
        *out = (gears_key_type)i;
        return expect(d, words[i]);
    }
    return refuse(d, "GEARSSTAGE argument %d is no type of keys", d->at);
}

static bool decode_template(decoder *d, gears_scan_spec *scan) {
    size_t count;
    gears_bytes literal;
    if (!next_count(d, "literals of the key template", MAX_LITERALS, 1, &count)) return false;
    scan->literals = calloc(count + 1, sizeof *scan->literals);
    if (scan->literals == NULL) return refuse(d, "GEARSLIMIT out of memory");
    for (; scan->literal_count < count; scan->literal_count++) {
        if (!next_bytes(d, "literal", &literal)) return false;
        scan->literals[scan->literal_count] = (gears_slice){literal.data, literal.length};
    }
    scan->is_template = true;
    if (gears_pattern_template(scan->literals, count, &scan->key_template)) return true;
    return refuse(d, "GEARSSTAGE argument %d: no literal, or placeholders side by side", d->at - 1);
}

static bool decode_keys(decoder *d, gears_scan_spec *scan) {
    if (!next_is(d, "GLOB")) return expect(d, "TEMPLATE") && decode_template(d, scan);
    if (!expect(d, "GLOB") || !next_bytes(d, "key pattern", &scan->pattern)) return false;
    scan->glob = gears_pattern_compile(scan->pattern.data, scan->pattern.length);
    return true;
}

static bool decode_nulls(decoder *d, gears_scan_spec *scan) {
    size_t count;
    if (!expect(d, "NULLS") || !next_count(d, "null values", 256, 1, &count)) return false;
    scan->nulls = calloc(count + 1, sizeof *scan->nulls);
    if (scan->nulls == NULL) return refuse(d, "GEARSLIMIT out of memory");
    for (; scan->null_count < count; scan->null_count++)
        if (!next_bytes(d, "null value", &scan->nulls[scan->null_count])) return false;
    return true;
}

static bool has_source(gears_key_type type, gears_source_kind source) {
#define GEARS_ONE(of) (1u << GEARS_SOURCE_##of)
    static const unsigned sources[] = {
        [GEARS_KEYS_HASH] = GEARS_ONE(FIELD),
        [GEARS_KEYS_STRING] = GEARS_ONE(VALUE),
        [GEARS_KEYS_JSON] = GEARS_ONE(FIELD),
        [GEARS_KEYS_SET] = GEARS_ONE(VALUE),
        [GEARS_KEYS_LIST] = GEARS_ONE(VALUE) | GEARS_ONE(INDEX),
        [GEARS_KEYS_ZSET] = GEARS_ONE(VALUE) | GEARS_ONE(SCORE),
        [GEARS_KEYS_STREAM] = GEARS_ONE(INDEX) | GEARS_ONE(FIELD),
    };
#undef GEARS_ONE
    return sources[type] >> source & 1;
}

/* 'ev', 'ei', 'es': the value, index or score of an element. */
static bool decode_part(decoder *d, gears_key_type type, const char *source, size_t length, gears_column *column) {
    switch (length == 2 ? source[1] : 0) {
    case 'v': column->source = GEARS_SOURCE_VALUE; break;
    case 'i': column->source = GEARS_SOURCE_INDEX; break;
    case 's': column->source = GEARS_SOURCE_SCORE; break;
    default: return refuse(d, "GEARSSTAGE argument %d is no column source", d->at - 1);
    }
    return has_source(type, column->source) ||
           refuse(d, "GEARSSTAGE argument %d: keys of this type have no such part", d->at - 1);
}

static bool decode_source(decoder *d, const gears_scan_spec *scan, gears_column *column) {
    const char *source;
    size_t length;
    if (!next(d, "column source", &source, &length)) return false;
    switch (length ? source[0] : 0) {
    case 'k':
        column->source = GEARS_SOURCE_KEY;
        return length == 1 || refuse(d, "GEARSSTAGE argument %d is no column source", d->at - 1);
    case 'p':
        column->source = GEARS_SOURCE_PLACEHOLDER;
        for (size_t i = 1; i < length && i < 4; i++)
            column->placeholder = column->placeholder * 10 + (unsigned)(source[i] - '0');
        if (length < 2 || length > 4 || !scan->is_template || column->placeholder >= scan->key_template.placeholders)
            return refuse(d, "GEARSSTAGE argument %d: no such placeholder", d->at - 1);
        return true;
    case 'c':
        column->source = GEARS_SOURCE_CONSTANT;
        column->field = RedisModule_CreateString(NULL, source + 1, length - 1);
        return true;
    case 'e': return decode_part(d, scan->key_type, source, length, column);
    case 'f':
        if (!has_source(scan->key_type, GEARS_SOURCE_FIELD))
            return refuse(d, "GEARSSTAGE argument %d: keys of this type have no fields", d->at - 1);
        column->source = GEARS_SOURCE_FIELD;
        column->field = RedisModule_CreateString(NULL, source + 1, length - 1);
        return true;
    default: return refuse(d, "GEARSSTAGE argument %d is no column source", d->at - 1);
    }
}

static bool decode_type(gears_column *column) {
    size_t length = strlen(column->type_name);
    if (gears_cast_parse_type(column->type_name, length, &column->type)) return true;
    column->type = (gears_type){.kind = GEARS_JSON};
    column->nested = gears_hook_type_parse(column->type_name, length);
    return column->nested != NULL && gears_nested_is(column->nested);
}

static bool decode_column(decoder *d, const gears_scan_spec *scan, gears_column *column) {
    if (!next_text(d, "column name", &column->name) || !next_text(d, "column type", &column->type_name)) return false;
    if (!decode_type(column)) return refuse(d, "GEARSSTAGE argument %d is no type that a scan can read", d->at - 1);
    column->declared = column->type;
    if (scan->lenient && column->nested != NULL)
        return refuse(d, "GEARSSTAGE argument %d: DuckDB does not cast texts to what has parts", d->at - 1);
    if (scan->lenient && column->type.kind != GEARS_BLOB && column->type.kind != GEARS_JSON)
        column->type = (gears_type){.kind = GEARS_VARCHAR};
    return decode_source(d, scan, column);
}

static bool decode_scan(decoder *d, gears_scan_spec *scan) {
    size_t count;
    if (!expect(d, "SCAN") || !decode_on_error(d, &scan->on_error) || !decode_key_type(d, &scan->key_type))
        return false;
    if (next_is(d, "CAST")) {
        d->at++;
        if (!expect(d, "duckdb")) return false;
        scan->lenient = true;
    }
    if (!decode_keys(d, scan) || !decode_nulls(d, scan)) return false;
    if (!expect(d, "COLUMNS") || !next_count(d, "columns", MAX_COLUMNS, 3, &count)) return false;
    scan->columns = calloc(count + 1, sizeof *scan->columns);
    if (scan->columns == NULL) return refuse(d, "GEARSLIMIT out of memory");
    while (scan->column_count < count)
        if (!decode_column(d, scan, &scan->columns[scan->column_count++])) return false;
    scan->columns[count] = (gears_column){.type = {.kind = GEARS_BLOB}, .source = GEARS_SOURCE_KEY};
    return true;
}

static bool decode_given_column(decoder *d, char **name, gears_hook_type **type) {
    const char *text;
    size_t length;
    if (!next_text(d, "column name", name) || !next(d, "column type", &text, &length)) return false;
    *type = gears_hook_type_parse(text, length);
    if (*type != NULL && gears_hook_type_crosses(*type)) return true; /* batch_read.c knows no others */
    return refuse(d, "GEARSSTAGE argument %d is no type that a relation can have", d->at - 1);
}

/* GIVEN rows n {name type}… bytes: a relation of the client's. Its values are checked as they are read. */
static bool decode_given(decoder *d, gears_given *given) {
    size_t rows, count;
    d->at++;
    if (!next_count(d, "rows", MAX_GIVEN_ROWS, 0, &rows) || !next_count(d, "columns", MAX_COLUMNS, 2, &count))
        return false;
    if (count == 0) return refuse(d, "GEARSSTAGE argument %d: a relation has columns", d->at - 1);
    given->rows = rows;
    given->names = calloc(count, sizeof *given->names);
    given->types = calloc(count, sizeof(gears_hook_type *));
    if (given->names == NULL || given->types == NULL) return refuse(d, "GEARSLIMIT out of memory");
    for (; given->column_count < count; given->column_count++) {
        size_t i = given->column_count;
        if (decode_given_column(d, &given->names[i], &given->types[i])) continue;
        given->column_count++; /* what there is of it is freed, too */
        return false;
    }
    size_t size = 0;
    if (d->at < d->argc) RedisModule_StringPtrLen(d->argv[d->at], &size);
    if (size > MAX_GIVEN_BYTES) return refuse(d, "GEARSSTAGE argument %d: the relation is too large", d->at);
    return next_bytes(d, "rows", &given->bytes);
}

static bool decode_all_given(decoder *d, gears_stage *stage) {
    if (!next_is(d, "GIVEN")) return true;
    stage->given = calloc(MAX_GIVEN, sizeof *stage->given);
    if (stage->given == NULL) return refuse(d, "GEARSLIMIT out of memory");
    while (next_is(d, "GIVEN")) {
        if (stage->given_count == MAX_GIVEN) return refuse(d, "GEARSSTAGE more than %d relations", MAX_GIVEN);
        if (!decode_given(d, &stage->given[stage->given_count++])) return false;
    }
    return true;
}

static bool next_slot(decoder *d, unsigned *slot) {
    long long number;
    if (RedisModule_StringToLongLong(d->argv[d->at], &number) != REDISMODULE_OK || number < 0 ||
        number >= GEARS_SLOT_COUNT)
        return refuse(d, "GEARSSTAGE argument %d is no slot", d->at);
    d->at++;
    *slot = (unsigned)number;
    return true;
}

static bool decode_mode(decoder *d, gears_stage *stage) {
    d->at++;
    stage->mode = GEARS_MODE_SLICED;
    if (next_is(d, "snapshot")) stage->mode = GEARS_MODE_SNAPSHOT;
    return stage->mode == GEARS_MODE_SNAPSHOT ? expect(d, "snapshot") : expect(d, "sliced");
}

static bool decode_node(decoder *d, gears_stage *stage) {
    d->at++;
    stage->on_replica = next_is(d, "replica");
    return stage->on_replica ? expect(d, "replica") : expect(d, "primary");
}

static bool decode_acl(decoder *d, gears_stage *stage) {
    d->at++;
    stage->withhold = next_is(d, "skip");
    return stage->withhold ? expect(d, "skip") : expect(d, "error");
}

/* SLOTS n {first last}…: the slots that this shard counts; without them, all of its keys. */
static bool decode_slots(decoder *d, gears_stage *stage) {
    size_t count;
    if (stage->slots != NULL) return refuse(d, "GEARSSTAGE argument %d: the slots were given already", d->at);
    d->at++;
    if (!next_count(d, "slots", GEARS_SLOT_COUNT, 2, &count)) return false;
    stage->slots = calloc(1, sizeof *stage->slots);
    if (stage->slots == NULL) return refuse(d, "GEARSLIMIT out of memory");
    for (size_t i = 0; i < count; i++) {
        unsigned first = 0, last = 0;
        if (!next_slot(d, &first) || !next_slot(d, &last)) return false;
        gears_slot_set_add(&stage->slots->wanted, first, last);
    }
    return true;
}

/* A function is known here by that name with that definition, or the stage was planned for another one. */
static bool decode_hook(decoder *d, gears_stage *stage) {
    const char *name, *hash;
    size_t name_length, hash_length;
    if (!next(d, "function", &name, &name_length) || !next(d, "hash", &hash, &hash_length)) return false;
    gears_function *function = gears_function_find(name, name_length, hash, hash_length);
    if (function != NULL) {
        stage->hooks[stage->hook_count++] = function;
        return true;
    }
    char *shown = gears_escape(name, name_length, 256, false);
    refuse(d, "GEARSFUNCTION %s(): there is no such function here, or with another definition", shown ? shown : "?");
    free(shown);
    return false;
}

/* Who this server is: its name in the cluster (40 bytes without an end), or its run id. */
static void name_shard(RedisModuleCtx *ctx, gears_stage *stage) {
    static char run_id[sizeof stage->shard];
    const char *node = RedisModule_GetMyClusterID();
    if (node != NULL) {
        snprintf(stage->shard, sizeof stage->shard, "%.40s", node);
        return;
    }
    if (*run_id == 0) {
        RedisModuleServerInfoData *info = RedisModule_GetServerInfo(ctx, "server");
        const char *found = RedisModule_ServerInfoGetFieldC(info, "run_id");
        if (found != NULL) snprintf(run_id, sizeof run_id, "%s", found);
        RedisModule_FreeServerInfo(ctx, info);
    }
    memcpy(stage->shard, run_id, sizeof run_id);
}

static bool decode_hooks(decoder *d, RedisModuleCtx *ctx, gears_stage *stage) {
    size_t count;
    if (!expect(d, "HOOKS") || !next_bytes(d, "session", &stage->hook_session)) return false;
    if (stage->hook_session.length > MAX_ID)
        return refuse(d, "GEARSSTAGE argument %d: the session's name is too long", d->at - 1);
    if (!next_count(d, "hooks", GEARS_STAGE_HOOKS, 2, &count)) return false;
    stage->hooks = calloc(count + 1, sizeof(gears_function *));
    if (stage->hooks == NULL) return refuse(d, "GEARSLIMIT out of memory");
    name_shard(ctx, stage);
    while (stage->hook_count < count)
        if (!decode_hook(d, stage)) return false;
    return true;
}

/* LIMITS n {name number}…: see stage_limits.h. */
static bool decode_limits(decoder *d, gears_stage *stage) {
    const struct {
        const char *name;
        uint64_t *value;
    } known[] = {
        {"TIME_MS", &stage->limits.time_ms},           {"ROWS", &stage->limits.rows},
        {"SHIPPED_ROWS", &stage->limits.shipped_rows}, {"SHIPPED_BYTES", &stage->limits.shipped_bytes},
        {"FRAME_BYTES", &stage->limits.frame_bytes},   {"MEMORY_BYTES", &stage->limits.memory_bytes},
    };
    enum { KNOWN = sizeof known / sizeof *known };
    size_t count;
    d->at++;
    if (!next_count(d, "limits", KNOWN, 2, &count)) return false;
    for (size_t i = 0; i < count; i++) {
        size_t which = 0;
        long long number;
        while (which < KNOWN && !next_is(d, known[which].name)) which++;
        if (which == KNOWN) return refuse(d, "GEARSSTAGE argument %d is no limit", d->at);
        d->at++;
        if (RedisModule_StringToLongLong(d->argv[d->at], &number) != REDISMODULE_OK || number < 1 ||
            number > INT64_MAX / 2000)
            return refuse(d, "GEARSSTAGE argument %d is out of range: a limit", d->at);
        d->at++;
        *known[which].value = (uint64_t)number;
    }
    return true;
}

/* Words that may be there, in any order. */
static bool decode_options(decoder *d, gears_stage *stage) {
    for (;;) {
        bool decoded = true;
        if (next_is(d, "MODE"))
            decoded = decode_mode(d, stage);
        else if (next_is(d, "ACL"))
            decoded = decode_acl(d, stage);
        else if (next_is(d, "NODE"))
            decoded = decode_node(d, stage);
        else if (next_is(d, "SLOTS"))
            decoded = decode_slots(d, stage);
        else if (next_is(d, "LIMITS"))
            decoded = decode_limits(d, stage);
        else if (next_is(d, "ONCE"))
            stage->once = true, d->at++;
        else
            return true;
        if (!decoded) return false;
    }
}

static bool decode(decoder *d, RedisModuleCtx *ctx, gears_stage *stage) {
    if (!next_text(d, "stage id", &stage->id)) return false;
    if (strlen(stage->id) > MAX_ID) return refuse(d, "GEARSSTAGE argument 1: the id is too long");
    if (!decode_version(d, "VERSION", "gearsql", GEARS_VERSION)) return false;
    if (!decode_version(d, "DUCKDB", "duckdb", gears_version_of_duckdb())) return false;
    if (!decode_options(d, stage)) return false;
    /* A replica owns no slots: its primary's are a filter there, and the coordinator watches over them. */
    if (stage->on_replica) stage->only = stage->slots, stage->slots = NULL;
    stage->scans = calloc(MAX_SCANS, sizeof *stage->scans);
    if (stage->scans == NULL) return refuse(d, "GEARSLIMIT out of memory");
    while (next_is(d, "SCAN")) {
        if (stage->scan_count == MAX_SCANS) return refuse(d, "GEARSSTAGE more than %d scans", MAX_SCANS);
        if (!decode_scan(d, &stage->scans[stage->scan_count++])) return false;
    }
    if (!decode_all_given(d, stage)) return false;
    if (next_is(d, "HOOKS") && !decode_hooks(d, ctx, stage)) return false;
    if (!expect(d, "SQL") || !next_text(d, "SQL text", &stage->sql)) return false;
    if (d->at != d->argc) return refuse(d, "GEARSSTAGE argument %d is one too many", d->at);
    return true;
}

static gears_stage *new_stage(void) {
    gears_stage *stage = calloc(1, sizeof *stage);
    if (stage == NULL) return NULL;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&stage->mutex, NULL);
    pthread_cond_init(&stage->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    atomic_store(&stage->references, 1);
    return stage;
}

static bool take_user(RedisModuleCtx *ctx, gears_stage *stage) {
    RedisModuleString *name = RedisModule_GetCurrentUserName(ctx);
    if (name == NULL) return false;
    size_t length;
    const char *bytes = RedisModule_StringPtrLen(name, &length);
    stage->user.data = malloc(length + 1);
    if (stage->user.data != NULL) {
        memcpy(stage->user.data, bytes, length);
        stage->user.data[length] = 0;
        stage->user.length = length;
    }
    RedisModule_FreeString(ctx, name);
    return stage->user.data != NULL;
}

/* NULL if the caller is nobody. */
static gears_stage *take_caller(RedisModuleCtx *ctx, gears_stage *stage) {
    if (!take_user(ctx, stage)) return NULL;
    stage->client = RedisModule_GetClientId(ctx);
    stage->database = RedisModule_GetSelectedDb(ctx);
    return stage;
}

gears_stage *gears_stage_parse(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, char **error) {
    decoder d = {.argv = argv, .argc = argc, .at = 1, .error = NULL};
    gears_stage *stage = new_stage();
    if (stage != NULL && decode(&d, ctx, stage)) {
        if (take_caller(ctx, stage) != NULL) return stage;
        refuse(&d, "NOPERM the calling user is unknown");
    }
    if (stage != NULL) gears_stage_release(stage);
    *error = d.error ? d.error : strdup("GEARSLIMIT out of memory");
    return NULL;
}

gears_stage *gears_stage_for_check(RedisModuleCtx *ctx, gears_function *function, char **error) {
    gears_stage *stage = new_stage();
    *error = NULL;
    if (stage != NULL) {
        stage->id = strdup("check");
        stage->is_check = true;
        stage->sql = strdup("SELECT 0");
        stage->hooks = calloc(1, sizeof(gears_function *));
        if (stage->id != NULL && stage->sql != NULL && stage->hooks != NULL) {
            gears_function_retain(function);
            stage->hooks[stage->hook_count++] = function;
            name_shard(ctx, stage);
            if (take_caller(ctx, stage) != NULL) return stage;
            *error = strdup("NOPERM the calling user is unknown");
        }
        gears_stage_release(stage);
    }
    if (*error == NULL) *error = strdup("GEARSLIMIT out of memory");
    return NULL;
}
