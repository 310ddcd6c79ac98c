/* Functions between the nodes of a cluster, over its bus; see function.h.
 *
 * Every two seconds, and soon after a change, a node tells all others the digest of its registry. Who has another one
 * sends back the list of what it has, and is sent what is later. Both sides do so, and in the end all have the
 * latest of all. So a shard that joins, one that was away, and a replica that is promoted have every function.
 *
 * Messages are of nodes that the cluster has accepted; each is checked like a client's words.
 * Runs on: main thread, in a timer or the bus's callback. */
#include <stdlib.h>
#include <string.h>

#include "function_parts.h"
#include "lock.h"

enum {
    MESSAGE_TYPE = 'g',
    PERIOD_MS = 2000,
    CHANGE_MS = 100,
    LIST_PAUSE_US = 100000, /* one list in this time: many nodes may tell the same news */
    BATCH_BYTES = 256 << 10,
    NODE_ID = 40,
};

enum { DIGEST = 1, LIST, RECORDS };

static const char MAGIC[4] = {'G', 'S', 'Q', '1'};
static bool in_cluster, change_is_due;
static uint64_t list_sent;

/* ---- writing -------------------------------------------------------------------------------------------------- */

typedef struct message {
    char *bytes;
    size_t length, room;
    bool failed;
} message;

static void put(message *m, const void *bytes, size_t length) {
    if (m->room - m->length < length) {
        size_t room = (m->length + length) * 2;
        char *grown = realloc(m->bytes, room);
        m->failed = m->failed || grown == NULL;
        if (grown == NULL) return;
        m->bytes = grown;
        m->room = room;
    }
    memcpy(m->bytes + m->length, bytes, length);
    m->length += length;
}

static void put_string(message *m, const char *bytes, size_t length) {
    uint32_t size = (uint32_t)length;
    put(m, &size, sizeof size);
    put(m, bytes, length);
}

static void begin(message *m, char kind) {
    m->length = 0;
    put(m, MAGIC, sizeof MAGIC);
    put(m, &kind, 1);
}

/* Loading or not, whoever is not there gets nothing; the next digest mends it. */
static void send(RedisModuleCtx *ctx, const char *node, message *m) {
    if (!m->failed) RedisModule_SendClusterMessage(ctx, node, MESSAGE_TYPE, m->bytes, (uint32_t)m->length);
}

static void tell_digest(RedisModuleCtx *ctx) {
    message m = {0};
    uint64_t digest = gears_function_digest();
    begin(&m, DIGEST);
    put(&m, &digest, sizeof digest);
    send(ctx, NULL, &m);
    free(m.bytes);
}

static void tell_list(RedisModuleCtx *ctx, const char *node) {
    message m = {0};
    begin(&m, LIST);
    for (size_t i = 0; i < gears_function_known_count(); i++) {
        const gears_known *known = gears_function_known(i);
        const char *hash = known->function ? known->function->hash : "";
        put_string(&m, known->name, strlen(known->name));
        put(&m, &known->version, sizeof known->version);
        put_string(&m, hash, strlen(hash));
    }
    send(ctx, node, &m);
    free(m.bytes);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *at;
    size_t left;
} reader;

static bool take(reader *r, void *out, size_t length) {
    if (r->left < length) return false;
    memcpy(out, r->at, length);
    r->at += length;
    r->left -= length;
    return true;
}

static bool take_string(reader *r, gears_slice *out) {
    uint32_t size;
    if (!take(r, &size, sizeof size) || r->left < size) return false;
    *out = (gears_slice){r->at, size};
    r->at += size;
    r->left -= size;
    return true;
}

/* What the sender of a list has not, or has older. `theirs`: for each of ours, whether it is as late there. */
static bool compare_list(reader *r, bool *theirs) {
    gears_slice name, hash;
    uint64_t version;
    while (r->left > 0) {
        if (!take_string(r, &name) || !take(r, &version, sizeof version) || !take_string(r, &hash)) return false;
        const gears_known *known = gears_function_known_as(name.data, name.size);
        if (known != NULL && gears_function_compare(version, hash.data, hash.size, known) >= 0)
            theirs[known - gears_function_known(0)] = true;
    }
    return true;
}

static void answer_list(RedisModuleCtx *ctx, const char *node, reader *r) {
    static bool theirs[GEARS_FUNCTIONS_MOST];
    message m = {0};
    memset(theirs, 0, sizeof theirs);
    if (!compare_list(r, theirs)) return;
    begin(&m, RECORDS);
    size_t empty = m.length;
    for (size_t i = 0; i < gears_function_known_count(); i++) {
        if (theirs[i]) continue;
        const gears_known *known = gears_function_known(i);
        put_string(&m, known->record, known->record_length);
        if (m.length < BATCH_BYTES) continue;
        send(ctx, node, &m);
        begin(&m, RECORDS);
    }
    if (m.length > empty) send(ctx, node, &m);
    free(m.bytes);
}

static void take_records(RedisModuleCtx *ctx, reader *r) {
    gears_slice record, words[GEARS_FUNCTION_WORDS];
    while (r->left > 0 && take_string(r, &record)) {
        char *error = NULL;
        size_t count = gears_function_words(record.data, record.size, words);
        if (gears_function_store(words, count, &error) == GEARS_STORED) gears_function_replicate(ctx, words, count);
        free(error);
    }
}

static void on_message(RedisModuleCtx *ctx, const char *sender, uint8_t type, const unsigned char *payload,
                       uint32_t length) {
    (void)type;
    char magic[sizeof MAGIC], kind, node[NODE_ID + 1];
    uint64_t digest;
    reader r = {(const char *)payload, length};
    /* A server that loads will have what it loads, and then what it is told. */
    if (RedisModule_GetContextFlags(ctx) & (REDISMODULE_CTX_FLAGS_LOADING | REDISMODULE_CTX_FLAGS_ASYNC_LOADING))
        return;
    if (!take(&r, magic, sizeof magic) || memcmp(magic, MAGIC, sizeof magic) != 0 || !take(&r, &kind, 1)) return;
    memcpy(node, sender, NODE_ID);
    node[NODE_ID] = 0;
    if (kind == LIST) answer_list(ctx, node, &r);
    if (kind == RECORDS) take_records(ctx, &r);
    if (kind != DIGEST || !take(&r, &digest, sizeof digest) || digest == gears_function_digest()) return;
    if (gears_lock_now() - list_sent < LIST_PAUSE_US) return;
    list_sent = gears_lock_now();
    tell_list(ctx, node);
}

/* ---- timers --------------------------------------------------------------------------------------------------- */

static void on_period(RedisModuleCtx *ctx, void *data) {
    tell_digest(ctx);
    RedisModule_CreateTimer(ctx, PERIOD_MS, on_period, data);
}

static void on_change(RedisModuleCtx *ctx, void *data) {
    (void)data;
    change_is_due = false;
    tell_digest(ctx);
}

/* Not at once: a client that defines a function tells all shards, and until then each would tell the others. */
void gears_function_changed(RedisModuleCtx *ctx) {
    if (!in_cluster || change_is_due) return;
    change_is_due = true;
    RedisModule_CreateTimer(ctx, CHANGE_MS, on_change, NULL);
}

void gears_function_spread(RedisModuleCtx *ctx) {
    in_cluster = RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_CLUSTER;
    if (!in_cluster) return;
    RedisModule_RegisterClusterMessageReceiver(ctx, MESSAGE_TYPE, on_message);
    RedisModule_CreateTimer(ctx, PERIOD_MS, on_period, NULL);
}
