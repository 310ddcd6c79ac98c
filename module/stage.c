/* The life of a stage: registry, cancel, and the hand-over of frames; see stage.h. stage_parse.c decodes it. */
#include "stage.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lock.h"
#include "stage_limits.h"
#include "worker.h"

unsigned gears_fetch_timeout_ms = 60000;

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static gears_stage *registry; /* under registry_mutex; each entry holds a reference */
static atomic_size_t open_stages;

char *gears_escape(const char *bytes, size_t length, size_t limit, bool spaces) {
    static const char digits[] = "0123456789ABCDEF";
    bool cut = length > limit;
    if (cut) length = limit;
    char *text = malloc(length * 3 + 4), *out = text;
    if (text == NULL) return NULL;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte > (spaces ? 0x20 : 0x1f) && byte < 0x7f && byte != '%') {
            *out++ = (char)byte;
        } else {
            *out++ = '%';
            *out++ = digits[byte >> 4];
            *out++ = digits[byte & 15];
        }
    }
    if (cut) {
        memcpy(out, "...", 3);
        out += 3;
    }
    *out = 0;
    return text;
}

void gears_stage_fail(gears_stage *stage, const char *format, ...) {
    if (stage->error != NULL) return;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&stage->error, format, arguments) < 0) stage->error = NULL;
    va_end(arguments);
}

void gears_stage_fail_cancelled(gears_stage *stage) {
    const char *reason = stage->cancel_reason;
    bool has_code = strncmp(reason, "GEARS", 5) == 0 || strncmp(reason, "NOPERM", 6) == 0;
    gears_stage_fail(stage, "%s%s", has_code ? "" : "GEARSCANCELLED ", reason);
}

void gears_stage_retain(gears_stage *stage) { atomic_fetch_add(&stage->references, 1); }

static void free_scan(gears_scan_spec *scan) {
    for (size_t i = 0; i < scan->column_count; i++) {
        free(scan->columns[i].name);
        free(scan->columns[i].type_name);
        gears_cast_free_type(&scan->columns[i].declared);
        gears_hook_type_free(scan->columns[i].nested);
        /* Ours alone (CreateString without a context), so no lock is needed to free it. */
        if (scan->columns[i].field) RedisModule_FreeString(NULL, scan->columns[i].field);
    }
    for (size_t i = 0; i < scan->null_count; i++) free(scan->nulls[i].data);
    for (size_t i = 0; i < scan->literal_count; i++) free((char *)scan->literals[i].data);
    free(scan->literals);
    free(scan->pattern.data);
    free(scan->nulls);
    free(scan->columns);
}

static void free_given(gears_given *given) {
    for (size_t i = 0; i < given->column_count; i++) {
        free(given->names[i]);
        if (given->types[i] != NULL) gears_hook_type_free(given->types[i]);
    }
    free(given->names);
    free(given->types);
    free(given->bytes.data);
}

void gears_stage_release(gears_stage *stage) {
    if (atomic_fetch_sub(&stage->references, 1) != 1) return;
    gears_limits_forgotten(stage, stage->brought_bytes);
    for (size_t i = 0; i < stage->scan_count; i++) free_scan(&stage->scans[i]);
    for (size_t i = 0; i < stage->hook_count; i++) gears_function_release(stage->hooks[i]);
    for (size_t i = 0; i < stage->given_count; i++) free_given(&stage->given[i]);
    free(stage->given);
    free(stage->scans);
    free(stage->hooks);
    free(stage->hook_session.data);
    free(stage->slots);
    free(stage->only);
    free(stage->id);
    free(stage->sql);
    free(stage->user.data);
    free(stage->error);
    pthread_cond_destroy(&stage->changed);
    pthread_mutex_destroy(&stage->mutex);
    free(stage);
}

void gears_stage_register(gears_stage *stage) {
    gears_stage_retain(stage);
    pthread_mutex_lock(&registry_mutex);
    stage->next = registry;
    registry = stage;
    atomic_fetch_add(&open_stages, 1);
    pthread_mutex_unlock(&registry_mutex);
}

