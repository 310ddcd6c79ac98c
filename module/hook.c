/* A stage's hooks and their sessions; see hook.h and hook_parts.h.
 *
 * Hooks of one isolation share a session. Its key is the user and either the session's name or the hashes of the
 * functions: so two users never share one, and one user's queries with the same functions do. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "hook_parts.h"

enum { MAX_ERROR = 64 << 10, MAX_CLOSING = 64 };

bool gears_hook_execute = true;

static atomic_uint closing; /* threads that end the hooks of cancelled stages */

/* ---- texts ---------------------------------------------------------------------------------------------------- */

/* Grows; NULL data: memory is out. */
typedef struct text {
    char *data;
    size_t length, capacity;
} text;

static void append(text *t, const char *bytes, size_t length) {
    if (t->data == NULL || length == 0) return;
    if (t->length + length > t->capacity) {
        size_t capacity = (t->length + length) * 2;
        char *grown = realloc(t->data, capacity);
        if (grown == NULL) free(t->data);
        t->data = grown;
        t->capacity = capacity;
        if (grown == NULL) return;
    }
    memcpy(t->data + t->length, bytes, length);
    t->length += length;
}

static text new_text(void) { return (text){malloc(256), 0, 256}; }

static void append_word(text *t, const char *word) { append(t, word, strlen(word)); }

/* Bytes that are not UTF-8 become what Python's surrogateescape makes of them. */
static void append_json(text *t, const char *bytes, size_t length) {
    bool is_utf8 = gears_cast_utf8(bytes, length);
    char escape[8];
    append_word(t, "\"");
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && (byte < 0x80 || is_utf8)) {
            append(t, &bytes[i], 1);
            continue;
        }
        snprintf(escape, sizeof escape, byte < 0x80 ? "\\u00%02x" : "\\udc%02x", byte);
        append_word(t, escape);
    }
    append_word(t, "\"");
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* user NUL 'n' name, or user NUL 'h' hash ',' hash … in order, or user NUL 'c': a user's checks share one, since each
 * may be the only use of its function, and ended sessions are counted. */
static text session_key(const gears_stage *stage, const gears_hooks *h, const gears_hook_group *group) {
    text key = new_text();
    append(&key, stage->user.data, stage->user.length);
    append(&key, stage->is_check ? "\0c" : stage->hook_session.length ? "\0n" : "\0h", 2);
    append(&key, stage->hook_session.data, stage->hook_session.length);
    if (stage->is_check || stage->hook_session.length > 0) return key;
    const char *hashes[GEARS_STAGE_HOOKS];
    size_t count = 0;
    for (size_t i = 0; i < stage->hook_count; i++)
        if (h->members[i].group == group) hashes[count++] = stage->hooks[i]->hash;
    qsort(hashes, count, sizeof *hashes, by_text);
    for (size_t i = 0; i < count; i++) {
        append_word(&key, hashes[i]);
        append_word(&key, ",");
    }
    return key;
}

/* mailbox.h has the form. */
static text begin_json(const gears_stage *stage, const gears_hooks *h, const gears_hook_group *group) {
    text json = new_text();
    append_word(&json, "{\"query\": ");
    append_json(&json, stage->id, strlen(stage->id));
    append_word(&json, ", \"shard\": ");
    append_json(&json, stage->shard, strlen(stage->shard));
    append_word(&json, ", \"user\": ");
    append_json(&json, stage->user.data, stage->user.length);
    append_word(&json, ", \"functions\": [");
    uint32_t written = 0;
    for (size_t i = 0; i < stage->hook_count; i++) {
        if (h->members[i].group != group) continue;
        if (written++ > 0) append_word(&json, ", ");
        append(&json, stage->hooks[i]->definition, stage->hooks[i]->definition_length);
    }
    append_word(&json, "]}");
    return json;
}

/* ---- errors --------------------------------------------------------------------------------------------------- */

