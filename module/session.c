/* The table of sessions: found by key, made at need, ended for others; see session.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "lock.h"
#include "session_parts.h"

enum { STEP_MS = 5 };

unsigned gears_session_limit = 16, gears_session_ended_limit = 64, gears_session_timeout_ms = 30000,
         gears_session_memory_mb = 1024;
bool gears_session_allow_main, gears_session_only_processes;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* before a session's own mutex and the supervisor's */
static gears_session *table;                              /* under mutex; each entry holds a reference */
static atomic_size_t live, live_processes;
static atomic_ullong ended_interpreters;
static atomic_bool stopping;

size_t gears_session_count(void) { return atomic_load(&live); }
size_t gears_session_process_count(void) { return atomic_load(&live_processes); }
unsigned long long gears_session_ended_total(void) { return atomic_load(&ended_interpreters); }
bool gears_session_stopping(void) { return atomic_load(&stopping); }

void gears_session_unref(gears_session *session) {
    if (atomic_fetch_sub(&session->references, 1) != 1) return;
    if (session->mailbox != NULL) munmap(session->mailbox, GEARS_MAILBOX_HEADER + GEARS_MAILBOX_BYTES);
    pthread_cond_destroy(&session->changed);
    pthread_mutex_destroy(&session->mutex);
    free(session->key);
    free(session);
}

/* ---- the end of a session; all hold the table's mutex ------------------------------------------------------------ */

static void unlink_session(gears_session *session) {
    gears_session **link = &table;
    while (*link != session) link = &(*link)->next;
    *link = session->next;
    atomic_store(&session->lost, true);
    atomic_fetch_sub(&live, 1);
    if (session->is_process) atomic_fetch_sub(&live_processes, 1);
}

static void end_session(gears_session *session) {
    unlink_session(session);
    if (session->is_process)
        gears_session_process_kill(session);
    else
        gears_session_thread_end(session);
    if (!session->is_process && session->isolation == GEARS_ISOLATION_SESSION) atomic_fetch_add(&ended_interpreters, 1);
    gears_session_unref(session);
}

void gears_session_drop(gears_session *session) {
    pthread_mutex_lock(&mutex);
    if (!atomic_load(&session->lost)) end_session(session);
    pthread_mutex_unlock(&mutex);
}

static bool end_least_recently_used(void) {
    gears_session *oldest = NULL;
    for (gears_session *session = table; session != NULL; session = session->next)
        if (atomic_load(&session->users) == 0 && (oldest == NULL || session->last_used < oldest->last_used))
            oldest = session;
    if (oldest == NULL) return false;
    end_session(oldest);
    return true;
}

/* ---- finding and making; all hold the table's mutex -------------------------------------------------------------- */

bool gears_session_is_dead(gears_session *session) {
    return atomic_load(&session->mailbox->ended) != GEARS_ENDED_NOT ||
           (session->is_process && gears_session_process_orphaned(session));
}

static gears_session *find(gears_isolation isolation, const char *key, size_t length) {
    gears_session *session = table;
    while (session != NULL &&
           (session->isolation != isolation || session->key_length != length || memcmp(session->key, key, length) != 0))
        session = session->next;
    if (session == NULL || !gears_session_is_dead(session)) return session;
    end_session(session); /* it died while nobody looked */
    return NULL;
}

static gears_session *new_session(gears_isolation isolation, const char *key, size_t length) {
    gears_session *session = calloc(1, sizeof *session);
    char *copy = malloc(length + 1);
    if (session == NULL || copy == NULL) {
        free(session);
        free(copy);
        return NULL;
    }
    memcpy(copy, key, length);
    session->key = copy;
    session->key_length = length;
    session->isolation = isolation;
    session->last_waiter = &session->first_waiter;
    atomic_store(&session->references, 1);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&session->mutex, NULL);
    pthread_cond_init(&session->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return session;
}

