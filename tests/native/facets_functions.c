/* For test_facets.py: the registry of functions (function.c), how it spreads (function_bus.c) and is saved (function_save.c),
 * on a server that is none (tests/fuzz): one that is told what two nodes say to each other. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "function_parts.h"

/* ---- functions ---------------------------------------------------------------------------------------------------- */

static gears_storing store(const char *version, const char *hash, const char *name, const char *definition) {
    const char *const texts[] = {version, hash,     name,      "SCALAR", "SESSION",    "IMMUTABLE", "PARAMS",
                                 "1",     "BIGINT", "RETURNS", "BIGINT", "DEFINITION", definition};
    gears_slice words[sizeof texts / sizeof *texts];
    char *error = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) words[i] = (gears_slice){texts[i], strlen(texts[i])};
    gears_storing stored = gears_function_store(words, sizeof texts / sizeof *texts, &error);
    CHECK((error == NULL) == (stored == GEARS_STORED || stored == GEARS_SAME));
    free(error);
    return stored;
}

static gears_storing drop(const char *version, const char *name) {
    char *error = NULL;
    gears_slice words[] = {{version, strlen(version)}, {name, strlen(name)}};
    gears_storing stored = gears_function_store(words, 2, &error);
    free(error);
    return stored;
}

static bool is_known(const char *name, uint64_t version, const char *hash) {
    const gears_known *k = gears_function_known_as(name, strlen(name));
    if (k == NULL || k->version != version || (k->function != NULL) != (*hash != 0)) return false;
    return *hash == 0 || strcmp(k->function->hash, hash) == 0;
}

static void the_later_one_wins_whatever_comes_first(void) {
    CHECK(store("2", "bb", "f", "{}") == GEARS_STORED && store("2", "bb", "f", "{}") == GEARS_SAME);
    CHECK(store("1", "zz", "f", "{}") == GEARS_STALE && store("2", "ba", "f", "{}") == GEARS_STALE);
    CHECK(drop("2", "f") == GEARS_STALE && is_known("f", 2, "bb")); /* of one version what is defined wins */
    CHECK(store("2", "bc", "f", "{}") == GEARS_STORED && is_known("f", 2, "bc"));
    gears_function *taken = gears_function_find("f", 1, "bc", 2);
    CHECK(taken != NULL && gears_function_find("f", 1, "bb", 2) == NULL &&
          gears_function_find("F", 1, "bc", 2) == NULL);
    CHECK(drop("3", "f") == GEARS_STORED && is_known("f", 3, "") && gears_function_count() == 0);
    CHECK(store("2", "bc", "f", "{}") == GEARS_STALE && gears_function_find("f", 1, "bc", 2) == NULL);
    CHECK(strcmp(taken->name, "f") == 0); /* who took it keeps it */
    gears_function_release(taken);
    gears_function_clear();
    CHECK(gears_function_known_count() == 0 && gears_function_digest() == 0);
}

static void equal_registries_have_one_digest_and_the_order_of_names(void) {
    static const char *const names[] = {"b", "a", "ab", "B", "\xc3\xa9"}, *const ordered[] = {"B", "a", "ab", "b",
                                                                                              "\xc3\xa9"};
    for (int i = 0; i < 5; i++) store("1", "aa", names[i], "{}");
    uint64_t digest = gears_function_digest();
    for (size_t i = 0; i < 5; i++) CHECK(strcmp(gears_function_known(i)->name, ordered[i]) == 0);
    drop("2", "a");
    CHECK(gears_function_digest() != digest && gears_function_count() == 4);
    gears_function_clear();
    for (int i = 4; i >= 0; i--) store("1", "aa", names[i], "{}");
    CHECK(gears_function_digest() == digest);
    gears_function_clear();
}

