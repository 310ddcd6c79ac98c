/* For test_facets.py: a stage's hooks in C alone: their sessions (hook.c), messages (hook_message.c) and DuckDB's calls
 * (hook_call.c). DuckDB and Python are none: the first is this program, the second answers what it is told to, which can be
 * cut off, too long, or a lie. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "fake_duckdb.h"
#include "fake_python.h"
#include "function_parts.h"
#include "hook_parts.h"
#include "lock.h"

static gears_stage stage;

/* ---- a session that says what it is told to ----------------------------------------------------------------------- */

enum { MOST_HEARD = 64, MOST_SAID = 2048, SHOWN = 1024 };

typedef struct words {
    uint32_t kind;
    uint64_t size;
    const void *bytes; /* NULL: what lies there stays */
} words;

static struct heard {
    uint32_t kind;
    uint64_t size;
    char head[SHOWN];
} heard[MOST_HEARD];
static int heard_count; /* all; the last ones are kept */
static words to_say[MOST_SAID];
static int said_count, to_say_count;

/* What was not told before is DONE. Runs on: the session's thread, which has the turn. */
static void answer_as_told(gears_mailbox *box) {
    char *payload = (char *)box + GEARS_MAILBOX_HEADER;
    struct heard *h = &heard[heard_count++ % MOST_HEARD];
    h->kind = box->kind, h->size = box->size;
    memcpy(h->head, payload, h->size < SHOWN ? h->size : SHOWN);
    words w = said_count < to_say_count ? to_say[said_count++] : (words){GEARS_DONE, 0, NULL};
    if (w.bytes != NULL) memcpy(payload, w.bytes, w.size);
    box->kind = w.kind, box->size = w.size;
}

static void say(uint32_t kind, const void *bytes, uint64_t size) {
    to_say[to_say_count++] = (words){kind, size, bytes};
}

static void forget_words(void) { heard_count = said_count = to_say_count = 0; }

/* The i-th message since then: 0 is the first one; -1 the last one. */
static const struct heard *message(int i) { return &heard[(i < 0 ? heard_count + i : i) % MOST_HEARD]; }

static gears_request request_of(const struct heard *h) {
    gears_request request;
    memcpy(&request, h->head, sizeof request);
    return request;
}

/* Whether a message is of that kind, for that function and so many rows, with these numbers behind. */
static bool is_message(int i, uint32_t kind, uint32_t function, uint32_t rows, size_t count, const uint64_t *numbers) {
    const struct heard *h = message(i);
    gears_request request = request_of(h);
    return h->kind == kind && request.stage == stage.running->number && request.function == function &&
           request.rows == rows && h->size == sizeof request + count * 8 &&
           memcmp(h->head + sizeof request, numbers, count * 8) == 0;
}
#define NUMBERS(...)                                                                                                   \
    sizeof((uint64_t[]){__VA_ARGS__}) / 8, (const uint64_t[]) { __VA_ARGS__ }

/* ---- a stage with hooks ------------------------------------------------------------------------------------------- */

enum { F, G, AGGREGATE, OTHER, ON_MAIN, FUNCTIONS };
static gears_function *functions[FUNCTIONS];

static gears_function *define(const char *hash, const char *name, const char *kind, const char *isolation,
                              const char *type) {
    const char *const texts[] = {"1", hash, name,      kind, isolation,    "IMMUTABLE", "PARAMS",
                                 "1", type, "RETURNS", type, "DEFINITION", "{}"};
    gears_slice list[sizeof texts / sizeof *texts];
    char *problem = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) list[i] = (gears_slice){texts[i], strlen(texts[i])};
    gears_function *f = gears_function_parse(list, sizeof texts / sizeof *texts, &problem);
    if (f == NULL) printf("%s\n", problem), abort();
    return f;
}

/* Whether the stage has failed so; it has not, from then on. */
static bool said(const char *expected) {
    bool same = stage.error != NULL && strcmp(stage.error, expected) == 0;
    if (!same) printf("said: %s\n", stage.error ? stage.error : "nothing");
    free(stage.error);
    stage.error = NULL;
    return same;
}

static void set_user(const char *name) {
    static char user[8];
    strcpy(user, name);
    stage.user = (gears_bytes){user, strlen(user)};
}

static gears_function *hooks[4];

static bool open_stage(size_t count, const int *which) {
    forget_words();
    for (size_t i = 0; i < count; i++) hooks[i] = functions[which[i]];
    stage.hooks = hooks, stage.hook_count = count;
    stage.cancelled = stage.ending = stage.left = false;
    stage.cancel_reason = NULL;
    stage.hook_nulls = 0;
    return gears_hook_open(&stage, NULL, NULL);
}
#define OPEN(...) open_stage(sizeof((int[]){__VA_ARGS__}) / sizeof(int), (const int[]){__VA_ARGS__})

