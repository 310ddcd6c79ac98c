/* For test_facets.py: keys that are no hashes as rows (read.c and read_*.c), in one turn and in many, on a server that is
 * none (tests/fuzz), with keys of ours. */
#include <stdio.h>

#include "facets.h"
#include "fake_keys.h"
#include "lock.h"
#include "read.h"

enum { FOR_EVER_US = 1000000000, LARGE = 1000 };

static gears_stage stage;
static gears_scan_spec spec;
static gears_column columns[4];
static gears_read r;
static size_t rows, most_rows = SIZE_MAX, misfits;
static bool is_full, takes_misfits;
static char written[4096]; /* the rows, as long as there is room */
static char last_row[64];

static bool on_row(void *scan, const gears_slice *values) {
    size_t at = 0;
    (void)scan;
    for (size_t i = 0; i < r.count; i++) {
        const char *bar = i ? "|" : "";
        int size = (int)values[i].size;
        at += (size_t)snprintf(last_row + at, sizeof last_row - at, "%s%.*s", bar, values[i].data ? size : 1,
                               values[i].data ? values[i].data : "-");
    }
    size_t used = strlen(written);
    snprintf(written + used, sizeof written - used, "%s;", last_row);
    return ++rows < most_rows;
}

static bool on_misfit(void *scan, gears_slice whole) { return (void)scan, (void)whole, misfits++, takes_misfits; }
static bool says_full(void *scan) { return (void)scan, is_full; }

/* A reader of keys of this type. A letter of `sources` is the element's part of that letter, a capital one a field. */
static void begin(gears_key_type type, const char *sources) {
    const gears_column *wanted[4];
    size_t count = strlen(sources);
    spec = (gears_scan_spec){.key_type = type};
    for (size_t i = 0; i < count; i++) {
        const char name[2] = {sources[i], 0};
        bool is_part = strchr("vis", sources[i]) != NULL;
        columns[i] = (gears_column){.type = {.kind = GEARS_VARCHAR}, .source = GEARS_SOURCE_FIELD};
        if (!is_part) columns[i].field = text(name);
        if (is_part)
            columns[i].source = sources[i] == 'v'   ? GEARS_SOURCE_VALUE
                                : sources[i] == 'i' ? GEARS_SOURCE_INDEX
                                                    : GEARS_SOURCE_SCORE;
        wanted[i] = &columns[i];
    }
    r = (gears_read){.row = on_row, .misfit = on_misfit, .full = says_full};
    rows = misfits = 0;
    written[0] = 0;
    CHECK(gears_read_init(&r, &stage, &spec, count, wanted));
}

static void end(void) {
    gears_read_free(&r);
    for (size_t i = 0; i < 4; i++)
        if (columns[i].field != NULL) RedisModule_FreeString(NULL, columns[i].field), columns[i].field = NULL;
    remove_keys();
    free(stage.error);
    stage.error = NULL;
    scans_repeat = is_full = takes_misfits = false;
    most_rows = SIZE_MAX;
    CHECK(fake_strings() == 0);
}

static bool said(const char *error) { return stage.error != NULL && strcmp(stage.error, error) == 0; }

static void read_first(RedisModuleKey *key) { gears_read_begin(&r, NULL, key->name, key); }

/* To the key's end; in how many turns. */
static int read_whole(RedisModuleKey *key) {
    int turns = 1;
    for (read_first(key); r.open; turns++) gears_read_go_on(&r, NULL, key);
    return turns;
}

static RedisModuleKey *numbers(int type, int count) {
    RedisModuleKey *key = add_key("key", type);
    for (int i = 0; i < count; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        if (type == REDISMODULE_KEYTYPE_STREAM)
            add_entry(key, 1, (uint64_t)i + 1, "F", number);
        else
            add(key, number, type == REDISMODULE_KEYTYPE_ZSET ? number : NULL);
    }
    return key;
}

/* ---- what all types have in common -------------------------------------------------------------------------------- */

static const struct {
    gears_key_type type;
    int servers;
    const char *sources, *last;
} types[] = {
    {GEARS_KEYS_LIST, REDISMODULE_KEYTYPE_LIST, "iv", "%d|%d"},
    {GEARS_KEYS_SET, REDISMODULE_KEYTYPE_SET, "v", "%d"},
    {GEARS_KEYS_ZSET, REDISMODULE_KEYTYPE_ZSET, "vs", "%d|%d"},
    {GEARS_KEYS_STREAM, REDISMODULE_KEYTYPE_STREAM, "F", "%d"},
};
enum { TYPES = sizeof types / sizeof *types };

