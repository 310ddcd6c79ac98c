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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage_parts.h"
#include "version.h"

enum { MAX_SCANS = 64, MAX_ID = 128, MAX_GIVEN = 64 };

static bool decode_version(gears_words *w, const char *word, const char *what, const char *ours) {
    char *theirs = NULL;
    if (!gears_words_expect(w, word)) return false;
    bool same = gears_words_text(w, what, &theirs) && strcmp(theirs, ours) == 0;
    if (!same && theirs != NULL && w->error == NULL) {
        char *asked = gears_escape(theirs, strlen(theirs), 64, true);
        gears_words_refuse(w, "GEARSVERSION expected=%s found=%s what=%s", asked ? asked : "?", ours, what);
        free(asked);
    }
    free(theirs);
    return same;
}

static bool decode_all_given(gears_words *w, gears_stage *stage) {
    if (!gears_words_is(w, "GIVEN")) return true;
    stage->given = calloc(MAX_GIVEN, sizeof *stage->given);
    if (stage->given == NULL) return gears_words_refuse(w, "GEARSLIMIT out of memory");
    while (gears_words_is(w, "GIVEN")) {
        if (stage->given_count == MAX_GIVEN)
            return gears_words_refuse(w, "GEARSSTAGE more than %d relations", MAX_GIVEN);
        if (!gears_stage_parse_given(w, &stage->given[stage->given_count++])) return false;
    }
    return true;
}

static bool next_slot(gears_words *w, unsigned *slot) {
    long long number;
    if (RedisModule_StringToLongLong(w->argv[w->at], &number) != REDISMODULE_OK || number < 0 ||
        number >= GEARS_SLOT_COUNT)
        return gears_words_refuse(w, "GEARSSTAGE argument %d is no slot", w->at);
    w->at++;
    *slot = (unsigned)number;
    return true;
}

static bool decode_mode(gears_words *w, gears_stage *stage) {
    w->at++;
    stage->mode = GEARS_MODE_SLICED;
    if (gears_words_is(w, "snapshot")) stage->mode = GEARS_MODE_SNAPSHOT;
    return stage->mode == GEARS_MODE_SNAPSHOT ? gears_words_expect(w, "snapshot") : gears_words_expect(w, "sliced");
}

static bool decode_node(gears_words *w, gears_stage *stage) {
    w->at++;
    stage->on_replica = gears_words_is(w, "replica");
    return stage->on_replica ? gears_words_expect(w, "replica") : gears_words_expect(w, "primary");
}

static bool decode_acl(gears_words *w, gears_stage *stage) {
    w->at++;
    stage->withhold = gears_words_is(w, "skip");
    return stage->withhold ? gears_words_expect(w, "skip") : gears_words_expect(w, "error");
}

/* SLOTS n {first last}…: the slots that this shard counts; without them, all of its keys. */
static bool decode_slots(gears_words *w, gears_stage *stage) {
    size_t count;
    if (stage->slots != NULL)
        return gears_words_refuse(w, "GEARSSTAGE argument %d: the slots were given already", w->at);
    w->at++;
    if (!gears_words_count(w, "slots", GEARS_SLOT_COUNT, 2, &count)) return false;
    stage->slots = calloc(1, sizeof *stage->slots);
    if (stage->slots == NULL) return gears_words_refuse(w, "GEARSLIMIT out of memory");
    for (size_t i = 0; i < count; i++) {
        unsigned first = 0, last = 0;
        if (!next_slot(w, &first) || !next_slot(w, &last)) return false;
        gears_slot_set_add(&stage->slots->wanted, first, last);
    }
    return true;
}