static gears_session *session_of(gears_isolation isolation) { return stage.running->groups[isolation].session; }

static void close_stage(void) { gears_hook_close(&stage); }

/* ---- sessions ----------------------------------------------------------------------------------------------------- */

static bool has_key(const gears_session *s, const char *key, size_t length) {
    return s->key_length == length && memcmp(s->key, key, length) == 0;
}

static void a_session_is_of_a_user_and_a_set_of_functions(void) {
    CHECK(OPEN(G, F));
    gears_session *first = session_of(GEARS_ISOLATION_SESSION);
    CHECK(has_key(first, "me\0haa,ab,", 10)); /* in order, whatever the stage's is */
    CHECK(first->users == 1);
    close_stage();
    CHECK(first->users == 0 && OPEN(F, G) && session_of(GEARS_ISOLATION_SESSION) == first);
    close_stage();
    CHECK(OPEN(F) && has_key(session_of(GEARS_ISOLATION_SESSION), "me\0haa,", 7));
    close_stage();
    set_user("you");
    CHECK(OPEN(F, G) && has_key(session_of(GEARS_ISOLATION_SESSION), "you\0haa,ab,", 11));
    close_stage();
    set_user("me");
    static char mine[] = "mine";
    stage.hook_session = (gears_bytes){mine, 4};
    CHECK(OPEN(F) && has_key(session_of(GEARS_ISOLATION_SESSION), "me\0nmine", 8));
    close_stage();
    stage.is_check = true;
    stage.hook_session = (gears_bytes){NULL, 0};
    CHECK(OPEN(F) && has_key(session_of(GEARS_ISOLATION_SESSION), "me\0c", 4));
    close_stage();
    stage.is_check = false;
}

static void begin_tells_who_asks_and_what_for(void) {
    static const char expected[] =
        "{\"query\": \"q.1\", \"shard\": \"here\", \"user\": \"a\\u0022\\u005c\\u0001\\udcff\", "
        "\"functions\": [{}, {}]}";
    set_user("a\"\\\1\xff");
    CHECK(OPEN(F, G));
    CHECK(heard_count == 1 && message(0)->kind == GEARS_BEGIN);
    CHECK(message(0)->size == sizeof(gears_request) + strlen(expected));
    CHECK(memcmp(message(0)->head + sizeof(gears_request), expected, strlen(expected)) == 0);
    close_stage();
    set_user("\xc3\xa9"); /* UTF-8 stays */
    CHECK(OPEN(F) && memmem(message(0)->head, SHOWN, "\"user\": \"\xc3\xa9\"", 12) != NULL);
    close_stage();
    set_user("me");
}

static void each_isolation_has_its_session_and_begins_apart(void) {
    gears_session_allow_main = true;
    CHECK(OPEN(F, ON_MAIN, G) && heard_count == 2);
    CHECK(session_of(GEARS_ISOLATION_SESSION) != session_of(GEARS_ISOLATION_MAIN));
    CHECK(session_of(GEARS_ISOLATION_PROCESS) == NULL);
    CHECK(has_key(session_of(GEARS_ISOLATION_SESSION), "me\0haa,ab,", 10)); /* of its own functions only */
    CHECK(memmem(message(1)->head, SHOWN, "[{}]}", 5) != NULL);
    CHECK(stage.running->members[0].at == 0 && stage.running->members[1].at == 0 && stage.running->members[2].at == 1);
    close_stage();
    CHECK(heard_count == 4);
    gears_session_allow_main = false;
    CHECK(!OPEN(F, ON_MAIN) && said("GEARSLIMIT ISOLATION main needs the module argument HOOK_MAIN yes"));
    close_stage();
    CHECK(heard_count == 2 && message(0)->kind == GEARS_BEGIN && message(1)->kind == GEARS_END); /* the other's */
}

static void a_begin_that_fails_is_the_stages_error_and_has_an_end(void) {
    static char long_error[(64 << 10) + 2];
    static const char short_error[] = "{\"a\": \"b\nc\"}";
    CHECK(OPEN(F)); /* the session is there */
    close_stage();
    for (int round = 0; round < 2; round++) {
        const char *bytes = round == 0 ? short_error : memset(long_error, 'x', sizeof long_error - 1);
        forget_words();
        hooks[0] = functions[F], stage.hook_count = 1, stage.ending = false;
        say(GEARS_ERROR, bytes, strlen(bytes));
        CHECK(!gears_hook_open(&stage, NULL, NULL));
        CHECK(round == 0 ? said("GEARSHOOK {\"a\":%20\"b%0Ac\"}")
                         : said("GEARSHOOK {\"kind\":%20\"error\",%20\"message\":%20\"a%20hook%20failed%20with%20an%20"
                                "error%20of%20more%20than%2064%20KiB\"}"));
        close_stage();
        CHECK(heard_count == 2 && message(1)->kind == GEARS_END);
    }
}