void gears_stage_unregister(gears_stage *stage) {
    pthread_mutex_lock(&registry_mutex);
    gears_stage **link = &registry;
    while (*link != NULL && *link != stage) link = &(*link)->next;
    bool found = *link != NULL;
    if (found) {
        *link = stage->next;
        atomic_fetch_sub(&open_stages, 1);
    }
    pthread_mutex_unlock(&registry_mutex);
    if (found) gears_stage_release(stage);
}

void gears_stage_each(void (*visit)(gears_stage *, void *), void *data) {
    pthread_mutex_lock(&registry_mutex);
    for (gears_stage *stage = registry; stage != NULL; stage = stage->next) visit(stage, data);
    pthread_mutex_unlock(&registry_mutex);
}

size_t gears_stage_open(void) { return atomic_load(&open_stages); }

bool gears_stage_of_client(unsigned long long client) {
    gears_stage *found = gears_stage_find(NULL, 0, client);
    if (found) gears_stage_release(found);
    return found != NULL;
}

static bool has_id(const gears_stage *stage, const char *id, size_t length) {
    return strlen(stage->id) == length && memcmp(stage->id, id, length) == 0;
}

static bool is_of_query(const gears_stage *stage, const gears_slice *id) {
    return has_id(stage, id->data, id->size) ||
           (strlen(stage->id) > id->size && stage->id[id->size] == '.' && memcmp(stage->id, id->data, id->size) == 0);
}

static bool is_of_user(const gears_stage *stage, const gears_slice *user) {
    return stage->user.length == user->size && memcmp(stage->user.data, user->data, user->size) == 0;
}

gears_stage *gears_stage_find(const char *id, size_t length, unsigned long long client) {
    pthread_mutex_lock(&registry_mutex);
    gears_stage *stage = registry;
    while (stage != NULL && (stage->client != client || (id != NULL && !has_id(stage, id, length))))
        stage = stage->next;
    if (stage != NULL) gears_stage_retain(stage);
    pthread_mutex_unlock(&registry_mutex);
    return stage;
}

static void cancel(gears_stage *stage, const char *reason) {
    pthread_mutex_lock(&stage->mutex);
    if (stage->cancel_reason == NULL) stage->cancel_reason = reason;
    atomic_store(&stage->cancelled, true);
    if (stage->running_on != NULL) duckdb_interrupt(stage->running_on);
    pthread_cond_broadcast(&stage->changed);
    pthread_mutex_unlock(&stage->mutex);
}

typedef struct cancellation {
    const gears_slice *id, *user;
    const unsigned long long *client;
    const int *database;
    const uint64_t *now;
    bool on_replica;
    const char *reason;
    size_t count;
} cancellation;

static void cancel_matching(gears_stage *stage, void *data) {
    cancellation *wanted = data;
    if (wanted->id != NULL && !is_of_query(stage, wanted->id)) return;
    if (wanted->now != NULL && (stage->limits.deadline_us == 0 || stage->limits.deadline_us > *wanted->now)) return;
    if (wanted->user != NULL && !is_of_user(stage, wanted->user)) return;
    if (wanted->client != NULL && stage->client != *wanted->client) return;
    if (wanted->database != NULL && stage->database != *wanted->database) return;
    if (wanted->on_replica && !stage->on_replica) return;
    cancel(stage, wanted->reason);
    wanted->count++;
}

static size_t cancel_stages(cancellation wanted) {
    gears_stage_each(cancel_matching, &wanted);
    if (wanted.count > 0) gears_worker_drop_cancelled();
    return wanted.count;
}

size_t gears_stage_cancel_id(gears_slice id, const gears_slice *user, const char *reason) {
    return cancel_stages((cancellation){.id = &id, .user = user, .reason = reason});
}

size_t gears_stage_cancel_late(uint64_t now, const char *reason) {
    return cancel_stages((cancellation){.now = &now, .reason = reason});
}