void gears_hook_marker(const gears_hooks *h, char *out, size_t size) {
    snprintf(out, size, "a hook of stage %llu failed", (unsigned long long)h->number);
}

void gears_hook_fail(gears_hooks *h, const char *code, const char *name, const char *text) {
    char *shown_name = gears_escape(name, strlen(name), 256, false),
         *shown = gears_escape(text, strlen(text), 1024, false);
    gears_stage_fail(h->stage, "%s %s(): %s", code, shown_name ? shown_name : "?", shown ? shown : "out of memory");
    free(shown_name), free(shown);
}

/* The client reads JSON, so it cannot be cut. */
static void fail_with_hook(gears_stage *stage, const char *json) {
    static const char *const too_long = "{\"kind\": \"error\", \"message\": \"a hook failed with an error of more than "
                                        "64 KiB\"}";
    if (strlen(json) > MAX_ERROR) json = too_long;
    char *shown = gears_escape(json, strlen(json), MAX_ERROR, true);
    gears_stage_fail(stage, "GEARSHOOK %s", shown != NULL ? shown : "{}");
    free(shown);
}

bool gears_hook_explain(gears_stage *stage, const char *message) {
    gears_hooks *h = stage->running;
    char marker[64];
    if (h == NULL || h->error == NULL || message == NULL) return false;
    gears_hook_marker(h, marker, sizeof marker);
    const char *found = strstr(message, marker);
    if (found != NULL) fail_with_hook(stage, h->error);
    return found != NULL;
}

/* ---- open ----------------------------------------------------------------------------------------------------- */

static gears_hooks *new_hooks(gears_stage *stage, RedisModuleCtx *ctx) {
    static _Atomic uint64_t numbers;
    gears_hooks *h = calloc(1, sizeof *h);
    if (h == NULL) {
        gears_stage_fail(stage, "GEARSLIMIT out of memory");
        return NULL;
    }
    h->stage = stage;
    h->ctx = ctx;
    h->number = atomic_fetch_add(&numbers, 1) + 1;
    return h;
}

static bool add_members(gears_hooks *h, duckdb_connection connection) {
    gears_stage *stage = h->stage;
    for (uint32_t i = 0; i < stage->hook_count; i++) {
        const gears_function *f = stage->hooks[i];
        h->members[i].group = &h->groups[f->isolation];
        h->members[i].at = h->groups[f->isolation].count++;
        h->members[i].signature = gears_hook_signature_of(stage, connection, i);
        if (h->members[i].signature == NULL) return false;
    }
    return true;
}

/* A session may have been ended, for what another query did in it, between the table and its lock: then another one. */
static bool open_session(gears_hooks *h, gears_isolation isolation, const char *name, gears_hook_message *m) {
    enum { TRIES = 3 };
    gears_hook_group *group = &h->groups[isolation];
    text key = session_key(h->stage, h, group);
    bool opened = false;
    for (int tries = 0; key.data != NULL && tries < TRIES && !opened; tries++) {
        if (tries > 0) {
            gears_session_release(group->session);
            free(h->stage->error);
            h->stage->error = NULL;
        }
        group->session = gears_session_acquire(h->stage, isolation, key.data, key.length);
        if (group->session == NULL) break;
        opened = gears_hook_message_open(m, h, group, name, 0, 0);
        if (atomic_load(&h->stage->cancelled)) break;
    }
    free(key.data);
    return opened;
}

/* Whom errors name when all hooks of the group are meant. */
static const char *first_name(const gears_hooks *h, const gears_hook_group *group) {
    uint32_t first = 0;
    while (h->members[first].group != group) first++;
    return h->stage->hooks[first]->name;
}