static bool is_last(size_t type, int number) {
    char expected[32];
    snprintf(expected, sizeof expected, types[type].last, number, number); /* NOLINT: of the table above */
    return strcmp(last_row, expected) == 0;
}

/* The turn is over before it begins: what is small is read all the same, and of what is large some each time. */
static void a_small_key_is_read_at_once_and_a_large_one_in_turns(void) {
    gears_lock_slice_us = 0;
    for (size_t i = 0; i < TYPES; i++) {
        begin(types[i].type, types[i].sources);
        CHECK(gears_read_keytype(types[i].type) == types[i].servers);
        CHECK(read_whole(numbers(types[i].servers, GEARS_READ_WHOLE)) == 1);
        CHECK(rows == GEARS_READ_WHOLE && is_last(i, GEARS_READ_WHOLE - 1));
        remove_keys();
        CHECK(read_whole(numbers(types[i].servers, LARGE)) > 1);
        CHECK(rows == GEARS_READ_WHOLE + LARGE && is_last(i, LARGE - 1) && stage.error == NULL);
        end();
    }
    gears_lock_slice_us = FOR_EVER_US;
}

static void a_full_chunk_ends_the_turn_of_a_large_key(void) {
    is_full = true;
    for (size_t i = 0; i < TYPES; i++, is_full = true) {
        begin(types[i].type, types[i].sources);
        read_first(numbers(types[i].servers, LARGE));
        CHECK(r.open && !r.failed && rows < LARGE);
        is_full = false;
        gears_read_go_on(&r, NULL, keys[0]);
        gears_read_rest(&r);
        CHECK(!r.open && rows == LARGE);
        end();
    }
}

static void a_key_that_goes_between_turns_is_at_its_end(void) {
    gears_lock_slice_us = 0;
    for (size_t i = 0; i < TYPES; i++) {
        begin(types[i].type, types[i].sources);
        read_first(numbers(types[i].servers, LARGE));
        size_t before = rows;
        CHECK(r.open);
        keys[0]->type = REDISMODULE_KEYTYPE_HASH;
        gears_read_go_on(&r, NULL, i % 2 ? keys[0] : NULL);
        gears_read_rest(&r);
        CHECK(!r.open && !r.failed && rows == before);
        end();
    }
    gears_lock_slice_us = FOR_EVER_US;
}

/* A row that the stage fails at is the last one, in small keys and in large ones. */
static void nothing_is_read_after_a_row_that_failed(void) {
    for (size_t i = 0; i < TYPES; i++)
        for (int count = 100; count <= LARGE; count += LARGE - 100) {
            begin(types[i].type, types[i].sources);
            most_rows = 7;
            read_first(numbers(types[i].servers, count));
            CHECK(rows == 7 && r.failed && !r.open);
            end();
        }
}

/* ---- lists -------------------------------------------------------------------------------------------------------- */

static void a_list_may_grow_at_its_end_while_it_is_read(void) {
    begin(GEARS_KEYS_LIST, "iv");
    gears_lock_slice_us = 0;
    read_first(numbers(REDISMODULE_KEYTYPE_LIST, LARGE));
    add(keys[0], "1000", NULL);
    while (r.open) gears_read_go_on(&r, NULL, keys[0]);
    CHECK(!r.failed && rows == LARGE + 1 && is_last(0, LARGE));
    end();
}

static void a_list_whose_positions_moved_ends_the_stage(void) {
    static const char *const moved =
        "GEARSCHANGED a list's elements moved while it was read, which takes more than one "
        "turn";
    gears_lock_slice_us = 0;
    for (int how = 0; how < 3; how++) {
        begin(GEARS_KEYS_LIST, "v");
        read_first(numbers(REDISMODULE_KEYTYPE_LIST, LARGE));
        CHECK(r.open && r.index == (long long)rows && r.index < LARGE - 1);
        if (how < 2) remove_element(keys[0], how ? LARGE - 1 : 0); /* at the left, at the right */
        if (how == 0) add(keys[0], "as long as before", NULL);
        if (how == 2) remove_element(keys[0], (size_t)r.index - 1), add(keys[0], "x", NULL);
        size_t before = rows;
        gears_read_go_on(&r, NULL, keys[0]);
        CHECK(said(moved) && r.failed && !r.open && rows == before);
        end();
    }
    gears_lock_slice_us = FOR_EVER_US;
}

/* ---- sets and sorted sets ----------------------------------------------------------------------------------------- */