static void end_counts_what_became_null(void) {
    uint64_t nulls = 7;
    CHECK(OPEN(F));
    say(GEARS_DONE, &nulls, 8);
    say(GEARS_DONE, &nulls, 8); /* none asks for it */
    close_stage();
    CHECK(stage.hook_nulls == 7 && stage.running == NULL && heard_count == 2);
    CHECK(OPEN(F));
    say(GEARS_DONE, &nulls, 7); /* cut off */
    close_stage();
    CHECK(stage.hook_nulls == 0 && stage.error == NULL);
}

static void *open_f(void *opened) {
    *(bool *)opened = OPEN(F);
    return NULL;
}

/* Between the table and its lock. */
static void a_session_that_was_ended_meanwhile_is_followed_by_another(void) {
    static gears_stage others;
    pthread_t thread;
    bool opened = false;
    gears_session *first = gears_session_acquire(&others, GEARS_ISOLATION_SESSION, "me\0haa,", 7);
    CHECK(gears_session_lock(first, &others));
    pthread_create(&thread, NULL, open_f, &opened);
    while (atomic_load(&first->users) < 2) usleep(200);
    gears_session_drop(first);
    pthread_join(thread, NULL);
    CHECK(opened && stage.error == NULL && session_of(GEARS_ISOLATION_SESSION) != first && first->users == 1);
    gears_session_unlock(first);
    gears_session_release(first);
    gears_hook_call_set(stage.running);
    close_stage();
}

static void a_cancelled_stage_ends_behind_its_worker(void) {
    CHECK(OPEN(F));
    gears_session *session = session_of(GEARS_ISOLATION_SESSION);
    stage.cancelled = true;
    stage.cancel_reason = "enough";
    close_stage();
    CHECK(said("GEARSCANCELLED enough") && stage.running == NULL);
    while (atomic_load(&session->users) > 0) usleep(200);
    while (atomic_load(&stage.references) > 1) usleep(200);
    CHECK(heard_count == 2 && message(1)->kind == GEARS_END && !session->lost);
}

/* It waited for a session of others', and never had it. */
static void a_stage_that_never_began_sends_no_end(void) {
    static gears_stage others;
    pthread_t thread;
    bool opened = true;
    gears_session *session = gears_session_acquire(&others, GEARS_ISOLATION_SESSION, "me\0haa,", 7);
    CHECK(gears_session_lock(session, &others));
    pthread_create(&thread, NULL, open_f, &opened);
    while (atomic_load(&session->users) < 2) usleep(200);
    stage.cancelled = true;
    pthread_join(thread, NULL);
    CHECK(!opened);
    gears_session_unlock(session);
    close_stage();
    while (atomic_load(&session->users) > 1 || atomic_load(&stage.references) > 1) usleep(200);
    CHECK(said("GEARSCANCELLED the server shuts down") && heard_count == 0); /* nobody said why */
    gears_session_release(session);
}

static void what_duckdb_says_of_a_failed_hook_is_the_hooks_error(void) {
    char text[128], other[64];
    CHECK(OPEN(F));
    gears_hook_marker(stage.running, other, sizeof other);
    snprintf(text, sizeof text, "Invalid Input Error: %s.", other);
    CHECK(!gears_hook_explain(&stage, text)); /* no hook had one */
    stage.running->error = strdup("{}");
    stage.running->number++;
    CHECK(!gears_hook_explain(&stage, text) && !gears_hook_explain(&stage, NULL)); /* of another stage */
    CHECK(stage.error == NULL);
    stage.running->number--;
    CHECK(gears_hook_explain(&stage, text) && said("GEARSHOOK {}"));
    gears_hook_fail(stage.running, "GEARSX", "a\nb", "c%d");
    CHECK(said("GEARSX a%0Ab(): c%25d"));
    close_stage();
    CHECK(!gears_hook_explain(&stage, text));
}

/* ---- calls: what DuckDB has, and what it gets --------------------------------------------------------------------- */

static char told[256];
static void tell(duckdb_function_info i, const char *text) { (void)i, snprintf(told, sizeof told, "%s", text); }

static const gears_hook_form *form;
static void *get_form(duckdb_function_info i) { return (void)i, (void *)(uintptr_t)form; }

#define WRONG_INDEX "the first argument of a hook's call is its number in the stage"

static int32_t indexes[64];
static int64_t arguments[64], results[64];
static chunk in = {.vectors = {{.data = indexes}, {.data = arguments}}};
static vector out = {.data = results};

/* Whether DuckDB was told of nothing. */
static bool call(idx_t rows) {
    *told = 0;
    in.size = rows;
    memset(results, 0xee, sizeof results);
    gears_hook_call_scalar(NULL, (duckdb_data_chunk)(void *)&in, (duckdb_vector)(void *)&out);
    return *told == 0;
}