size_t gears_stage_cancel_client(unsigned long long client, const char *reason) {
    return cancel_stages((cancellation){.client = &client, .reason = reason});
}

size_t gears_stage_cancel_all(const char *reason) { return cancel_stages((cancellation){.reason = reason}); }

size_t gears_stage_cancel_on_replica(const int *database, const char *reason) {
    return cancel_stages((cancellation){.database = database, .on_replica = true, .reason = reason});
}

size_t gears_stage_cancel_database(int database, const char *reason) {
    return cancel_stages((cancellation){.database = &database, .reason = reason});
}

bool gears_stage_await(gears_stage *stage, RedisModuleBlockedClient *waiter) {
    pthread_mutex_lock(&stage->mutex);
    bool free_place = stage->waiter == NULL && !stage->closed;
    if (free_place) {
        stage->waiter = waiter;
        pthread_cond_broadcast(&stage->changed);
    }
    pthread_mutex_unlock(&stage->mutex);
    return free_place;
}

/* Wait until the client asks for the next frame. NULL when it does not in time or the stage is cancelled; a client
 * that waits is always taken, so that it gets an answer even then. */
static RedisModuleBlockedClient *take_waiter(gears_stage *stage) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += gears_fetch_timeout_ms / 1000;
    until.tv_nsec += (long)(gears_fetch_timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&stage->mutex);
    int timed_out = 0;
    stage->fetched = true;
    while (stage->waiter == NULL && !atomic_load(&stage->cancelled) && timed_out != ETIMEDOUT)
        timed_out = pthread_cond_timedwait(&stage->changed, &stage->mutex, &until);
    RedisModuleBlockedClient *waiter = stage->waiter;
    stage->waiter = NULL;
    stage->fetched = false;
    pthread_mutex_unlock(&stage->mutex);
    return waiter;
}

static void reply_text(RedisModuleCtx *ctx, const char *name, const char *value) {
    RedisModule_ReplyWithStringBuffer(ctx, name, strlen(name));
    RedisModule_ReplyWithStringBuffer(ctx, value, strlen(value));
}

static void reply_stat(RedisModuleCtx *ctx, const char *name, uint64_t value) {
    RedisModule_ReplyWithStringBuffer(ctx, name, strlen(name));
    RedisModule_ReplyWithLongLong(ctx, (long long)value);
}

/* The slots that the coordinator has to ask for again: '' when all were counted. */
static void reply_left(RedisModuleCtx *ctx, const gears_slots *slots) {
    static const gears_slot_set none;
    char *text = gears_slot_set_text(slots != NULL ? &slots->left : &none, 0);
    reply_text(ctx, "slots_left", text ? text : "0-16383");
    free(text);
}

/* What the last frame tells of the stage; cluster/stats.py reads it by these names. */
static const struct {
    const char *name;
    size_t offset; /* of a _Atomic uint64_t */
} told[] = {
    {"keys_seen", offsetof(gears_stage, keys_seen)},
    {"rows_scanned", offsetof(gears_stage, rows_scanned)},
    {"keys_skipped", offsetof(gears_stage, keys_skipped)},
    {"misfits", offsetof(gears_stage, misfits)},
    {"scan_us", offsetof(gears_stage, scan_us)},
    {"locked_us", offsetof(gears_stage, locked_us)},
    {"slices", offsetof(gears_stage, slices)},
    {"longest_us", offsetof(gears_stage, longest_us)},
    {"hook_nulls", offsetof(gears_stage, hook_nulls)},
    {"hook_us", offsetof(gears_stage, hook_us)},
    {"keys_withheld", offsetof(gears_stage, keys_withheld)},
    {"queued_us", offsetof(gears_stage, queued_us)},
    {"pause_us", offsetof(gears_stage, pause_us)},
};