/* Untouched pages of the mailbox cost nothing. */
static const char *start_thread(gears_session *session) {
    void *mapped = mmap(NULL, GEARS_MAILBOX_HEADER + GEARS_MAILBOX_BYTES, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return "no address space for a mailbox";
    session->mailbox = mapped;
    return gears_session_thread_start(session) ? NULL : "no thread";
}

/* An ended interpreter leaves memory behind, so only so many are made; a process leaves nothing. */
static bool must_be_process(gears_isolation isolation) {
    return isolation == GEARS_ISOLATION_PROCESS || gears_session_only_processes ||
           (isolation == GEARS_ISOLATION_SESSION && gears_session_ended_total() >= gears_session_ended_limit);
}

static gears_session *make(gears_stage *stage, gears_isolation isolation, const char *key, size_t length) {
    gears_session *session = new_session(isolation, key, length);
    if (session == NULL) {
        gears_stage_fail(stage, "GEARSLIMIT out of memory");
        return NULL;
    }
    session->is_process = must_be_process(isolation);
    const char *problem = session->is_process ? gears_session_process_start(session) : start_thread(session);
    if (problem != NULL) {
        gears_stage_fail(stage, "GEARSLIMIT no session can be started: %s", problem);
        gears_session_unref(session);
        return NULL;
    }
    session->next = table;
    table = session;
    atomic_fetch_add(&live, 1);
    if (session->is_process) atomic_fetch_add(&live_processes, 1);
    return session;
}

/* ---- for stages --------------------------------------------------------------------------------------------------- */

/* Holds: the table's mutex, let go while it sleeps. False: the stage was cancelled, or has waited long enough. */
static bool wait_for_room(gears_stage *stage, uint64_t deadline) {
    const struct timespec step = {.tv_sec = 0, .tv_nsec = STEP_MS * 1000000L};
    if (atomic_load(&stage->cancelled) || gears_session_stopping()) {
        gears_session_fail_cancelled(stage);
        return false;
    }
    if (gears_lock_now() >= deadline) {
        gears_stage_fail(stage, "GEARSLIMIT all %u sessions are in use", gears_session_limit);
        return false;
    }
    pthread_mutex_unlock(&mutex);
    nanosleep(&step, NULL);
    pthread_mutex_lock(&mutex);
    return true;
}

static gears_session *find_or_make(gears_stage *stage, gears_isolation isolation, const char *key, size_t length) {
    uint64_t deadline = gears_lock_now() + (uint64_t)gears_session_timeout_ms * 1000;
    gears_session *session;
    while ((session = find(isolation, key, length)) == NULL && atomic_load(&live) >= gears_session_limit &&
           !end_least_recently_used())
        if (!wait_for_room(stage, deadline)) return NULL;
    return session != NULL ? session : make(stage, isolation, key, length);
}

gears_session *gears_session_acquire(gears_stage *stage, gears_isolation isolation, const char *key, size_t length) {
    if (isolation == GEARS_ISOLATION_MAIN && !gears_session_allow_main && !gears_session_only_processes) {
        gears_stage_fail(stage, "GEARSLIMIT ISOLATION main needs the module argument HOOK_MAIN yes");
        return NULL;
    }
    pthread_mutex_lock(&mutex);
    gears_session *session = find_or_make(stage, isolation, key, length);
    if (session != NULL) {
        atomic_fetch_add(&session->users, 1);
        atomic_fetch_add(&session->references, 1);
    }
    pthread_mutex_unlock(&mutex);
    return session;
}

void gears_session_release(gears_session *session) {
    pthread_mutex_lock(&mutex);
    atomic_fetch_sub(&session->users, 1);
    session->last_used = gears_lock_now();
    pthread_mutex_unlock(&mutex);
    gears_session_unref(session);
}

/* Threads are left where they are; module.c sees to it that the server's exit takes nothing away from under them. */
void gears_session_stop_all(void) {
    atomic_store(&stopping, true);
    pthread_mutex_lock(&mutex);
    for (gears_session *session = table; session != NULL; session = session->next) gears_mailbox_wake(session->mailbox);
    pthread_mutex_unlock(&mutex);
    gears_session_process_stop();
}