/* It was told that a hook of this stage failed. */
static bool was_told(void) {
    char marker[64];
    gears_hook_marker(stage.running, marker, sizeof marker);
    return strcmp(told, marker) == 0;
}

static void open_scalar(void) {
    CHECK(OPEN(F, G));
    form = &stage.running->members[0].signature->plain;
    for (int i = 0; i < 64; i++) indexes[i] = 0, arguments[i] = 100 + i;
    in.vectors[0].validity = NULL;
    forget_words();
}

static const uint64_t TWO_ROWS[] = {3, 7, 8}; /* which are not NULL, and they */

static void a_batch_goes_and_a_column_comes_back(void) {
    open_scalar();
    for (int i = 0; i < 2; i++) indexes[i] = 1;
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS);
    CHECK(call(2) && results[0] == 7 && results[1] == 8);
    CHECK(is_message(0, GEARS_CALL, 1, 2, NUMBERS(~(uint64_t)0 >> 62, 100, 101)) ||
          is_message(0, GEARS_CALL, 1, 2, NUMBERS(~(uint64_t)0, 100, 101)));
    CHECK(call(0) && heard_count == 1); /* no rows, no message */
    say(GEARS_RESULT, (const uint64_t[]){2, 9, 9}, sizeof TWO_ROWS);
    CHECK(call(2) && out.validity != NULL && (out.validity[0] & 3) == 2 && results[1] == 9);
    out.validity = NULL;
    close_stage();
    gears_session_allow_main = true;
    CHECK(OPEN(ON_MAIN, F)); /* a session counts its own */
    form = &stage.running->members[1].signature->plain;
    forget_words();
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS);
    CHECK(call(2) && request_of(message(0)).function == 0);
    close_stage();
    gears_session_allow_main = false;
    CHECK(stage.error == NULL);
}

static void the_first_argument_is_believed_in_no_row(void) {
    uint64_t valid = 1;
    open_scalar();
    static const int32_t wrong[][2] = {{-1, -1}, {2, 2}, {0, 1}, {1 << 30, 1 << 30}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(indexes, wrong[i], sizeof wrong[i]);
        CHECK(!call(2) && strcmp(told, WRONG_INDEX) == 0);
    }
    memset(indexes, 0, sizeof indexes);
    in.vectors[0].validity = &valid; /* the second row is NULL */
    CHECK(!call(2) && strcmp(told, WRONG_INDEX) == 0);
    in.vectors[0].validity = NULL;
    gears_hook_form of_another = *form;
    gears_hook_signature other = *form->signature;
    of_another.signature = &other;
    form = &of_another;
    CHECK(!call(1) && strcmp(told, WRONG_INDEX) == 0);
    CHECK(heard_count == 0 && stage.error == NULL);
    close_stage();
    gears_hook_call_set(NULL); /* a call that no stage made */
    CHECK(!call(1) && strcmp(told, WRONG_INDEX) == 0);
}

/* ---- answers that are none ---------------------------------------------------------------------------------------- */

/* What a hook's call of two rows makes of an answer; the session is used once more if it may be. */
static bool survives(uint32_t kind, const void *bytes, uint64_t size, const char *expected) {
    open_scalar();
    gears_session *session = session_of(GEARS_ISOLATION_SESSION);
    atomic_fetch_add(&session->references, 1);
    say(kind, bytes, size);
    bool answered = call(2), lost = session->lost;
    CHECK(answered == (expected == NULL) && lost == !answered);
    if (!answered) CHECK(was_told() && said(expected));
    close_stage();
    if (lost) free(stage.error), stage.error = NULL; /* END does not reach it */
    CHECK(stage.error == NULL);
    gears_session_unref(session);
    return answered;
}

#define BROKE "GEARSHOOKDIED f(): its session broke the format: "

static void an_answer_that_is_cut_off_anywhere_ends_its_session(void) {
    for (uint64_t size = 0; size < sizeof TWO_ROWS; size++)
        CHECK(!survives(GEARS_RESULT, TWO_ROWS, size, BROKE "a column is cut off"));
    CHECK(survives(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS, NULL));
}

/* What an answer before it left in the copy does not make a short one longer. */
static void a_short_answer_after_a_long_one_is_short(void) {
    open_scalar();
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS);
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS - 8);
    CHECK(call(2) && !call(2) && said(BROKE "a column is cut off"));
    close_stage();
    free(stage.error), stage.error = NULL;
}

static void an_answer_has_a_kind_and_a_size_that_can_be(void) {
    static const char no_answer[] = "GEARSHOOKDIED f(): its session sent no answer of ours",
                      not_asked[] = BROKE "an answer that was not asked for";
    CHECK(!survives(GEARS_RESULT, NULL, GEARS_MAILBOX_BYTES + 1, no_answer));
    CHECK(!survives(GEARS_RESULT, NULL, UINT64_MAX, no_answer));
    CHECK(!survives(GEARS_LOG + 1, NULL, 0, no_answer));
    CHECK(!survives(GEARS_CALL, NULL, 0, no_answer));
    CHECK(!survives(GEARS_DONE, NULL, 0, not_asked));
}