static void members_that_the_scan_repeats_are_read_once(void) {
    for (size_t i = 1; i < 3; i++) {
        begin(types[i].type, types[i].sources);
        scans_repeat = true;
        read_first(numbers(types[i].servers, LARGE));
        while (!r.ended) gears_read_go_on(&r, NULL, keys[0]);
        CHECK(rows == LARGE && r.open && gears_names_memory(r.known) > LARGE * sizeof(void *));
        gears_read_rest(&r);
        CHECK(!r.open && gears_names_memory(r.known) == 0);
        remove_keys();
        read_whole(numbers(types[i].servers, 1)); /* the names of one key say nothing of another */
        CHECK(rows == LARGE + 1);
        end();
    }
}

static void a_score_has_one_text_whoever_wrote_it(void) {
    static const char *const scores[][2] = {
        {"3", "3"},
        {"3.0000000000000000", "3"},
        {"0.1", "0.1"},
        {"1e17", "1e+17"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"0.10000000000000001", "0.1"},
        {"inf", "inf"},
        {"-inf", "-inf"},
        {"-0", "-0"},
        {"99999999999999999", "1e+17"},
        {"1e16", "10000000000000000"},
        {"no number", "no number"},
    };
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        begin(GEARS_KEYS_ZSET, "s");
        add(add_key("z", REDISMODULE_KEYTYPE_ZSET), "member", scores[i][0]);
        read_whole(keys[0]);
        if (strcmp(last_row, scores[i][1]) != 0) printf("%s: %s\n", scores[i][0], last_row), failed = 1;
        end();
    }
}

/* ---- streams ------------------------------------------------------------------------------------------------------ */

static void an_entry_is_a_row_of_its_last_values(void) {
    begin(GEARS_KEYS_STREAM, "iAB");
    RedisModuleKey *key = add_key("s", REDISMODULE_KEYTYPE_STREAM);
    add_entry(key, 5, 1, "A", "1"), add_entry(key, 5, 1, "C", "2"), add_entry(key, 5, 1, "A", "3");
    add_entry(key, UINT64_MAX, UINT64_MAX, "B", "");
    read_whole(key);
    CHECK(strcmp(written, "5-1|3|-;18446744073709551615-18446744073709551615|-|;") == 0);
    remove_keys();
    CHECK(read_whole(add_key("empty", REDISMODULE_KEYTYPE_STREAM)) == 1 && rows == 2);
    end();
}

/* Up to the entry that is the last one when the reading begins; what is trimmed meanwhile is not there. */
static void entries_that_come_later_are_not_read(void) {
    gears_lock_slice_us = 0;
    begin(GEARS_KEYS_STREAM, "F");
    RedisModuleKey *key = numbers(REDISMODULE_KEYTYPE_STREAM, LARGE);
    read_first(key);
    size_t before = rows;
    add_entry(key, 2, 0, "F", "later");
    for (size_t i = 0; i < before + 10; i++) remove_element(key, 0);
    while (r.open) gears_read_go_on(&r, NULL, key);
    CHECK(rows == LARGE - 10 && is_last(3, LARGE - 1));
    end();
    begin(GEARS_KEYS_STREAM, "F");
    key = numbers(REDISMODULE_KEYTYPE_STREAM, LARGE); /* on from the last id of a millisecond is in the next one */
    for (size_t i = 0; i < LARGE; i++) key->elements[i].id = (RedisModuleStreamID){i, UINT64_MAX};
    while (r.open || rows == 0) rows ? gears_read_go_on(&r, NULL, key) : read_first(key);
    CHECK(rows == LARGE);
    end();
    gears_lock_slice_us = FOR_EVER_US;
}

/* ---- strings ------------------------------------------------------------------------------------------------------ */

struct RedisModuleCallReply {
    int type;
    const char *bytes;
};

static RedisModuleCallReply reply;
static int replies, asked;

static RedisModuleCallReply *get(RedisModuleCtx *ctx, const char *command, const char *format, ...) {
    (void)ctx;
    CHECK(strcmp(command, "GET") == 0 && strcmp(format, "s") == 0);
    asked++;
    return reply.type < 0 ? NULL : (replies++, &reply);
}
static int reply_type(RedisModuleCallReply *told) { return told->type; }
static const char *reply_bytes(RedisModuleCallReply *told, size_t *length) {
    *length = told->bytes ? strlen(told->bytes) : 0;
    return told->bytes;
}
static void free_reply(RedisModuleCallReply *told) { (void)told, replies--; }

/* What a key becomes of which GET answers so. */
static const char *row_of(gears_key_type type, const char *sources, int told, const char *bytes) {
    static char first[64];
    reply = (RedisModuleCallReply){told, bytes};
    begin(type, sources);
    read_whole(add_key("k", REDISMODULE_KEYTYPE_STRING));
    snprintf(first, sizeof first, "%s%s", stage.error ? stage.error : "", rows ? last_row : misfits ? " misfit" : "");
    CHECK(!r.open && replies == 0);
    end();
    return first;
}

