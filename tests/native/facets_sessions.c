/* For test_facets.py: the table of sessions (session.c), threads (session_thread.c) and processes (session_process.c). Python
 * is fake_python.h; the supervisor is this program itself, started as Python would be. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fuzz/fake.h"
#include "facets.h"
#include "fake_python.h"
#include "session_parts.h"

enum { DIES_AT_START = 13 }; /* a supervisor that is told so many MB */

/* ---- the supervisor ----------------------------------------------------------------------------------------------- */

static int take_order(char *text, size_t room) {
    int memory = -1;
    char rights[CMSG_SPACE(sizeof memory)];
    struct iovec part = {text, room - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = rights, .msg_controllen = sizeof rights};
    ssize_t length = recvmsg(3, &message, 0);
    if (length <= 0) _exit(0);
    text[length] = 0;
    if (message.msg_controllen > 0) memcpy(&memory, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof memory);
    return memory;
}

/* What it finds itself to be is the first message. */
static void report(gears_mailbox *box, int memory, const char *order) {
    char *payload = (char *)box + GEARS_MAILBOX_HEADER;
    struct stat told;
    struct sigaction pipe;
    sigset_t mask;
    int files = 0;
    for (int fd = 4; fd < 100; fd++) files += fd != memory && fcntl(fd, F_GETFD) >= 0;
    fstat(memory, &told);
    sigaction(SIGPIPE, NULL, &pipe);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    payload += sprintf(
        payload, "%s leader=%d files=%d size=%d sealed=%d default=%d masked=%d", order, getsid(0) == getpid(), files,
        (uint64_t)told.st_size == GEARS_MAILBOX_HEADER + GEARS_MAILBOX_BYTES,
        ftruncate(memory, 0) != 0 && errno == EPERM, pipe.sa_handler == SIG_DFL, sigismember(&mask, SIGTERM));
    for (char **variable = environ; *variable != NULL; variable++) payload += sprintf(payload, " %s", *variable);
    atomic_store(&box->pid, (uint32_t)getpid());
}

static int supervise(void) {
    static gears_mailbox *boxes[100];
    for (;;) {
        char text[64];
        unsigned long long id;
        unsigned megabytes;
        int memory = take_order(text, sizeof text);
        if (sscanf(text, "START %llu %u", &id, &megabytes) == 2) {
            if (megabytes == DIES_AT_START) _exit(0);
            boxes[id] = mmap(NULL, GEARS_MAILBOX_HEADER + GEARS_MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                             memory, 0);
            report(boxes[id], memory, text);
            close(memory);
        } else if (sscanf(text, "KILL %llu", &id) == 1) {
            atomic_store(&boxes[id]->ended, GEARS_ENDED_SIGNAL + SIGKILL);
            gears_mailbox_wake(boxes[id]);
        }
    }
}

/* ---- sessions ----------------------------------------------------------------------------------------------------- */

static gears_stage stage;

static void answer_done(gears_mailbox *box) { box->kind = GEARS_DONE, box->size = 0; }

static gears_session *acquire(gears_isolation isolation, const char *key) {
    return gears_session_acquire(&stage, isolation, key, strlen(key));
}

/* One that nobody uses any more. */
static gears_session *use(gears_isolation isolation, const char *key) {
    gears_session *session = acquire(isolation, key);
    gears_session_release(session);
    return session;
}

static bool said(const char *expected) {
    bool same = stage.error != NULL && strcmp(stage.error, expected) == 0;
    if (!same) printf("said: %s\n", stage.error ? stage.error : "nothing"), failed = 1;
    free(stage.error);
    stage.error = NULL;
    return same;
}

/* Whether the function answers. */
static bool call(gears_session *session) {
    uint32_t kind = GEARS_CALL;
    uint64_t size;
    if (!gears_session_lock(session, &stage)) return false;
    session->mailbox->size = 0;
    bool answered = gears_session_exchange(session, &stage, "f", &kind, &size);
    gears_session_unlock(session);
    return answered && kind == GEARS_DONE;
}

/* To an empty table, and no thread. */
static void end_all(gears_session **sessions, size_t count) {
    for (size_t i = 0; i < count; i++) gears_session_drop(sessions[i]), gears_session_release(sessions[i]);
    while (gears_session_threads() > 0) usleep(500);
    CHECK(gears_session_count() == 0 && gears_session_process_count() == 0);
}