static void the_copy_of_a_large_answer_is_not_kept(void) {
    enum { LARGE = (16 << 20) + 8 };
    open_scalar();
    say(GEARS_RESULT, NULL, LARGE);
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS);
    memcpy((char *)session_of(GEARS_ISOLATION_SESSION)->mailbox + GEARS_MAILBOX_HEADER, TWO_ROWS, sizeof TWO_ROWS);
    call(2);
    CHECK(stage.running->answer_capacity == LARGE && stage.running->answer_end - stage.running->answer == LARGE);
    CHECK(call(2) && stage.running->answer_capacity == sizeof TWO_ROWS && results[1] == 8);
    close_stage();
}

/* A text's offsets point into the column, or the session is no more. */
static void offsets_that_lie_end_their_session(void) {
    static const struct {
        uint64_t column[5]; /* two texts: which there are, 3 offsets, their bytes */
        const char *problem;
    } cases[] = {
        {{3, 0, 1, 2, 'a' | 'b' << 8}, NULL},
        {{3, 0, 1, 9, 'a'}, BROKE "a column is cut off"},
        {{3, 0, 1, UINT64_MAX, 'a'}, BROKE "a column is cut off"},
        {{3, 0, UINT64_MAX, 1, 'a'}, BROKE "offsets do not ascend from 0"},
        {{3, 1, 1, 2, 'a'}, BROKE "offsets do not ascend from 0"},
        {{3, 0, 1, 2, 'a' | 0xff << 8}, BROKE "a VARCHAR is not UTF-8"},
    };
    duckdb_string_t texts[2], got[64];
    memset(texts, 0, sizeof texts);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(OPEN(OTHER));
        form = &stage.running->members[0].signature->plain;
        forget_words();
        memset(indexes, 0, sizeof indexes);
        in.vectors[1].data = texts, out.data = got;
        say(GEARS_RESULT, cases[i].column, sizeof cases[i].column);
        CHECK(call(2) == (cases[i].problem == NULL));
        if (cases[i].problem != NULL) {
            char expected[128];
            snprintf(expected, sizeof expected, "%s", cases[i].problem);
            memcpy(strstr(expected, "f():"), "o", 1);
            CHECK(said(expected));
        } else {
            CHECK(got[1].inlined.length == 1 && got[1].inlined.bytes[0] == 'b');
        }
        close_stage();
        free(stage.error), stage.error = NULL;
    }
    in.vectors[1].data = arguments, out.data = results;
}

static void an_error_is_kept_until_the_next_and_the_session_lives(void) {
    open_scalar();
    say(GEARS_ERROR, "{\"x\": 1}", 8);
    CHECK(!call(2) && was_told() && stage.error == NULL && strcmp(stage.running->error, "{\"x\": 1}") == 0);
    say(GEARS_ERROR, "", 0);
    CHECK(!call(2) && was_told() && strcmp(stage.running->error, "") == 0);
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS);
    CHECK(call(2) && !session_of(GEARS_ISOLATION_SESSION)->lost);
    close_stage();
    CHECK(stage.error == NULL);
}

static void a_batch_that_does_not_fit_is_refused_and_the_session_lives(void) {
    gears_hook_message m;
    open_scalar();
    gears_session *session = session_of(GEARS_ISOLATION_SESSION);
    const gears_hook_group *group = stage.running->members[0].group;
    CHECK(gears_hook_message_open(&m, stage.running, group, "f", 0, 1) && stage.running->locked == session);
    CHECK(m.writer.at == (char *)session->mailbox + GEARS_MAILBOX_HEADER + sizeof(gears_request));
    CHECK(m.writer.end == (char *)session->mailbox + GEARS_MAILBOX_HEADER + GEARS_MAILBOX_BYTES);
    m.writer.at = m.writer.end - 8;
    gears_batch_put(&m.writer, TWO_ROWS, 9);
    CHECK(!gears_hook_message_send(&m, GEARS_CALL, GEARS_RESULT) && stage.running->locked == NULL);
    CHECK(said("GEARSLIMIT f(): the arguments of a batch are more than 1 GiB") && heard_count == 0);
    /* DuckDB may leave by an exception while it writes: the next message finds the session locked. */
    CHECK(gears_hook_message_open(&m, stage.running, group, "f", 0, 1));
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS);
    CHECK(call(2) && heard_count == 1 && stage.running->locked == NULL && !session->busy);
    close_stage();
}

/* ---- what a session wants while it works -------------------------------------------------------------------------- */

static char logged[2][2048];
static int logged_count;
static void write_log(RedisModuleCtx *ctx, const char *level, const char *format, ...) {
    va_list list;
    (void)ctx;
    CHECK(strcmp(level, "notice") == 0);
    va_start(list, format);
    vsnprintf(logged[logged_count++ > 0], sizeof *logged, format, list); /* the first and the last */
    va_end(list);
}

