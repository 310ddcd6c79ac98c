/* Waiting on a word in memory that several processes share, so without FUTEX_PRIVATE_FLAG. */
#ifndef GEARS_FUTEX_H
#define GEARS_FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Return when the word has not this value, is woken, or the time is up. */
static inline void gears_futex_wait(_Atomic uint32_t *word, uint32_t value, unsigned milliseconds) {
    struct timespec step = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    syscall(SYS_futex, word, FUTEX_WAIT, value, &step, NULL, 0);
}

static inline void gears_futex_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

#endif
