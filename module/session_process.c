/* Sessions that are processes, and the supervisor that forks and reaps them; the protocol is in session.h.
 *
 * The server would have the exit codes of its own children stolen by its waitpid(-1), and a fork of it would be as large
 * as its data; so one small process does both. It is spawned without a fork of the server's memory (posix_spawn). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session_parts.h"

enum { SUPERVISOR_FD = 3, ORDER_BYTES = 64, MAX_VARIABLES = 64 };

extern char **environ;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* All under mutex. The generation counts supervisors; 0 is none. */
static char *python;
static int pair = -1;
static pid_t supervisor;
static uint64_t generation, last_id;

/* Static storage, for each thread. */
static const char *reason(int error) {
    static _Thread_local char text[128];
    return strerror_r(error, text, sizeof text);
}

/* No secret of the server's environment reaches a hook. */
static bool is_handed_on(const char *variable) {
    static const char *const names[] = {"PATH=", "LANG=", "LC_", "TZ=", "TMPDIR=", "LD_LIBRARY_PATH="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0) return true;
    return false;
}

static void choose_environment(char **chosen) {
    size_t count = 0;
    for (char **variable = environ; variable != NULL && *variable != NULL && count < MAX_VARIABLES; variable++)
        if (is_handed_on(*variable)) chosen[count++] = *variable;
    chosen[count] = NULL;
}

static void set_attributes(posix_spawnattr_t *attributes) {
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
}

/* stderr stays: it is where a supervisor that cannot start says why. */
static void set_files(posix_spawn_file_actions_t *actions, int theirs) {
    posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(actions, theirs, SUPERVISOR_FD);
#if __GLIBC_PREREQ(2, 34)
    posix_spawn_file_actions_addclosefrom_np(actions, SUPERVISOR_FD + 1); /* before, the supervisor does it alone */
#endif
}

static int spawn(int theirs, pid_t *pid) {
    char *const arguments[] = {python, "-I", "-m", "gearsql.shard.supervisor", NULL};
    char *environment[MAX_VARIABLES + 1];
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    choose_environment(environment);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    set_attributes(&attributes);
    set_files(&actions, theirs);
    int problem = posix_spawn(pid, python, &actions, &attributes, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return problem;
}

static void forget_supervisor(void) {
    if (pair >= 0) close(pair);
    if (supervisor > 0) waitpid(supervisor, NULL, WNOHANG); /* often the server was faster: that is as good */
    pair = -1;
    supervisor = 0;
}

/* Holds: mutex. */
static bool is_supervised(void) {
    char byte;
    if (pair < 0) return false;
    ssize_t received = recv(pair, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return received > 0 || (received < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Holds: mutex. */
static const char *supervise(void) {
    int ends[2];
    if (is_supervised()) return NULL;
    forget_supervisor();
    if (gears_session_stopping()) return "the server shuts down";
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return reason(errno);
    int problem = spawn(ends[1], &supervisor);
    close(ends[1]);
    if (problem != 0) {
        close(ends[0]);
        supervisor = 0;
        return reason(problem);
    }
    pair = ends[0];
    generation++;
    return NULL;
}

const char *gears_session_start(const char *path) {
    pthread_mutex_lock(&mutex);
    if (python == NULL) python = strdup(path);
    const char *problem = python == NULL ? "out of memory" : supervise();
    pthread_mutex_unlock(&mutex);
    return problem;
}

/* A memfd may be -1. Holds: mutex. */
static bool order(const char *text, int memory) {
    struct iovec part = {.iov_base = (void *)text, .iov_len = strlen(text)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } rights;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (memory >= 0) {
        memset(&rights, 0, sizeof rights);
        message.msg_control = rights.bytes;
        message.msg_controllen = sizeof rights.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof memory);
        memcpy(CMSG_DATA(header), &memory, sizeof memory);
    }
    return sendmsg(pair, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* The mailbox's memory. Sealed: a hostile process that shortened it would end the server with SIGBUS. */
static int make_memory(void) {
    int memory = memfd_create("gearsql", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0) return -1;
    if (ftruncate(memory, (off_t)(GEARS_MAILBOX_HEADER + GEARS_MAILBOX_BYTES)) == 0 &&
        fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return memory;
    close(memory);
    return -1;
}

static const char *start_worker(gears_session *session, int memory) {
    char text[ORDER_BYTES];
    pthread_mutex_lock(&mutex);
    const char *problem = python == NULL ? "there is no supervisor" : supervise();
    if (problem == NULL) {
        session->id = ++last_id;
        session->supervisor = generation;
        snprintf(text, sizeof text, "START %llu %u", (unsigned long long)session->id, gears_session_memory_mb);
        if (!order(text, memory)) problem = reason(errno);
    }
    pthread_mutex_unlock(&mutex);
    return problem;
}

const char *gears_session_process_start(gears_session *session) {
    int memory = make_memory();
    if (memory < 0) return "no memory to share";
    void *mapped = mmap(NULL, GEARS_MAILBOX_HEADER + GEARS_MAILBOX_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE, memory, 0);
    const char *problem = mapped == MAP_FAILED ? "no memory to share" : NULL;
    if (problem == NULL) {
        session->mailbox = mapped;
        problem = start_worker(session, memory);
    }
    close(memory);
    return problem;
}

void gears_session_process_kill(gears_session *session) {
    char text[ORDER_BYTES];
    snprintf(text, sizeof text, "KILL %llu", (unsigned long long)session->id);
    pthread_mutex_lock(&mutex);
    if (session->supervisor == generation && pair >= 0) order(text, -1);
    pthread_mutex_unlock(&mutex);
}

bool gears_session_process_orphaned(gears_session *session) {
    pthread_mutex_lock(&mutex);
    bool orphaned = session->supervisor != generation || !is_supervised();
    pthread_mutex_unlock(&mutex);
    return orphaned;
}

void gears_session_process_stop(void) {
    pthread_mutex_lock(&mutex);
    if (pair >= 0) shutdown(pair, SHUT_RDWR);
    pthread_mutex_unlock(&mutex);
}
