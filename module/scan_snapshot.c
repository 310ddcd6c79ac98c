/* A scan of a snapshot (snapshot.h): rows into pages in the child, pages into chunks in the server; see scan_parts.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lock.h"
#include "scan_parts.h"

/* As on_key. What a bucket has beyond a page goes to another one: a key held back might expire. Runs on: the child. */
static void on_key_in_child(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key, void *data) {
    scan_state *s = data;
    (void)ctx;
    s->seen++;
    if (gears_scan_is_full(s) && !s->load->failed) gears_page_begin(s);
    if (s->failed || s->load->failed) return;
    if (key != NULL)
        gears_scan_read_key(s, name, key);
    else
        gears_scan_read_named(s, RedisModule_HoldString(NULL, name));
}

/* Runs on: the child. */
static void fill_load(void *scan, gears_load *load) {
    enum { BUCKET = 32, MOST_KEYS = 100000, TEXT_BYTES = 1 << 20 };
    scan_state *s = scan;
    s->load = load;
    s->page = NULL;
    gears_page_begin(s);
    uint64_t most = load->used + TEXT_BYTES;
    while (!s->exhausted && !s->failed && !load->failed && s->rows + BUCKET <= s->capacity && s->seen < MOST_KEYS &&
           load->used < most)
        s->exhausted = !RedisModule_Scan(s->ctx, s->cursor, on_key_in_child, s);
    if (load->failed) gears_stage_fail(s->stage, "GEARSLIMIT a row is too large for a snapshot");
    if (s->page != NULL) s->page->rows = s->rows;
    load->seen = s->seen, load->skipped = s->skipped, load->withheld = s->withheld, load->misfits = s->misfits;
    load->last = s->exhausted, load->failed |= s->failed;
    s->seen = s->skipped = s->withheld = s->misfits = 0;
}

/* Runs on: the child. `context` is the scan that forked: what was true of its turn holds. */
static void *open_in_child(void *context, unsigned scan, const uint32_t *columns, size_t count) {
    const scan_state *from = context;
    scan_state *s = calloc(1, sizeof *s);
    if (s != NULL) s->targets = calloc(count + 1, sizeof *s->targets);
    if (s == NULL || s->targets == NULL) return NULL;
    s->stage = from->stage, s->ctx = from->ctx, s->user = from->user, s->check_keys = from->check_keys;
    s->has_selectors = from->has_selectors;
    s->now_ms = from->now_ms, s->capacity = from->capacity;
    s->spec = &s->stage->scans[scan];
    s->cursor = RedisModule_ScanCursorCreate();
    for (size_t i = 0; i < count; i++) gears_scan_set_target(s, &s->targets[s->target_count++], columns[i]);
    while (s->field_count < count && gears_scan_is_field(s->targets[s->field_count].column)) s->field_count++;
    return s;
}

static bool reads_elements(const gears_stage *stage) {
    for (size_t i = 0; i < stage->scan_count; i++)
        if (stage->scans[i].key_type != GEARS_KEYS_HASH) return true;
    return false;
}

/* Once for a stage, so that all of its scans are of one moment. False: the stage was stopped, or has failed.
 * Takes: turn, server lock. */
bool gears_scan_choose_mode(scan_state *s) {
    enum { NAP_NS = 2000000 };
    const gears_snapshot_reader reader = {open_in_child, fill_load, gears_scan_free, s};
    const struct timespec nap = {.tv_sec = 0, .tv_nsec = NAP_NS};
    gears_stage *stage = s->stage;
    uint64_t began = gears_lock_now();
    if (reads_elements(stage)) {
        gears_snapshot_refuse(stage, "keys that are no hashes are read in slices");
        return stage->mode_chosen = true;
    }
    while (!stage->mode_chosen) {
        if (!gears_lock_enter(s->ctx, &stage->cancelled)) return false;
        const char *problem = NULL;
        bool passes = false;
        if (stage->slots != NULL) stage->slots->opened = false; /* what counts is the moment of the fork */
        s->failed = !gears_scan_begin_turn(s);
        if (!s->failed) {
            problem = gears_snapshot_take(stage, s->ctx, &reader, &passes);
            RedisModule_FreeModuleUser(s->user);
        }
        uint64_t locked = gears_lock_held();
        gears_lock_leave(s->ctx);
        gears_scan_publish(s, locked);
        if (s->failed) return false;
        bool waits = problem != NULL && passes && gears_lock_now() - began < (uint64_t)gears_snapshot_wait_ms * 1000;
        stage->mode_chosen = !waits;
        if (waits)
            nanosleep(&nap, NULL);
        else if (problem != NULL)
            gears_snapshot_refuse(stage, problem);
    }
    return true;
}

/* A later scan would have no child to read from: one that begins again and again is not counted before. */
static bool is_last_order(const gears_stage *stage) {
    return stage->scan_starts >= stage->scan_binds && strcasestr(stage->sql, "recursive") == NULL;
}

static bool order(scan_state *s) {
    uint32_t *columns = calloc(s->target_count + 1, sizeof *columns);
    if (columns == NULL) return false;
    for (size_t i = 0; i < s->target_count; i++) {
        const gears_column *column = s->targets[i].column;
        columns[i] = column != NULL ? (uint32_t)(column - s->spec->columns) : UINT32_MAX;
    }
    unsigned scan = (unsigned)(s->spec - s->stage->scans);
    s->stage->scan_starts++;
    s->channel = gears_snapshot_order(s->stage, scan, columns, s->target_count, is_last_order(s->stage));
    free(columns);
    return s->channel != NULL;
}

/* The next load of the child's. False: the stage was stopped, or has failed. */
static bool next_load(scan_state *s) {
    enum { FIRST_PAGE = (sizeof(gears_load) + 63) / 64 * 64 };
    if (s->channel == NULL && !order(s)) return false;
    s->load = gears_snapshot_await(s->stage, s->channel);
    if (s->load == NULL) return false;
    s->seen = s->load->seen, s->skipped = s->load->skipped, s->withheld = s->load->withheld;
    s->misfits = s->load->misfits;
    gears_scan_publish(s, 0);
    s->ended = s->load->last;
    if (s->load->failed) gears_snapshot_fail(s->stage);
    s->page = (gears_page *)(void *)((char *)s->load + FIRST_PAGE);
    return !s->load->failed;
}

/* The chunk is a page. False: as above. */
bool gears_scan_take_page(scan_state *s) {
    while (s->rows == 0) {
        if (s->page == NULL && s->ended) break;
        if (s->page == NULL && !next_load(s)) return false;
        if (!gears_page_copy(s)) return false;
        uint64_t next = s->page->next;
        s->page = next ? (gears_page *)(void *)((char *)s->load + next) : NULL;
        if (s->page != NULL) continue;
        gears_snapshot_took(s->stage, s->channel);
        if (s->ended) gears_snapshot_drop(s->stage, s->channel), s->channel = NULL;
    }
    return true;
}
