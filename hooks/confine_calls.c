/* The system calls of a worker; see confine.h.
 *
 * What is listed here stays within the process: memory, threads, time, reading of files (Landlock says which), and pipes
 * to itself. A process of the same user could otherwise be ended by a signal, by its limits (prlimit), through its files
 * (F_SETOWN sends SIGIO), or read (ptrace, process_vm_readv). What is not listed is EPERM; so is what a later kernel
 * brings, but as ENOSYS, on which C libraries fall back to older calls. */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

#ifndef MACHINE

int hooks_confine_calls(bool may_write_files) {
    (void)may_write_files;
    return 0;
}

#else

enum {
    LAST_REVIEWED = 469, /* file_setattr, of Linux 6.17 */
    /* Numbers that are the same on all machines, and not in all headers. */
    CLONE3 = 435,
    CLOSE_RANGE = 436,
    OPENAT2 = 437,
    FACCESSAT2 = 439,
    EPOLL_PWAIT2 = 441,
    FUTEX_WAITV = 449,
    MAP_SHADOW_STACK = 453,
    FUTEX_WAKE2 = 454,
    FUTEX_WAIT2 = 455,
    NAMESPACES = 0x7E020080, /* all CLONE_NEW… */
    SET_VMA = 0x53564d41,    /* PR_SET_VMA: names for memory */
};

static const uint16_t ALLOWED[] = {
    /* What is called most (with futex, see below), first. */
    SYS_futex,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_sched_yield,
    SYS_getppid,
    /* memory */
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_msync,
    SYS_mincore,
    SYS_mlock,
    SYS_munlock,
    SYS_mlock2,
    SYS_membarrier,
    SYS_mbind,
    SYS_get_mempolicy,
    SYS_set_mempolicy,
    SYS_pkey_alloc,
    SYS_pkey_free,
    SYS_pkey_mprotect,
    MAP_SHADOW_STACK,
    /* threads and signals of this process */
    SYS_exit,
    SYS_exit_group,
    SYS_gettid,
    SYS_set_tid_address,
    SYS_set_robust_list,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_sched_getaffinity,
    SYS_sched_getscheduler,
    SYS_sched_getparam,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_getpriority,
    SYS_getcpu,
    SYS_wait4,
    SYS_waitid,
    FUTEX_WAITV,
    FUTEX_WAKE2,
    FUTEX_WAIT2,
    /* time */
    SYS_clock_getres,
    SYS_gettimeofday,
    SYS_times,
    SYS_getitimer,
    SYS_setitimer,
    SYS_timer_create,
    SYS_timer_delete,
    SYS_timer_getoverrun,
    SYS_timer_gettime,
    SYS_timer_settime,
    SYS_timerfd_create,
    SYS_timerfd_gettime,
    SYS_timerfd_settime,
    /* who and where */
    SYS_getpid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getgroups,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getpgid,
    SYS_getsid,
    SYS_capget,
    SYS_getrlimit,
    SYS_setrlimit,
    SYS_getrusage,
    SYS_sysinfo,
    SYS_uname,
    SYS_getrandom,
    SYS_umask,
    /* files, to read */
    SYS_read,
    SYS_pread64,
    SYS_readv,
    SYS_preadv,
    SYS_preadv2,
    SYS_lseek,
    SYS_close,
    CLOSE_RANGE,
    SYS_dup,
    SYS_dup3,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    FACCESSAT2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_chdir,
    SYS_fchdir,
    SYS_fadvise64,
    SYS_readahead,
    /* and what is open to be written: pipes, /dev/null */
    SYS_write,
    SYS_pwrite64,
    SYS_writev,
    SYS_pwritev,
    SYS_pwritev2,
    /* waiting */
    SYS_pipe2,
    SYS_eventfd2,
    SYS_signalfd4,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    EPOLL_PWAIT2,
    SYS_ppoll,
    SYS_pselect6,
    SYS_recvfrom,
    SYS_shutdown,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
#ifdef SYS_rseq
    SYS_rseq,
#endif
#ifdef __x86_64__
    SYS_arch_prctl,
    SYS_time,
    SYS_alarm,
    SYS_pause,
    SYS_getpgrp,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_getdents,
    SYS_dup2,
    SYS_pipe,
    SYS_eventfd,
    SYS_signalfd,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_poll,
    SYS_select,
#endif
};

static const uint16_t ABSENT[] = {CLONE3, OPENAT2};
static const uint32_t FILE_COMMANDS[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,      F_SETFD,
                                         F_GETFL, F_SETFL,         F_GETPIPE_SZ, F_GET_SEALS};
static const uint32_t DEVICE_COMMANDS[] = {TCGETS, TIOCGWINSZ, FIOCLEX, FIONCLEX, FIONBIO, FIONREAD};
static const uint32_t PROCESS_COMMANDS[] = {
    PR_SET_NAME,       PR_GET_NAME,        PR_CAPBSET_READ,     SET_VMA,
    PR_GET_DUMPABLE,   PR_GET_SECCOMP,     PR_GET_NO_NEW_PRIVS, PR_SET_TIMERSLACK,
    PR_GET_TIMERSLACK, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE};

typedef struct {
    struct sock_filter steps[512];
    unsigned short count;
} program;

#define ERROR(number) (SECCOMP_RET_ERRNO | (number))
#define EACH(list) list, sizeof list / sizeof *list

static void add(program *filter, uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false) {
    filter->steps[filter->count++] = (struct sock_filter){code, if_true, if_false, value};
}

static void answer(program *filter, uint32_t what) { add(filter, BPF_RET | BPF_K, what, 0, 0); }
static void load(program *filter, size_t offset) { add(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0); }
static void load_number(program *filter) { load(filter, offsetof(struct seccomp_data, nr)); }