static void a_registry_has_bounds(void) {
    char name[16], version[16];
    for (int i = 0; i < GEARS_FUNCTIONS_MOST; i++) {
        snprintf(name, sizeof name, "n%d", i), snprintf(version, sizeof version, "%d", i + 10);
        CHECK(drop(version, name) == GEARS_STORED);
    }
    CHECK(drop("9", "older") == GEARS_SAME && gears_function_known_as("older", 5) == NULL);
    CHECK(drop("9999", "later") == GEARS_STORED && gears_function_known_as("n0", 2) == NULL);
    CHECK(store("1", "aa", "f", "{}") == GEARS_STORED && gears_function_known_as("n1", 2) == NULL);
    CHECK(gears_function_known_count() == GEARS_FUNCTIONS_MOST);
    for (int i = 2; i < GEARS_FUNCTIONS_MOST; i++) {
        snprintf(name, sizeof name, "g%d", i);
        CHECK(store("1", "aa", name, "{}") == GEARS_STORED);
    }
    CHECK(store("1", "aa", "g1", "{}") == GEARS_STORED && store("1", "aa", "g0", "{}") == GEARS_FULL);
    gears_function_clear();
    char *large = malloc(GEARS_DEFINITION_BYTES + 1);
    memset(large, ' ', GEARS_DEFINITION_BYTES), large[GEARS_DEFINITION_BYTES] = 0, large[0] = '{';
    size_t count = 0;
    for (; count < 100; count++) {
        snprintf(name, sizeof name, "f%zu", count);
        if (store("1", "aa", name, large) != GEARS_STORED) break;
    }
    CHECK(count == 63 && store("1", "aa", name, large) == GEARS_FULL); /* 64 MiB, with what surrounds them */
    CHECK(store("2", "aa", "f0", large) == GEARS_STORED);              /* in place of one */
    gears_function_clear();
    free(large);
}

/* ---- the bus ------------------------------------------------------------------------------------------------------ */

typedef struct message {
    char node[41];
    unsigned char *bytes;
    uint32_t length;
} message;

enum { DIGEST = 1, LIST, RECORDS, MOST_SENT = 100 };

static message sent[MOST_SENT];
static int sent_count, timers, replicated, flags = REDISMODULE_CTX_FLAGS_CLUSTER;
static RedisModuleTimerProc timer;
static RedisModuleClusterMessageReceiver receive;
static const char node[] = "0123456789012345678901234567890123456789 and more"; /* 40 bytes without an end */

static int send_message(RedisModuleCtx *ctx, const char *to, uint8_t type, const char *bytes, uint32_t length) {
    message *m = &sent[sent_count++];
    (void)ctx, (void)type;
    snprintf(m->node, sizeof m->node, "%s", to ? to : "all");
    m->bytes = memcpy(malloc(length), bytes, length);
    m->length = length;
    return REDISMODULE_OK;
}
static void forget_messages(void) {
    while (sent_count > 0) free(sent[--sent_count].bytes);
}
static RedisModuleTimerID new_timer(RedisModuleCtx *ctx, long long period, RedisModuleTimerProc call, void *data) {
    (void)ctx, (void)period, (void)data;
    timer = call;
    return (RedisModuleTimerID)++timers;
}
static void register_receiver(RedisModuleCtx *ctx, uint8_t type, RedisModuleClusterMessageReceiver call) {
    (void)ctx, (void)type, receive = call;
}
static int replicate(RedisModuleCtx *ctx, const char *command, const char *format, ...) {
    (void)ctx, (void)command, (void)format;
    return replicated++, REDISMODULE_OK;
}
static int context_flags(RedisModuleCtx *ctx) { return (void)ctx, flags; }

static void hear(const message *m) { receive(NULL, node, 'g', m->bytes, m->length); }
static int kind_of(int i) { return sent[i].bytes[4]; }

/* Takes the last message away, to be heard later. */
static message keep(void) { return sent[--sent_count]; }