/* A function is known here by that name with that definition, or the stage was planned for another one. */
static bool decode_hook(gears_words *w, gears_stage *stage) {
    const char *name, *hash;
    size_t name_length, hash_length;
    if (!gears_words_next(w, "function", &name, &name_length) || !gears_words_next(w, "hash", &hash, &hash_length))
        return false;
    gears_function *function = gears_function_find(name, name_length, hash, hash_length);
    if (function != NULL) {
        stage->hooks[stage->hook_count++] = function;
        return true;
    }
    char *shown = gears_escape(name, name_length, 256, false);
    gears_words_refuse(w, "GEARSFUNCTION %s(): there is no such function here, or with another definition",
                       shown ? shown : "?");
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

static bool decode_hooks(gears_words *w, RedisModuleCtx *ctx, gears_stage *stage) {
    size_t count;
    if (!gears_words_expect(w, "HOOKS") || !gears_words_bytes(w, "session", &stage->hook_session)) return false;
    if (stage->hook_session.length > MAX_ID)
        return gears_words_refuse(w, "GEARSSTAGE argument %d: the session's name is too long", w->at - 1);
    if (!gears_words_count(w, "hooks", GEARS_STAGE_HOOKS, 2, &count)) return false;
    stage->hooks = calloc(count + 1, sizeof(gears_function *));
    if (stage->hooks == NULL) return gears_words_refuse(w, "GEARSLIMIT out of memory");
    name_shard(ctx, stage);
    while (stage->hook_count < count)
        if (!decode_hook(w, stage)) return false;
    return true;
}

/* LIMITS n {name number}…: see stage_limits.h. */
static bool decode_limits(gears_words *w, gears_stage *stage) {
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
    w->at++;
    if (!gears_words_count(w, "limits", KNOWN, 2, &count)) return false;
    for (size_t i = 0; i < count; i++) {
        size_t which = 0;
        long long number;
        while (which < KNOWN && !gears_words_is(w, known[which].name)) which++;
        if (which == KNOWN) return gears_words_refuse(w, "GEARSSTAGE argument %d is no limit", w->at);
        w->at++;
        if (RedisModule_StringToLongLong(w->argv[w->at], &number) != REDISMODULE_OK || number < 1 ||
            number > INT64_MAX / 2000)
            return gears_words_refuse(w, "GEARSSTAGE argument %d is out of range: a limit", w->at);
        w->at++;
        *known[which].value = (uint64_t)number;
    }
    return true;
}

/* Words that may be there, in any order. */
static bool decode_options(gears_words *w, gears_stage *stage) {
    for (;;) {
        bool decoded = true;
        if (gears_words_is(w, "MODE"))
            decoded = decode_mode(w, stage);
        else if (gears_words_is(w, "ACL"))
            decoded = decode_acl(w, stage);
        else if (gears_words_is(w, "NODE"))
            decoded = decode_node(w, stage);
        else if (gears_words_is(w, "SLOTS"))
            decoded = decode_slots(w, stage);
        else if (gears_words_is(w, "LIMITS"))
            decoded = decode_limits(w, stage);
        else if (gears_words_is(w, "ONCE"))
            stage->once = true, w->at++;
        else
            return true;
        if (!decoded) return false;
    }
}

static bool decode(gears_words *w, RedisModuleCtx *ctx, gears_stage *stage) {
    if (!gears_words_text(w, "stage id", &stage->id)) return false;
    if (strlen(stage->id) > MAX_ID) return gears_words_refuse(w, "GEARSSTAGE argument 1: the id is too long");
    if (!decode_version(w, "VERSION", "gearsql", GEARS_VERSION)) return false;
    if (!decode_version(w, "DUCKDB", "duckdb", gears_version_of_duckdb())) return false;
    if (!decode_options(w, stage)) return false;
    /* A replica owns no slots: its primary's are a filter there, and the coordinator watches over them. */
    if (stage->on_replica) stage->only = stage->slots, stage->slots = NULL;
    stage->scans = calloc(MAX_SCANS, sizeof *stage->scans);
    if (stage->scans == NULL) return gears_words_refuse(w, "GEARSLIMIT out of memory");
    while (gears_words_is(w, "SCAN")) {
        if (stage->scan_count == MAX_SCANS) return gears_words_refuse(w, "GEARSSTAGE more than %d scans", MAX_SCANS);
        if (!gears_stage_parse_scan(w, &stage->scans[stage->scan_count++])) return false;
    }
    if (!decode_all_given(w, stage)) return false;
    if (gears_words_is(w, "HOOKS") && !decode_hooks(w, ctx, stage)) return false;
    if (!gears_words_expect(w, "SQL") || !gears_words_text(w, "SQL text", &stage->sql)) return false;
    if (w->at != w->argc) return gears_words_refuse(w, "GEARSSTAGE argument %d is one too many", w->at);
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
    gears_words w = {.argv = argv, .argc = argc, .at = 1, .error = NULL};
    gears_stage *stage = new_stage();
    if (stage != NULL && decode(&w, ctx, stage)) {
        if (take_caller(ctx, stage) != NULL) return stage;
        gears_words_refuse(&w, "NOPERM the calling user is unknown");
    }
    if (stage != NULL) gears_stage_release(stage);
    *error = w.error ? w.error : strdup("GEARSLIMIT out of memory");
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