static void lines_of_a_log_are_escaped_cut_and_so_many(void) {
    char line[1025];
    memset(line, 'x', sizeof line);
    memcpy(line, "a\nb", 3);
    open_scalar();
    logged_count = 0;
    say(GEARS_LOG, line, sizeof line);
    for (int i = 1; i < 1005; i++) say(GEARS_LOG, "", 0);
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS);
    CHECK(call(2) && results[1] == 8 && heard_count == 1006);
    CHECK(message(1005)->kind == GEARS_ANSWER && message(1005)->size == 0);
    CHECK(strncmp(logged[0], "hook f of stage q.1: a%0Abxxx", 29) == 0);
    CHECK(strlen(logged[0]) == strlen("hook f of stage q.1: ") + 1024 + 2 + 3 && strstr(logged[0], "x...") != NULL);
    CHECK(logged_count == 1001 && strcmp(logged[1], "hooks of stage q.1: no more lines than 1000") == 0);
    close_stage();
}

static bool cancels; /* who waits for the server's lock */
static int held;
static int try_lock(RedisModuleCtx *ctx) {
    (void)ctx;
    if (!cancels) return held++, REDISMODULE_OK;
    stage.cancelled = true;
    stage.cancel_reason = "enough";
    return REDISMODULE_ERR;
}
static void unlock(RedisModuleCtx *ctx) { (void)ctx, held--; }
static RedisModuleUser *user_of(RedisModuleString *name) { return (RedisModuleUser *)(void *)name; }
static int free_user(RedisModuleUser *user) { return (void)user, REDISMODULE_OK; }
static int select_database(RedisModuleCtx *ctx, int number) { return (void)ctx, (void)number, REDISMODULE_OK; }

/* A wish, and the error that it was answered by. */
static bool is_refused(const void *bytes, uint64_t size, const char *expected) {
    uint32_t length;
    open_scalar();
    say(GEARS_EXECUTE, bytes, size);
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS);
    bool answered = call(2) && message(1)->kind == GEARS_ANSWER && message(1)->head[0] == 'e';
    memcpy(&length, message(1)->head + 1, sizeof length);
    bool same = length == strlen(expected) && message(1)->size == 5 + length &&
                memcmp(message(1)->head + 5, expected, length) == 0;
    close_stage();
    return answered && same && held == 0 && stage.error == NULL;
}

static void a_command_whose_lengths_lie_is_refused_and_the_call_goes_on(void) {
    static const char words_[] = "ERR a command is 1 to 1024 words", too_long[] = "ERR the command is too long";
    static const uint32_t none[] = {0}, beyond[] = {2, UINT32_MAX, 0}, cut[] = {2, 4, 'g'}, many[] = {1025, 0};
    CHECK(is_refused(none, 0, words_) && is_refused(none, 3, words_) && is_refused(none, 4, words_));
    CHECK(is_refused(beyond, sizeof beyond, words_) && is_refused(cut, sizeof cut, words_));
    CHECK(is_refused(many, sizeof many, words_));
    CHECK(is_refused(NULL, (1 << 20) + 1, too_long));
    gears_hook_execute = false;
    CHECK(is_refused(none, 4, "NOPERM this server lets hooks execute nothing: module argument HOOK_EXECUTE"));
    gears_hook_execute = true;
}

static void a_stage_that_ends_runs_no_command(void) {
    uint64_t nulls = 3;
    open_scalar();
    say(GEARS_EXECUTE, "", 0);
    say(GEARS_DONE, &nulls, 8);
    close_stage();
    CHECK(heard_count == 2 && message(0)->kind == GEARS_END && stage.hook_nulls == 3);
    CHECK(message(1)->kind == GEARS_ANSWER && memcmp(message(1)->head + 5, "ERR the stage is over", 21) == 0);
}

static void a_call_that_only_talks_is_given_up(void) {
    unsigned before = gears_session_timeout_ms;
    open_scalar();
    gears_session_timeout_ms = 30;
    for (int i = 0; i < 2000; i++) say(GEARS_LOG, "", 0); /* two fifths of a second at least */
    CHECK(!call(2) && was_told() && session_of(GEARS_ISOLATION_SESSION)->lost);
    CHECK(stage.error != NULL && strncmp(stage.error, "GEARSHOOKTIME f()", 17) == 0);
    gears_session_timeout_ms = before;
    close_stage();
    free(stage.error), stage.error = NULL;
}