static void nodes_tell_each_other_what_is_later(void) {
    gears_function_spread(NULL);
    CHECK(receive != NULL && timers == 1);
    /* One node: f and g. */
    store("2", "bb", "f", "{}"), store("1", "aa", "g", "{}"), store("1", "aa", "same", "{}");
    timer(NULL, NULL);
    CHECK(timers == 2 && sent_count == 1 && kind_of(0) == DIGEST && strcmp(sent[0].node, "all") == 0);
    hear(&sent[0]); /* as its own is: nothing to say */
    CHECK(sent_count == 1);
    message digest = keep();
    uint64_t both = gears_function_digest();
    gears_function_clear();
    /* Another one: an older f, h, and no g. */
    store("1", "aa", "f", "{}"), store("1", "aa", "h", "{}"), store("1", "aa", "same", "{}");
    hear(&digest);
    CHECK(sent_count == 1 && kind_of(0) == LIST && strncmp(sent[0].node, node, 40) == 0);
    hear(&digest); /* many nodes may tell the same news */
    CHECK(sent_count == 1);
    message list = keep();
    gears_function_clear();
    /* The first one again: what the other has not, or has older. */
    store("2", "bb", "f", "{}"), store("1", "aa", "g", "{}"), store("1", "aa", "same", "{}");
    hear(&list);
    CHECK(gears_function_digest() == both && sent_count == 1 && kind_of(0) == RECORDS);
    CHECK(memmem(sent[0].bytes, sent[0].length, "same", 4) == NULL);
    message records = keep();
    gears_function_clear();
    store("1", "aa", "f", "{}"), store("1", "aa", "h", "{}"), store("1", "aa", "same", "{}");
    flags |= REDISMODULE_CTX_FLAGS_LOADING;
    hear(&records);
    CHECK(is_known("f", 1, "aa"));
    flags = REDISMODULE_CTX_FLAGS_CLUSTER;
    hear(&records);
    CHECK(is_known("f", 2, "bb") && is_known("g", 1, "aa") && is_known("h", 1, "aa") && replicated == 2);
    hear(&records);
    CHECK(replicated == 2); /* nothing new */
    const message *all[] = {&digest, &list, &records};
    for (int i = 0; i < 3; i++) { /* cut anywhere */
        for (uint32_t length = 0; length < all[i]->length; length++) {
            message cut = {"", memcpy(malloc(length + 1), all[i]->bytes, length), length};
            hear(&cut);
            free(cut.bytes);
            forget_messages();
        }
        free(all[i]->bytes);
    }
    CHECK(gears_function_known_count() == 4);
    gears_function_clear();
}

static void records_come_in_messages_of_a_size_and_a_change_is_told_once(void) {
    char *large = malloc(100001), name[16];
    memset(large, ' ', 100000), large[100000] = 0, large[0] = '{';
    const message nothing = {"", (unsigned char *)"GSQ1\2", 5};
    for (int i = 0; i < 10; i++) snprintf(name, sizeof name, "f%d", i), store("1", "aa", name, large);
    hear(&nothing);
    CHECK(sent_count == 4); /* three records pass 256 KiB */
    uint64_t digest = gears_function_digest();
    gears_function_clear();
    for (int i = 0; i < sent_count; i++) hear(&sent[i]);
    CHECK(gears_function_known_count() == 10 && gears_function_digest() == digest);
    forget_messages();
    int before = timers;
    gears_function_changed(NULL), gears_function_changed(NULL);
    CHECK(timers == before + 1);
    timer(NULL, NULL);
    CHECK(sent_count == 1 && kind_of(0) == DIGEST && timers == before + 1);
    gears_function_changed(NULL);
    CHECK(timers == before + 2);
    forget_messages();
    gears_function_clear();
    free(large);
}

/* ---- the RDB ------------------------------------------------------------------------------------------------------ */

static uint64_t saved_number;
static struct {
    char *bytes;
    size_t length;
} saved[MOST_SENT];
static int saved_count, loaded_count, numbers, fails_at = -1, warnings;