static void a_key_has_one_session_of_each_isolation(void) {
    gears_session_allow_main = true;
    gears_session *s[6] = {acquire(GEARS_ISOLATION_SESSION, "a"),
                           acquire(GEARS_ISOLATION_SESSION, "ab"),
                           acquire(GEARS_ISOLATION_MAIN, "a"),
                           acquire(GEARS_ISOLATION_SESSION, "a"),
                           gears_session_acquire(&stage, GEARS_ISOLATION_SESSION, "a\0b", 3),
                           gears_session_acquire(&stage, GEARS_ISOLATION_SESSION, "a\0c", 3)};
    CHECK(s[0] == s[3] && s[0]->users == 2 && gears_session_count() == 5);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++) CHECK(s[i] != s[j] || (i == 3 && j == 0));
    for (int i = 0; i < 6; i++) CHECK(call(s[i]));
    CHECK(made == 4); /* the main interpreter is there already */
    end_all(s, 6);
    CHECK(ended == 4 && gears_session_ended_total() == 4);
    gears_session_allow_main = false;
    CHECK(acquire(GEARS_ISOLATION_MAIN, "a") == NULL);
    said("GEARSLIMIT ISOLATION main needs the module argument HOOK_MAIN yes");
}

static void the_least_recently_used_makes_room(void) {
    gears_session_limit = 2;
    gears_session *a = use(GEARS_ISOLATION_SESSION, "a");
    usleep(10);
    gears_session *b = use(GEARS_ISOLATION_SESSION, "b");
    usleep(10);
    CHECK(use(GEARS_ISOLATION_SESSION, "a") == a);
    gears_session *c = acquire(GEARS_ISOLATION_SESSION, "c");
    CHECK(gears_session_count() == 2 && use(GEARS_ISOLATION_SESSION, "a") == a); /* so it was b */
    (void)b;
    CHECK(acquire(GEARS_ISOLATION_SESSION, "a") == a);
    gears_session_timeout_ms = 20;
    CHECK(acquire(GEARS_ISOLATION_SESSION, "d") == NULL); /* both are used */
    said("GEARSLIMIT all 2 sessions are in use");
    gears_session_timeout_ms = 30000;
    stage.cancelled = true;
    stage.cancel_reason = "no";
    CHECK(acquire(GEARS_ISOLATION_SESSION, "d") == NULL);
    said("GEARSCANCELLED no");
    stage.cancelled = false;
    stage.cancel_reason = NULL;
    end_all((gears_session *[]){a, c}, 2);
    gears_session_limit = 16;
}

static void a_session_that_died_is_made_anew(void) {
    raises = true;
    gears_session *dead = acquire(GEARS_ISOLATION_SESSION, "a");
    CHECK(!call(dead));
    said("GEARSHOOKDIED f(): its session ended: ImportError: no m");
    raises = false;
    gears_session *alive = acquire(GEARS_ISOLATION_SESSION, "a");
    CHECK(alive != dead && call(alive) && !call(dead));
    said("GEARSHOOKDIED another query's hook ended the session that this one shares");
    gears_session_drop(dead); /* is out already */
    CHECK(gears_session_count() == 1);
    gears_session_release(dead);
    end_all(&alive, 1);
}

static void an_interpreter_with_threads_of_a_hook_stays(void) {
    int before = ended;
    leaves_threads = true;
    end_all((gears_session *[]){acquire(GEARS_ISOLATION_SESSION, "a")}, 1);
    CHECK(ended == before && left == 1);
    leaves_threads = false;
}

/* ---- processes ---------------------------------------------------------------------------------------------------- */

static const char *report_of(const gears_session *session) {
    while (atomic_load(&session->mailbox->pid) == 0) usleep(500);
    return (const char *)session->mailbox + GEARS_MAILBOX_HEADER;
}

