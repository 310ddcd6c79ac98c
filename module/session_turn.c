/* Turns at a session's mailbox: who may use it, and the wait for an answer; see session.h. */
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"
#include "reply.h"
#include "session_parts.h"

enum { STEP_MS = 10, GRACE_MS = 50, SHARED_GRACE_MS = 2000, ENDING_MS = 2000 };
#define KEPT_BYTES ((uint64_t)16 << 20)

/* Shared memory, so no FUTEX_PRIVATE_FLAG. */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, unsigned milliseconds) {
    struct timespec step = {.tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    syscall(SYS_futex, word, FUTEX_WAIT, value, &step, NULL, 0);
}

void gears_mailbox_wake(gears_mailbox *mailbox) {
    syscall(SYS_futex, &mailbox->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    if (atomic_load(&mailbox->stop)) syscall(SYS_futex, &mailbox->stop, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

gears_mailbox *gears_session_mailbox(gears_session *session) { return session->mailbox; }

static bool is_cancelled(gears_stage *stage) {
    return gears_session_stopping() || (!stage->left && atomic_load_explicit(&stage->cancelled, memory_order_relaxed));
}

void gears_session_fail_cancelled(gears_stage *stage) {
    if (stage->cancel_reason != NULL) gears_stage_fail_cancelled(stage);
    gears_stage_fail(stage, "GEARSCANCELLED the server shuts down");
}

static void fail_escaped(gears_stage *stage, const char *code, const char *text) {
    char *escaped = gears_escape(text, strlen(text), 1024, false);
    gears_stage_fail(stage, "%s %s", code, escaped ? escaped : "out of memory");
    free(escaped);
}

/* ---- whose turn ----------------------------------------------------------------------------------------------- */

/* Holds: the session's mutex. */
static void leave_queue(gears_session *session, gears_session_waiter *self) {
    gears_session_waiter **link = &session->first_waiter;
    while (*link != self) link = &(*link)->next;
    *link = self->next;
    if (session->last_waiter == &self->next) session->last_waiter = link;
}

/* Holds: the session's mutex. Passed on, not set free: who asks again at once would always be the first. */
static void pass_on(gears_session *session) {
    gears_session_waiter *next = session->first_waiter;
    session->busy = next != NULL;
    if (next == NULL) return;
    leave_queue(session, next);
    next->granted = true;
    pthread_cond_broadcast(&session->changed);
}

static void wait_a_step(gears_session *session) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += STEP_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&session->changed, &session->mutex, &until);
}

/* Holds: the session's mutex. True: it is this thread's turn. */
static bool queue_up(gears_session *session, gears_stage *stage) {
    gears_session_waiter self = {.next = NULL, .granted = false};
    *session->last_waiter = &self;
    session->last_waiter = &self.next;
    while (!self.granted && !is_cancelled(stage) && !atomic_load(&session->lost)) wait_a_step(session);
    if (!self.granted) leave_queue(session, &self);
    return self.granted;
}

bool gears_session_lock(gears_session *session, gears_stage *stage) {
    pthread_mutex_lock(&session->mutex);
    bool mine = !session->busy || queue_up(session, stage);
    bool lost = atomic_load(&session->lost), usable = mine && !lost && !is_cancelled(stage);
    if (mine) session->busy = true;
    if (mine && !usable) pass_on(session);
    pthread_mutex_unlock(&session->mutex);
    if (usable) return true;
    if (lost)
        fail_escaped(stage, "GEARSHOOKDIED", "another query's hook ended the session that this one shares");
    else
        gears_session_fail_cancelled(stage);
    return false;
}

/* A mailbox that was once full would keep its pages for ever. */
static void give_pages_back(gears_session *session) {
    if (session->largest <= KEPT_BYTES) return;
    uint64_t length = (session->largest - KEPT_BYTES + GEARS_MAILBOX_HEADER - 1) &
                      ~(uint64_t)(GEARS_MAILBOX_HEADER - 1);
    madvise((char *)session->mailbox + GEARS_MAILBOX_HEADER + KEPT_BYTES, length, MADV_REMOVE);
    session->largest = 0;
}

void gears_session_unlock(gears_session *session) {
    if (!atomic_load(&session->lost)) give_pages_back(session); /* a lost one may be reading them */
    pthread_mutex_lock(&session->mutex);
    pass_on(session);
    pthread_mutex_unlock(&session->mutex);
}

/* ---- the wait for an answer ----------------------------------------------------------------------------------- */

typedef enum { ANSWERED, LATE, DIED, CANCELLED } outcome;

/* Until the deadline, or until `stage` is cancelled; NULL: nobody can cancel any more. */
static outcome wait_for_turn(gears_session *session, gears_stage *stage, uint64_t deadline) {
    gears_mailbox *mailbox = session->mailbox;
    while (atomic_load(&mailbox->turn) != GEARS_TURN_SERVER) {
        uint64_t now = gears_lock_now();
        if (stage != NULL ? is_cancelled(stage) : gears_session_stopping()) return CANCELLED;
        if (gears_session_is_dead(session)) return DIED;
        if (now >= deadline) return LATE;
        uint64_t left = (deadline - now + 999) / 1000;
        futex_wait(&mailbox->turn, GEARS_TURN_SESSION, left < STEP_MS ? (unsigned)left : STEP_MS);
    }
    return ANSWERED;
}

static void fail_late(gears_stage *stage, const char *function, unsigned milliseconds) {
    char text[256];
    snprintf(text, sizeof text, "%s() did not answer within %u ms", function, milliseconds);
    fail_escaped(stage, "GEARSHOOKTIME", text);
}

static void describe_end(gears_session *session, char *text, size_t size) {
    uint32_t ended = atomic_load(&session->mailbox->ended);
    if (ended == GEARS_ENDED_NOT)
        snprintf(text, size, "the supervisor of processes is gone");
    else if (ended == GEARS_ENDED_MEMORY)
        snprintf(text, size, "out of memory");
    else if (ended >= GEARS_ENDED_EXIT)
        snprintf(text, size, "exit %u", ended - GEARS_ENDED_EXIT);
    else if (ended >= GEARS_ENDED_SIGNAL && sigabbrev_np((int)(ended - GEARS_ENDED_SIGNAL)) != NULL)
        snprintf(text, size, "killed by SIG%s", sigabbrev_np((int)(ended - GEARS_ENDED_SIGNAL)));
    else if (ended >= GEARS_ENDED_SIGNAL)
        snprintf(text, size, "killed by signal %u", ended - GEARS_ENDED_SIGNAL);
    else
        snprintf(text, size, "its session ended%s%s", *session->problem ? ": " : "", session->problem);
}

static void fail_died(gears_session *session, gears_stage *stage, const char *function) {
    char end[256], text[384];
    describe_end(session, end, sizeof end);
    snprintf(text, sizeof text, "%s(): %s", function, end);
    fail_escaped(stage, "GEARSHOOKDIED", text);
}

/* What came back is read once, since a process may write to it at any time. */
static bool take_answer(gears_session *session, gears_stage *stage, const char *function, uint32_t *kind,
                        uint64_t *size) {
    char text[256];
    *kind = *(volatile uint32_t *)&session->mailbox->kind;
    *size = *(volatile uint64_t *)&session->mailbox->size;
    if (*kind >= GEARS_DONE && *kind <= GEARS_LOG && *size <= GEARS_MAILBOX_BYTES) {
        if (*size > session->largest) session->largest = *size;
        return true;
    }
    snprintf(text, sizeof text, "%s(): its session sent no answer of ours", function);
    fail_escaped(stage, "GEARSHOOKDIED", text);
    return false;
}

/* An EXECUTE or LOG is not the end of the call. */
static bool is_between_calls(uint32_t kind) { return kind != GEARS_EXECUTE && kind != GEARS_LOG; }

static void give_turn(gears_session *session) {
    atomic_store(&session->mailbox->turn, GEARS_TURN_SESSION);
    gears_mailbox_wake(session->mailbox);
}

bool gears_session_exchange(gears_session *session, gears_stage *stage, const char *function, uint32_t *kind,
                            uint64_t *size) {
    gears_mailbox *mailbox = session->mailbox;
    unsigned milliseconds = stage->ending && gears_session_timeout_ms > ENDING_MS ? ENDING_MS
                                                                                  : gears_session_timeout_ms;
    if (mailbox->size > session->largest) session->largest = mailbox->size;
    give_turn(session);
    outcome what = wait_for_turn(session, stage, gears_lock_now() + (uint64_t)milliseconds * 1000);
    bool answered = what == ANSWERED && take_answer(session, stage, function, kind, size);
    bool cancelled = is_cancelled(stage);
    if (answered && !cancelled) return true;
    if (what == DIED)
        fail_died(session, stage, function);
    else if (what == LATE)
        fail_late(stage, function, milliseconds);
    else
        gears_session_fail_cancelled(stage);
    bool between_calls = answered && is_between_calls(*kind);
    session->unanswered = (answered || what == CANCELLED) && !between_calls && !gears_session_stopping();
    if (!session->unanswered && !between_calls) gears_session_abandon(session);
    return false;
}

void gears_session_leave_wish(gears_session *session) { session->unanswered = true; }

bool gears_session_unanswered(gears_session *session) { return session->unanswered; }

/* What the call of a cancelled stage wants of the server is an error to it: it may end by that. */
static void refuse_wish(gears_session *session, uint32_t kind) {
    gears_mailbox *mailbox = session->mailbox;
    char *payload = (char *)mailbox + GEARS_MAILBOX_HEADER;
    gears_batch_writer writer = {payload, payload + GEARS_MAILBOX_BYTES, false};
    if (kind == GEARS_EXECUTE) gears_reply_error(&writer, "ERR the query was cancelled");
    mailbox->kind = GEARS_ANSWER;
    mailbox->size = (uint64_t)(writer.at - payload);
    give_turn(session);
}

/* Longer if other stages would lose theirs with the session. */
void gears_session_drain(gears_session *session) {
    uint64_t grace_ms = atomic_load(&session->users) > 1 ? SHARED_GRACE_MS : GRACE_MS;
    uint64_t deadline = gears_lock_now() + grace_ms * 1000;
    if (!session->unanswered) return;
    session->unanswered = false;
    while (gears_lock_now() < deadline && wait_for_turn(session, NULL, deadline) == ANSWERED) {
        uint32_t kind = *(volatile uint32_t *)&session->mailbox->kind;
        if (is_between_calls(kind)) return;
        refuse_wish(session, kind);
    }
    gears_session_abandon(session);
}

void gears_session_abandon(gears_session *session) { gears_session_drop(session); }
