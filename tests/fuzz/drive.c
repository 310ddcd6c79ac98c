/* Drives a fuzz target (libFuzzer's LLVMFuzzerTestOneInput) with inputs that grow from seeds by what they reach.
 *
 *   <target> inputs seed dictionary crash-file seeds…
 *
 * gcc has no libFuzzer, but -fsanitize-coverage=trace-pc: each basic block of the module calls us, and an input that
 * took a new step from block to block joins the corpus. An input in which a sanitizer finds something, or which takes more
 * than two seconds of the processor, lies in crash-file. Every seed is tried as it is before. Words of an input are parted by bytes 0xFF. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MAP = 1 << 16, MOST = 4096, CORPUS = 20000, TOKENS = 512, PART = 0xFF, SECONDS = 60, MOST_SECONDS = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_set_death_callback(void (*callback)(void));

typedef struct input {
    uint8_t *data;
    size_t size;
} input;

static uint8_t reached[MAP], known[MAP];
static uintptr_t last;
static input corpus[CORPUS], tokens[TOKENS];
static size_t corpus_count, token_count;
static uint8_t now[MOST];
static size_t now_size;
static const char *crash_file;
static uint64_t state;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) {
    uintptr_t at = (uintptr_t)__builtin_return_address(0);
    reached[(at ^ last) % MAP] = 1;
    last = at >> 1;
}

static void keep_crash(void) {
    FILE *file = fopen(crash_file, "wb");
    if (file == NULL) return;
    fwrite(now, 1, now_size, file);
    fclose(file);
}

static void end_late(void) {
    keep_crash();
    fputs("an input took too long\n", stderr);
    _exit(3);
}

static void on_timer(int number) {
    (void)number;
    end_late();
}

static double seconds_used(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static uint64_t next(void) { /* xorshift64* */
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Du >> 11;
}

static size_t below(size_t limit) { return limit ? next() % limit : 0; }

static input read_file(const char *path) {
    input in = {malloc(MOST), 0};
    FILE *file = fopen(path, "rb");
    if (file == NULL || in.data == NULL) exit(2);
    in.size = fread(in.data, 1, MOST, file);
    fclose(file);
    return in;
}