/* Its session is told, answers, and lives: another stage uses it. */
static void a_wish_of_a_cancelled_stage_is_refused_behind_its_worker(void) {
    static gears_stage others;
    open_scalar();
    gears_session *session = gears_session_acquire(&others, GEARS_ISOLATION_SESSION, "me\0haa,ab,", 10);
    CHECK(session == session_of(GEARS_ISOLATION_SESSION));
    cancels = true;
    say(GEARS_EXECUTE, "", 0);
    CHECK(!call(2) && was_told() && stage.running->locked == session && session->unanswered);
    cancels = false;
    close_stage();
    CHECK(said("GEARSCANCELLED enough"));
    while (atomic_load(&session->users) > 1 || atomic_load(&stage.references) > 1) usleep(200);
    CHECK(!session->lost && !session->busy && heard_count == 3 && message(2)->kind == GEARS_END);
    CHECK(message(1)->kind == GEARS_ANSWER && memcmp(message(1)->head + 5, "ERR the query was cancelled", 27) == 0);
    gears_session_release(session);
}

/* ---- aggregates --------------------------------------------------------------------------------------------------- */

typedef struct state { /* hook_call.c's */
    uint64_t handle, shared;
} state;

#define STATES(...)                                                                                                    \
    (duckdb_aggregate_state *)(void *)(state *[]) { __VA_ARGS__ }

static bool update(idx_t rows, duckdb_aggregate_state *states) {
    *told = 0, in.size = rows;
    gears_hook_call_update(NULL, (duckdb_data_chunk)(void *)&in, states);
    return *told == 0;
}

static bool combine(idx_t count, duckdb_aggregate_state *sources, duckdb_aggregate_state *targets) {
    *told = 0;
    gears_hook_call_combine(NULL, sources, targets, count);
    return *told == 0;
}

static bool finalize(idx_t count, duckdb_aggregate_state *states, idx_t offset) {
    *told = 0;
    gears_hook_call_finalize(NULL, states, (duckdb_vector)(void *)&out, count, offset);
    return *told == 0;
}

static state states[4], targets[2];

static void open_aggregate(void) {
    CHECK(OPEN(F, AGGREGATE));
    form = &stage.running->members[1].signature->plain;
    for (int i = 0; i < 64; i++) indexes[i] = 1, arguments[i] = 100 + i;
    for (int i = 0; i < 4; i++) gears_hook_call_init(NULL, (duckdb_aggregate_state)(void *)&states[i]);
    memset(targets, 0, sizeof targets);
    forget_words();
}

/* A group that is combined once costs no message; what is shared is copied before it changes. */
static void states_are_handles_and_copied_at_need(void) {
    state *a = &states[0], *b = &states[1], *empty = &states[2], *t = &targets[0], *u = &targets[1];
    memset(states, 0xff, sizeof states);
    open_aggregate();
    CHECK(gears_hook_call_size(NULL) == sizeof(state) && a->handle == 0 && a->shared == 0);
    CHECK(update(0, NULL) && heard_count == 0);
    CHECK(update(3, STATES(a, b, a)) && a->handle == 1 && b->handle == 2 && heard_count == 1);
    CHECK(is_message(0, GEARS_UPDATE, 1, 3, NUMBERS(1, 2, 1, ~(uint64_t)0, 100, 101, 102)) ||
          is_message(0, GEARS_UPDATE, 1, 3, NUMBERS(1, 2, 1, 7, 100, 101, 102)));
    CHECK(combine(3, STATES(a, b, empty), STATES(t, u, u)) && heard_count == 1);
    CHECK(t->handle == 1 && t->shared && a->shared && u->handle == 2 && empty->handle == 0);
    CHECK(update(1, STATES(t)) && t->handle == 3 && !t->shared && a->handle == 1 && heard_count == 3);
    CHECK(is_message(1, GEARS_COMBINE, 1, 1, NUMBERS(1, 3)));
    CHECK(message(2)->kind == GEARS_UPDATE && memcmp(message(2)->head + 16, &t->handle, 8) == 0);
    CHECK(combine(1, STATES(b), STATES(t)) && is_message(3, GEARS_COMBINE, 1, 1, NUMBERS(2, 3)) && t->handle == 3);
    CHECK(combine(1, STATES(a), STATES(u)) && u->handle == 4 && !u->shared && heard_count == 5);
    CHECK(is_message(4, GEARS_COMBINE, 1, 2, NUMBERS(2, 1, 4, 4))); /* sources, then targets */
    say(GEARS_RESULT, TWO_ROWS, sizeof TWO_ROWS);
    results[0] = 55;
    CHECK(finalize(2, STATES(t, empty), 1) && is_message(5, GEARS_FINISH, 1, 2, NUMBERS(3, 5)));
    CHECK(results[0] == 55 && results[1] == 7 && results[2] == 8 && finalize(0, NULL, 0) && heard_count == 6);
    close_stage();
    CHECK(stage.error == NULL);
}