/* BEGIN makes the session know the functions: it compiles what it does not have yet. */
static bool open_group(gears_hooks *h, gears_isolation isolation) {
    gears_hook_group *group = &h->groups[isolation];
    gears_hook_message m;
    text json = begin_json(h->stage, h, group);
    bool begun = json.data != NULL && open_session(h, isolation, first_name(h, group), &m);
    if (begun) {
        gears_batch_put_tail(&m.writer, json.data, json.length);
        group->begun = true; /* whatever comes of it: END is right after a failed BEGIN, too */
        begun = gears_hook_message_send(&m, GEARS_BEGIN, GEARS_DONE);
        if (!begun && h->error != NULL) fail_with_hook(h->stage, h->error);
    }
    free(json.data);
    return begun;
}

bool gears_hook_open(gears_stage *stage, RedisModuleCtx *ctx, duckdb_connection connection) {
    gears_hooks *h = stage->running = new_hooks(stage, ctx);
    if (h == NULL) return false;
    gears_hook_call_set(h);
    bool opened = add_members(h, connection);
    for (int isolation = 0; isolation < GEARS_HOOK_GROUPS && opened; isolation++)
        if (h->groups[isolation].count > 0) opened = open_group(h, (gears_isolation)isolation);
    if (!opened) gears_stage_fail(stage, "GEARSLIMIT out of memory"); /* all else has said so itself */
    return opened;
}

/* ---- close ---------------------------------------------------------------------------------------------------- */

/* DONE of END says how many rows ON ERROR NULL made NULL. */
static void end(gears_hooks *h, const gears_hook_group *group) {
    gears_hook_message m;
    uint64_t nulls;
    if (!gears_hook_message_open(&m, h, group, first_name(h, group), 0, 0)) return;
    if (!gears_hook_message_send(&m, GEARS_END, GEARS_DONE)) return;
    if ((size_t)(h->answer_end - h->answer) < sizeof nulls) return;
    memcpy(&nulls, h->answer, sizeof nulls);
    atomic_fetch_add_explicit(&h->stage->hook_nulls, nulls, memory_order_relaxed);
}

static void end_all(gears_hooks *h) {
    for (size_t i = 0; i < GEARS_HOOK_GROUPS; i++)
        if (h->groups[i].begun) end(h, &h->groups[i]);
}

static void free_hooks(gears_hooks *h) {
    if (h->locked != NULL) gears_session_unlock(h->locked);
    for (size_t i = 0; i < GEARS_HOOK_GROUPS; i++)
        if (h->groups[i].session != NULL) gears_session_release(h->groups[i].session);
    free(h->answer);
    free(h->error);
    free(h->numbers);
    free(h);
}

static void close_left(gears_hooks *h) {
    gears_stage *stage = h->stage;
    stage->left = true;
    if (h->locked != NULL) gears_session_drain(h->locked);
    end_all(h);
    free_hooks(h);
    gears_stage_release(stage);
    atomic_fetch_sub(&closing, 1);
}

/* Runs on: a thread of its own. */
static void *close_behind(void *data) {
    prctl(PR_SET_NAME, "gearsql-end");
    close_left(data);
    return NULL;
}

/* Nobody waits for a cancelled stage, but its sessions have to be told, and may be at work still. */
static void close_cancelled(gears_hooks *h) {
    pthread_t thread;
    pthread_attr_t attributes;
    gears_stage *stage = h->stage;
    gears_session_fail_cancelled(stage); /* the thread does not write it */
    gears_stage_retain(stage);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool started = atomic_fetch_add(&closing, 1) < MAX_CLOSING && !gears_session_stopping() &&
                   pthread_create(&thread, &attributes, close_behind, h) == 0;
    pthread_attr_destroy(&attributes);
    if (!started) close_left(h);
}

void gears_hook_close(gears_stage *stage) {
    gears_hooks *h = stage->running;
    if (h == NULL) return;
    gears_hook_call_set(NULL);
    stage->running = NULL;
    stage->ending = true;
    if (!atomic_load(&stage->cancelled)) end_all(h);
    if (atomic_load(&stage->cancelled))
        close_cancelled(h);
    else
        free_hooks(h);
}