/* A token on each line. */
static void read_tokens(const char *path) {
    FILE *file = fopen(path, "rb");
    char line[256];
    while (file != NULL && token_count < TOKENS && fgets(line, sizeof line, file) != NULL) {
        size_t size = strcspn(line, "\n");
        tokens[token_count].data = malloc(size + 1);
        memcpy(tokens[token_count].data, line, size);
        tokens[token_count++].size = size;
    }
    if (file != NULL) fclose(file);
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

/* Put bytes in the place of `cut` others. */
static void replace(size_t at, size_t cut, const uint8_t *bytes, size_t size) {
    if (now_size - cut + size > MOST) return;
    memmove(now + at + size, now + at + cut, now_size - at - cut);
    if (size) memcpy(now + at, bytes, size);
    now_size += size - cut;
}

static void pick_word(size_t *at, size_t *size) {
    size_t middle = below(now_size);
    *at = middle;
    while (*at > 0 && now[*at - 1] != PART) --*at;
    size_t end = middle;
    while (end < now_size && now[end] != PART) end++;
    *size = end - *at;
}

static void change_number(void) {
    static const uint64_t odd[] = {0,   1,   7,    8,          63,         64,         65,         127,
                                   128, 255, 4096, UINT64_MAX, 1ull << 31, 1ull << 32, 1ull << 62, 1ull << 63};
    uint64_t value = odd[below(sizeof odd / sizeof *odd)];
    size_t width = (size_t)1 << below(4), at = below(now_size) & ~(width - 1);
    if (at + width <= now_size) memcpy(now + at, &value, width);
}

static void change_once(void) {
    uint8_t bytes[64];
    size_t at, size, other, length, times;
    const input *in;
    switch (below(11)) {
    case 0:
        if (now_size) now[below(now_size)] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        if (now_size) now[below(now_size)] = (uint8_t)next();
        break;
    case 2: change_number(); break;
    case 3:
        length = 1 + below(8);
        for (size_t i = 0; i < length; i++) bytes[i] = (uint8_t)next();
        replace(below(now_size + 1), 0, bytes, length);
        break;
    case 4:
        at = below(now_size);
        replace(at, below(now_size - at < 32 ? now_size - at + 1 : 32), NULL, 0);
        break;
    case 5: /* a copy of a piece, or 2 to 14 */
        at = below(now_size), size = below(now_size - at < 64 ? now_size - at + 1 : 64);
        memcpy(bytes, now + at, size);
        at = below(now_size + 1);
        for (times = below(2) ? 1 : 2 + below(13); times > 0; times--) replace(at, 0, bytes, size);
        break;
    case 6: /* the head of this with a tail of another */
        in = &corpus[below(corpus_count)];
        other = below(in->size + 1), at = below(now_size + 1);
        replace(at, now_size - at, in->data + other, in->size - other);
        break;
    case 7:
        in = &tokens[below(token_count)];
        if (token_count) replace(below(now_size + 1), 0, in->data, in->size);
        break;
    case 8: /* a word for a word */
        pick_word(&at, &size);
        in = &tokens[below(token_count)];
        if (token_count) replace(at, size, in->data, in->size);
        break;
    case 9: /* a word less */
        pick_word(&at, &size);
        replace(at, at + size < now_size ? size + 1 : size, NULL, 0);
        break;
    case 10: /* a word more */
        pick_word(&at, &size);
        bytes[0] = PART;
        replace(at + size, 0, bytes, 1);
        in = &tokens[below(token_count)];
        if (token_count && at + size + 1 <= now_size) replace(at + size + 1, 0, in->data, in->size);
        break;
    }
}

/* ---- runs ----------------------------------------------------------------------------------------------------- */

static void keep(void) {
    if (corpus_count == CORPUS) return;
    input in = {malloc(now_size + 1), now_size};
    memcpy(in.data, now, now_size);
    corpus[corpus_count++] = in;
}

/* True if it took a step that none took before. */
static int run(void) {
    int is_new = 0;
    uint8_t *exact = malloc(now_size ? now_size : 1); /* so that the sanitizer sees a byte read behind it */
    if (now_size) memcpy(exact, now, now_size);
    memset(reached, 0, sizeof reached);
    last = 0;
    double before = seconds_used();
    LLVMFuzzerTestOneInput(exact, now_size);
    if (seconds_used() - before > MOST_SECONDS) end_late();
    free(exact);
    for (size_t i = 0; i < MAP; i += sizeof(uint64_t)) {
        uint64_t some;
        memcpy(&some, reached + i, sizeof some);
        for (size_t j = i; some && j < i + sizeof some; j++) is_new |= reached[j] && !known[j], known[j] |= reached[j];
    }
    return is_new;
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    uint64_t inputs = strtoull(argv[1], NULL, 10);
    state = strtoull(argv[2], NULL, 10) * 2654435761u + 1;
    read_tokens(argv[3]);
    crash_file = argv[4];
    __sanitizer_set_death_callback(keep_crash);
    signal(SIGPROF, on_timer);
    for (int i = 5; i < argc; i++) {
        input in = read_file(argv[i]);
        memcpy(now, in.data, now_size = in.size);
        free(in.data);
        run();
        keep();
    }
    if (corpus_count == 0) keep();
    for (uint64_t i = 0; i < inputs; i++) {
        if (i % 1024 == 0) setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = SECONDS}, NULL);
        const input *in = &corpus[below(corpus_count)];
        memcpy(now, in->data, now_size = in->size);
        for (size_t changes = 1 + below(6); changes > 0; changes--) change_once();
        if (run()) keep();
    }
    size_t steps = 0;
    for (size_t i = 0; i < MAP; i++) steps += known[i];
    printf("%llu inputs, %zu kept, %zu steps reached\n", (unsigned long long)inputs, corpus_count, steps);
    return 0;
}