static void a_string_is_a_row_and_one_that_has_gone_is_none(void) {
    CHECK(strcmp(row_of(GEARS_KEYS_STRING, "v", REDISMODULE_REPLY_STRING, "abc"), "abc") == 0);
    CHECK(strcmp(row_of(GEARS_KEYS_STRING, "v", REDISMODULE_REPLY_STRING, ""), "") == 0 && rows == 1);
    CHECK(strcmp(row_of(GEARS_KEYS_STRING, "v", REDISMODULE_REPLY_NULL, NULL), "") == 0 && rows == 0);
    static const char *const gone = "GEARSGONE the server does not let its module read a string: ";
    CHECK(strcmp(row_of(GEARS_KEYS_STRING, "v", -1, NULL), gone) == 0);
    CHECK(strcmp(row_of(GEARS_KEYS_STRING, "v", REDISMODULE_REPLY_ERROR, "no"), "GEARSGONE the server does not let its "
                                                                                "module read a string: no") == 0);
    asked = 0;
    row_of(GEARS_KEYS_STRING, "", REDISMODULE_REPLY_STRING, "abc");
    CHECK(rows == 1 && asked == 0); /* of which nothing is wanted */
}

static void a_json_object_gives_its_members(void) {
    static const char *const cases[][2] = {
        {"{\"A\": 1, \"B\": \"x\"}", "1|x"},
        {"{\"B\": \"a\\n\\u00e9\", \"A\": [1, 2]}", "[1, 2]|a\n\u00e9"},
        {"{\"A\": \"\\tx\", \"B\": \"\\ny\"}", "\tx|\ny"},
        {"{\"A\": null}", "-|-"},
        {"{\"A\": 1, \"A\": 2, \"C\": {\"B\": 3}}", "2|-"},
        {"{\"\\u0041\": true}", "true|-"},
        {"{}", "-|-"},
        {"[]", " misfit"},
        {"{\"A\": 1} 2", " misfit"},
        {"{\"A\": 1", " misfit"},
        {"{\"A\": \"\\ud800\"}", " misfit"},
        {"", " misfit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *row = row_of(GEARS_KEYS_JSON, "AB", REDISMODULE_REPLY_STRING, cases[i][0]);
        if (strcmp(row, cases[i][1]) != 0) printf("%s: %s\n", cases[i][0], row), failed = 1;
    }
    char escapes[2100] = "{\"A\": \"";
    for (int i = 0; i < 1000; i++) strcat(escapes, "\\n");
    row_of(GEARS_KEYS_JSON, "AAA", REDISMODULE_REPLY_STRING, strcat(escapes, "\"}"));
    CHECK(rows == 1);
    /* Two columns of one member, each with characters of its own. */
    CHECK(strcmp(row_of(GEARS_KEYS_JSON, "AA", REDISMODULE_REPLY_STRING, "{\"A\": \"\\t\"}"), "\t|\t") == 0);
    reply = (RedisModuleCallReply){REDISMODULE_REPLY_STRING, "no"};
    for (int taken = 0; taken < 2; taken++) {
        begin(GEARS_KEYS_JSON, "A");
        takes_misfits = taken;
        read_first(add_key("k", REDISMODULE_KEYTYPE_STRING));
        CHECK(misfits == 1 && r.failed == !taken);
        end();
    }
}

int main(void) {
    fake_server();
    bind_keys();
    gears_lock_slice_us = FOR_EVER_US;
    gears_lock_begin_slice();
    RedisModule_Call = get;
    RedisModule_CallReplyType = reply_type;
    RedisModule_CallReplyStringPtr = reply_bytes;
    RedisModule_FreeCallReply = free_reply;
    a_small_key_is_read_at_once_and_a_large_one_in_turns();
    a_full_chunk_ends_the_turn_of_a_large_key();
    a_key_that_goes_between_turns_is_at_its_end();
    nothing_is_read_after_a_row_that_failed();
    a_list_may_grow_at_its_end_while_it_is_read();
    a_list_whose_positions_moved_ends_the_stage();
    members_that_the_scan_repeats_are_read_once();
    a_score_has_one_text_whoever_wrote_it();
    an_entry_is_a_row_of_its_last_values();
    entries_that_come_later_are_not_read();
    a_string_is_a_row_and_one_that_has_gone_is_none();
    a_json_object_gives_its_members();
    return failed;
}