static void a_partial_state_is_a_blob(void) {
    static const uint64_t column[] = {1, 0, 2, 0xfeff};
    duckdb_string_t blob;
    open_aggregate();
    form = &stage.running->members[1].signature->state;
    say(GEARS_RESULT, column, sizeof column);
    out.data = &blob;
    CHECK(finalize(1, STATES(&states[0]), 0) && is_message(0, GEARS_STATE, 1, 1, NUMBERS(1)));
    CHECK(blob.inlined.length == 2 && memcmp(blob.inlined.bytes, "\xff\xfe", 2) == 0);
    out.data = results;
    close_stage();
}

static void an_aggregate_is_called_only_by_its_own_stage(void) {
    open_aggregate();
    indexes[0] = 0;
    CHECK(!update(1, STATES(&states[0])) && strcmp(told, WRONG_INDEX) == 0);
    close_stage();
    CHECK(OPEN(F, G)); /* another one, which has a scalar function there */
    forget_words();
    CHECK(!combine(1, STATES(&states[0]), STATES(&targets[0])) && strcmp(told, WRONG_INDEX) == 0);
    CHECK(!finalize(1, STATES(&states[0]), 0) && strcmp(told, WRONG_INDEX) == 0 && heard_count == 0);
    close_stage();
    CHECK(!combine(0, NULL, NULL) && strcmp(told, WRONG_INDEX) == 0); /* no stage at all */
}

static void an_aggregate_that_fails_says_so(void) {
    open_aggregate();
    say(GEARS_ERROR, "{}", 2);
    CHECK(!update(1, STATES(&states[0])) && was_told());
    say(GEARS_ERROR, "{}", 2);
    targets[0].handle = 9;
    CHECK(!combine(1, STATES(&states[0]), STATES(&targets[0])) && was_told());
    say(GEARS_RESULT, TWO_ROWS, 8);
    CHECK(!finalize(1, STATES(&states[0]), 0) && was_told());
    CHECK(said("GEARSHOOKDIED a(): its session broke the format: a column is cut off"));
    close_stage();
    free(stage.error), stage.error = NULL;
}

int main(void) {
    fake_server();
    bind_duckdb();
    bind_python(answer_as_told);
    duckdb_scalar_function_get_extra_info = duckdb_aggregate_function_get_extra_info = get_form;
    duckdb_scalar_function_set_error = duckdb_aggregate_function_set_error = tell;
    RedisModule_Log = write_log;
    RedisModule_GetModuleUserFromUserName = user_of, RedisModule_FreeModuleUser = free_user;
    RedisModule_SelectDb = select_database;
    RedisModule_ThreadSafeContextTryLock = try_lock, RedisModule_ThreadSafeContextUnlock = unlock;
    gears_session_ended_limit = 1000;
    static char id[] = "q.1";
    stage.id = id;
    set_user("me");
    strcpy(stage.shard, "here");
    atomic_store(&stage.references, 1);
    functions[F] = define("aa", "f", "SCALAR", "SESSION", "BIGINT");
    functions[G] = define("ab", "g", "SCALAR", "SESSION", "BIGINT");
    functions[AGGREGATE] = define("ac", "a", "AGGREGATE", "SESSION", "BIGINT");
    functions[OTHER] = define("ad", "o", "SCALAR", "SESSION", "VARCHAR");
    functions[ON_MAIN] = define("ae", "m", "SCALAR", "MAIN", "BIGINT");
    a_session_is_of_a_user_and_a_set_of_functions();
    begin_tells_who_asks_and_what_for();
    each_isolation_has_its_session_and_begins_apart();
    a_begin_that_fails_is_the_stages_error_and_has_an_end();
    end_counts_what_became_null();
    a_session_that_was_ended_meanwhile_is_followed_by_another();
    a_cancelled_stage_ends_behind_its_worker();
    a_stage_that_never_began_sends_no_end();
    what_duckdb_says_of_a_failed_hook_is_the_hooks_error();
    a_batch_goes_and_a_column_comes_back();
    the_first_argument_is_believed_in_no_row();
    an_answer_that_is_cut_off_anywhere_ends_its_session();
    a_short_answer_after_a_long_one_is_short();
    an_answer_has_a_kind_and_a_size_that_can_be();
    the_copy_of_a_large_answer_is_not_kept();
    offsets_that_lie_end_their_session();
    an_error_is_kept_until_the_next_and_the_session_lives();
    a_batch_that_does_not_fit_is_refused_and_the_session_lives();
    lines_of_a_log_are_escaped_cut_and_so_many();
    a_command_whose_lengths_lie_is_refused_and_the_call_goes_on();
    a_stage_that_ends_runs_no_command();
    a_call_that_only_talks_is_given_up();
    a_wish_of_a_cancelled_stage_is_refused_behind_its_worker();
    states_are_handles_and_copied_at_need();
    a_partial_state_is_a_blob();
    an_aggregate_is_called_only_by_its_own_stage();
    an_aggregate_that_fails_says_so();
    for (int i = 0; i < FUNCTIONS; i++) gears_function_release(functions[i]);
    return failed;
}
