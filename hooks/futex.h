/* Waiting on a word of shared memory. Never FUTEX_PRIVATE: the other side may be a process, and both must agree. */
#ifndef HOOKS_FUTEX_H
#define HOOKS_FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Wait while the word is `value`, at most so long; 0 or -1 with errno. GIL: released. */
static inline long hooks_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t nanoseconds) {
    struct timespec most = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    return syscall(SYS_futex, word, FUTEX_WAIT, value, &most, NULL, 0);
}

static inline void hooks_futex_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

#endif