static void a_process_is_ordered_with_sealed_memory_and_nothing_of_the_servers(void) {
    gears_session *s[2] = {acquire(GEARS_ISOLATION_PROCESS, "a"), acquire(GEARS_ISOLATION_PROCESS, "b")};
    CHECK(gears_session_process_count() == 2 && gears_session_threads() == 0);
    const char *told = report_of(s[0]);
    CHECK(strncmp(told, "START 1 77 leader=1 files=0 size=1 sealed=1 default=1 masked=0", 62) == 0);
    CHECK(strstr(told, " PATH=") != NULL && strstr(told, "SECRET") == NULL);
    CHECK(strncmp(report_of(s[1]), "START 2 77 ", 11) == 0);
    gears_session_drop(s[0]); /* KILL 1 */
    while (atomic_load(&s[0]->mailbox->ended) == GEARS_ENDED_NOT) usleep(500);
    CHECK(s[0]->mailbox->ended == GEARS_ENDED_SIGNAL + SIGKILL && s[1]->mailbox->ended == GEARS_ENDED_NOT);
    end_all(s, 2);
}

static void processes_end_with_their_supervisor_and_another_one_begins(void) {
    gears_session *old = acquire(GEARS_ISOLATION_PROCESS, "a");
    uint32_t pid = (report_of(old), old->mailbox->pid);
    gears_session_memory_mb = DIES_AT_START;
    gears_session *fatal = acquire(GEARS_ISOLATION_PROCESS, "b");
    gears_session_memory_mb = 77;
    while (!gears_session_process_orphaned(old)) usleep(500);
    CHECK(gears_session_is_dead(old) && gears_session_is_dead(fatal));
    gears_session *made_anew = acquire(GEARS_ISOLATION_PROCESS, "a");
    CHECK(made_anew != old && !gears_session_is_dead(made_anew) && gears_session_is_dead(old));
    CHECK(strncmp(report_of(made_anew), "START 5 ", 8) == 0 && made_anew->mailbox->pid != pid); /* no id comes twice */
    gears_session_drop(old); /* the new supervisor knows none of it */
    CHECK(call(fatal) == false);
    said("GEARSHOOKDIED f(): the supervisor of processes is gone");
    end_all((gears_session *[]){old, fatal, made_anew}, 3);
}

/* An interpreter leaves memory behind: so only so many are made. */
static void after_many_interpreters_sessions_are_processes(void) {
    gears_session_ended_limit = (unsigned)gears_session_ended_total();
    gears_session *s[2] = {acquire(GEARS_ISOLATION_SESSION, "a"), NULL};
    CHECK(s[0]->is_process);
    gears_session_ended_limit = 64;
    gears_session_only_processes = true;
    s[1] = acquire(GEARS_ISOLATION_MAIN, "a");
    CHECK(s[1]->is_process && s[1] != s[0]);
    gears_session_only_processes = false;
    unsigned long long before = gears_session_ended_total();
    end_all(s, 2);
    CHECK(gears_session_ended_total() == before);
}

static void nothing_begins_when_the_server_stops(void) {
    gears_session *s[2] = {acquire(GEARS_ISOLATION_SESSION, "a"), acquire(GEARS_ISOLATION_PROCESS, "a")};
    gears_session_stop_all();
    while (!gears_session_process_orphaned(s[1])) usleep(500);
    CHECK(gears_session_stopping() && !call(s[0]));
    said("GEARSCANCELLED the server shuts down");
    CHECK(acquire(GEARS_ISOLATION_PROCESS, "b") == NULL);
    said("GEARSLIMIT no session can be started: the server shuts down");
    end_all(s, 2);
}

int main(int count, char **words) {
    char self[4096] = {0};
    if (count > 3 && strcmp(words[1], "-I") == 0 && strcmp(words[3], "gearsql.shard.supervisor") == 0)
        return supervise();
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    fake_server();
    bind_python(answer_done);
    setenv("SECRET", "of the server", 1);
    signal(SIGPIPE, SIG_IGN);
    int file = open("/dev/null", O_RDONLY); /* one that would be inherited */
    gears_session_memory_mb = 77;
    CHECK(gears_session_start(self) == NULL);
    a_key_has_one_session_of_each_isolation();
    the_least_recently_used_makes_room();
    a_session_that_died_is_made_anew();
    an_interpreter_with_threads_of_a_hook_stays();
    a_process_is_ordered_with_sealed_memory_and_nothing_of_the_servers();
    processes_end_with_their_supervisor_and_another_one_begins();
    after_many_interpreters_sessions_are_processes();
    nothing_begins_when_the_server_stops();
    close(file);
    return failed;
}