static void reply_frame(RedisModuleCtx *ctx, gears_stage *stage, const gears_buffer *frame, bool more) {
    enum { TOLD = sizeof told / sizeof *told };
    RedisModule_ReplyWithArray(ctx, 3);
    RedisModule_ReplyWithStringBuffer(ctx, (const char *)frame->data, frame->size);
    RedisModule_ReplyWithLongLong(ctx, more);
    RedisModule_ReplyWithArray(ctx, 2 * (TOLD + 4));
    reply_left(ctx, stage->slots);
    reply_text(ctx, "mode", stage->mode == GEARS_MODE_SNAPSHOT && *stage->fallback == 0 ? "snapshot" : "sliced");
    reply_text(ctx, "fallback", stage->fallback);
    reply_stat(ctx, "stage_us", gears_lock_now() - stage->started_us);
    for (size_t i = 0; i < TOLD; i++) {
        const _Atomic uint64_t *value = (const void *)((const char *)stage + told[i].offset);
        reply_stat(ctx, told[i].name, *value);
    }
}

/* ---- last words ------------------------------------------------------------------------------------------------- */

enum { LAST_WORDS = 64 };

/* What ended stages whose clients were not there to hear it; each is told once, to whoever asks for a next frame. */
static struct last_word {
    unsigned long long client;
    char *id, *error;
} last_words[LAST_WORDS]; /* under registry_mutex */
static size_t next_last_word;

static void leave_last_word(const gears_stage *stage) {
    char *id = strdup(stage->id), *error = strdup(stage->error ? stage->error : "GEARSCANCELLED");
    pthread_mutex_lock(&registry_mutex);
    struct last_word *word = &last_words[next_last_word++ % LAST_WORDS], old = *word;
    *word = (struct last_word){stage->client, id, error};
    pthread_mutex_unlock(&registry_mutex);
    free(old.id);
    free(old.error);
}

char *gears_stage_last_word(const char *id, size_t length, unsigned long long client) {
    char *error = NULL;
    pthread_mutex_lock(&registry_mutex);
    for (struct last_word *word = last_words; word < last_words + LAST_WORDS && error == NULL; word++) {
        if (word->id == NULL || word->client != client || strlen(word->id) != length) continue;
        if (memcmp(word->id, id, length) != 0) continue;
        error = word->error;
        free(word->id);
        *word = (struct last_word){0};
    }
    pthread_mutex_unlock(&registry_mutex);
    return error;
}

/* The client may ask in this very moment: then it is answered. NULL: nobody is waited for any more. */
static RedisModuleBlockedClient *close_stage(gears_stage *stage) {
    pthread_mutex_lock(&stage->mutex);
    RedisModuleBlockedClient *waiter = stage->waiter;
    stage->waiter = NULL;
    stage->closed = waiter == NULL;
    pthread_mutex_unlock(&stage->mutex);
    if (waiter == NULL) leave_last_word(stage);
    return waiter;
}

/* The reply is built here, in the worker: the main thread only links it into the client's output. */
bool gears_stage_deliver(gears_stage *stage, const gears_buffer *frame, bool more) {
    bool over = !more && stage->error != NULL; /* a client that waits hears it, the others later */
    RedisModuleBlockedClient *waiter = over ? NULL : take_waiter(stage);
    if (atomic_load(&stage->cancelled)) gears_stage_fail_cancelled(stage);
    if (waiter == NULL) gears_stage_fail(stage, "GEARSCANCELLED nobody fetched the next frame in time");
    if (waiter == NULL && !more) waiter = close_stage(stage);
    if (waiter == NULL) return false;
    if (!more) gears_stage_unregister(stage); /* before the answer: the client may send its next stage at once */
    RedisModuleCtx *ctx = RedisModule_GetThreadSafeContext(waiter);
    if (stage->error != NULL)
        RedisModule_ReplyWithError(ctx, stage->error);
    else
        reply_frame(ctx, stage, frame, more);
    RedisModule_FreeThreadSafeContext(ctx);
    RedisModule_UnblockClient(waiter, NULL);
    return stage->error == NULL;
}