/* Half of an argument; both machines are little-endian. */
static void load_argument(program *filter, unsigned argument, unsigned half) {
    load(filter, offsetof(struct seccomp_data, args) + argument * 8 + half * 4);
}

/* Answer so if what was loaded is the value. */
static void answer_if(program *filter, uint32_t value, uint32_t what) {
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    answer(filter, what);
}

static void answer_numbers(program *filter, const uint16_t *numbers, size_t count, uint32_t what) {
    for (size_t i = 0; i < count; i++) answer_if(filter, numbers[i], what);
}

/* Begin what is for one call only, and return where; end_call() ends it, and all ends that it left are EPERM. */
static unsigned short begin_call(program *filter, uint32_t number) {
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 0);
    return filter->count;
}

static void end_call(program *filter, unsigned short begin) {
    answer(filter, ERROR(EPERM));
    filter->steps[begin - 1].jf = (uint8_t)(filter->count - begin);
}

/* A call whose (32-bit) argument has to be one of these. */
static void allow_values(program *filter, uint32_t number, unsigned argument, const uint32_t *values, size_t count) {
    unsigned short begin = begin_call(filter, number);
    load_argument(filter, argument, 0);
    for (size_t i = 0; i < count; i++) answer_if(filter, values[i], SECCOMP_RET_ALLOW);
    end_call(filter, begin);
}

/* Threads, not processes, and in no namespace of their own. */
static void allow_threads(program *filter) {
    unsigned short begin = begin_call(filter, SYS_clone);
    load_argument(filter, 0, 0);
    add(filter, BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 2, 0);
    add(filter, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
    answer(filter, SECCOMP_RET_ALLOW);
    end_call(filter, begin);
}

/* Not the ones for priorities: they reach for any thread by its number, and into the kernel's thorniest code. */
static void allow_futexes(program *filter) {
    static const uint32_t COMMANDS[] = {FUTEX_WAIT,        FUTEX_WAKE,        FUTEX_REQUEUE, FUTEX_CMP_REQUEUE,
                                        FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP};
    unsigned short begin = begin_call(filter, SYS_futex);
    load_argument(filter, 1, 0);
    add(filter, BPF_ALU | BPF_AND | BPF_K, (uint32_t)FUTEX_CMD_MASK, 0, 0);
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) answer_if(filter, COMMANDS[i], SECCOMP_RET_ALLOW);
    end_call(filter, begin);
}

/* What is sent to an address leaves the process even by a socketpair. */
static void allow_sending_to_peers(program *filter) {
    unsigned short begin = begin_call(filter, SYS_sendto);
    load_argument(filter, 4, 0);
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
    load_argument(filter, 4, 1);
    answer_if(filter, 0, SECCOMP_RET_ALLOW);
    end_call(filter, begin);
}

static void allow_opening(program *filter, uint32_t number, unsigned flags, bool may_write_files) {
    if (may_write_files) return answer_if(filter, number, SECCOMP_RET_ALLOW);
    unsigned short begin = begin_call(filter, number);
    load_argument(filter, flags, 0);
    add(filter, BPF_JMP | BPF_JSET | BPF_K, O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY), 1, 0);
    answer(filter, SECCOMP_RET_ALLOW);
    end_call(filter, begin);
}

static void compose(program *filter, bool may_write_files) {
    const uint32_t self[] = {(uint32_t)getpid(), 0}, unix_sockets[] = {AF_UNIX};
    load(filter, offsetof(struct seccomp_data, arch));
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
    answer(filter, SECCOMP_RET_KILL_PROCESS);
    load_number(filter);
    /* x32's numbers, too: they begin at 1 << 30. */
    add(filter, BPF_JMP | BPF_JGT | BPF_K, LAST_REVIEWED, 0, 1);
    answer(filter, ERROR(ENOSYS));
    allow_futexes(filter);
    answer_numbers(filter, EACH(ALLOWED), SECCOMP_RET_ALLOW);
    answer_numbers(filter, EACH(ABSENT), ERROR(ENOSYS));
#ifdef __x86_64__
    allow_opening(filter, SYS_open, 1, may_write_files);
#endif
    allow_opening(filter, SYS_openat, 2, may_write_files);
    allow_threads(filter);
    allow_sending_to_peers(filter);
    allow_values(filter, SYS_fcntl, 1, EACH(FILE_COMMANDS));
    allow_values(filter, SYS_ioctl, 1, EACH(DEVICE_COMMANDS));
    allow_values(filter, SYS_prctl, 0, EACH(PROCESS_COMMANDS));
    allow_values(filter, SYS_socketpair, 0, EACH(unix_sockets));
    allow_values(filter, SYS_kill, 0, self, 1); /* 0 is the whole group */
    allow_values(filter, SYS_tgkill, 0, self, 1);
    allow_values(filter, SYS_prlimit64, 0, EACH(self));
    allow_values(filter, SYS_sched_setaffinity, 0, EACH(self));
    answer(filter, ERROR(EPERM));
}

int hooks_confine_calls(bool may_write_files) {
    static const unsigned FLAGS[] = {SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0};
    program filter = {.count = 0};
    compose(&filter, may_write_files);
    struct sock_fprog given = {filter.count, filter.steps};
    /* Older kernels slow down whoever has a filter (against its own speculation), unless told not to. */
    for (unsigned i = 0; i < 2; i++)
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, FLAGS[i], &given) == 0) return 1;
    return errno == ENOSYS || errno == EINVAL ? 0 : -1;
}

#endif