static void save_number(RedisModuleIO *io, uint64_t number) { (void)io, numbers++, saved_number = number; }
static void save_bytes(RedisModuleIO *io, const char *bytes, size_t length) {
    (void)io;
    saved[saved_count].bytes = memcpy(malloc(length), bytes, length);
    saved[saved_count++].length = length;
}
static uint64_t load_number(RedisModuleIO *io) { return (void)io, loaded_count = 0, saved_number; }
static char *load_bytes(RedisModuleIO *io, size_t *length) {
    (void)io;
    int i = loaded_count++;
    if (i == fails_at) return NULL;
    *length = saved[i].length;
    return memcpy(malloc(*length), saved[i].bytes, *length);
}
static int is_error(RedisModuleIO *io) { return (void)io, fails_at >= 0 && loaded_count > fails_at; }
static void log_error(RedisModuleIO *io, const char *level, const char *format, ...) {
    (void)io, (void)level, (void)format, warnings++;
}
static int newest(void) { return 5; }

static void what_was_saved_is_loaded(void) {
    RedisModuleTypeMethods old = {0}, methods = {0};
    gears_function_save_with(&old);
    CHECK(old.version == 2 && old.aux_save2 == NULL);
    old.aux_save(NULL, REDISMODULE_AUX_BEFORE_RDB); /* a server that writes something in any case */
    CHECK(numbers == 1 && saved_number == 0 && old.aux_load(NULL, 0, 0) == REDISMODULE_OK);
    RedisModule_GetTypeMethodVersion = newest;
    gears_function_save_with(&methods);
    CHECK(methods.version == 5 && methods.aux_save == NULL);
    methods.aux_save2(NULL, REDISMODULE_AUX_BEFORE_RDB);
    CHECK(numbers == 1); /* no trace of the module */
    store("1", "aa", "f", "{}"), store("7", "bb", "g", "{}"), drop("3", "h");
    uint64_t digest = gears_function_digest();
    methods.aux_save2(NULL, REDISMODULE_AUX_BEFORE_RDB);
    CHECK(saved_number == 3 && saved_count == 3);
    gears_function_clear();
    CHECK(methods.aux_load(NULL, 0, 0) == REDISMODULE_OK && gears_function_digest() == digest && warnings == 0);
    CHECK(methods.aux_load(NULL, 1, 0) == REDISMODULE_ERR && warnings == 1); /* a later version's */
    saved_number = GEARS_FUNCTIONS_MOST + 1;
    CHECK(methods.aux_load(NULL, 0, 0) == REDISMODULE_ERR);
    saved_number = 3, fails_at = 1;
    gears_function_clear();
    CHECK(methods.aux_load(NULL, 0, 0) == REDISMODULE_ERR && gears_function_known_count() == 1);
    fails_at = -1, saved[2].length--;
    CHECK(methods.aux_load(NULL, 0, 0) == REDISMODULE_ERR && warnings == 2 && gears_function_known_count() == 2);
    while (saved_count > 0) free(saved[--saved_count].bytes);
    gears_function_clear();
}

int main(void) {
    fake_server();
    RedisModule_GetTypeMethodVersion = NULL;
    RedisModule_GetContextFlags = context_flags;
    RedisModule_SendClusterMessage = send_message;
    RedisModule_CreateTimer = new_timer;
    RedisModule_RegisterClusterMessageReceiver = register_receiver;
    RedisModule_Replicate = replicate;
    RedisModule_SaveUnsigned = save_number;
    RedisModule_SaveStringBuffer = save_bytes;
    RedisModule_LoadUnsigned = load_number;
    RedisModule_LoadStringBuffer = load_bytes;
    RedisModule_IsIOError = is_error;
    RedisModule_LogIOError = log_error;
    RedisModule_Free = free;
    the_later_one_wins_whatever_comes_first();
    equal_registries_have_one_digest_and_the_order_of_names();
    a_registry_has_bounds();
    nodes_tell_each_other_what_is_later();
    records_come_in_messages_of_a_size_and_a_change_is_told_once();
    what_was_saved_is_loaded();
    return failed;
}
