/* Sessions: the isolated Pythons of this server, each with a mailbox.
 *
 * A session is a thread that owns a sub-interpreter (ISOLATION session), a process beside the server (process), or a
 * thread in the main interpreter (main, only if a module argument allows it). It is found by its key, made at its
 * first hook, and shared by the stages with that key, a message at a time. At most `gears_session_limit` live at
 * once; the least recently used idle one is ended for a new one.
 *
 * A thread runs `from gearsql.shard import session; session.main(<address of the mailbox>)`, and a process the same;
 * main() waits on `turn` (a futex in shared memory: never FUTEX_PRIVATE), answers, and returns once it sees `stop`.
 * An abandoned session of a thread gets `stop`, with a wake on `turn` and on `stop`; main() has a watcher that interrupts
 * its hook then. What is deep in C keeps its thread, and nobody waits for it.
 *
 * Processes belong to the supervisor, `<python> -I -m gearsql.shard.supervisor`, spawned at load (and anew, when it is
 * gone, at the next need) in a session of its own (setsid), with default signals, an empty mask, no file but
 * /dev/null, stderr, and, as fd 3, its end of a SOCK_SEQPACKET pair. One datagram is one order, ASCII without an end:
 *   'START <id> <memory_mb>'  with one memfd (SCM_RIGHTS) of GEARS_MAILBOX_HEADER + GEARS_MAILBOX_BYTES bytes, sealed
 *                             against shrinking and growing: fork a worker that maps it, sets mailbox->pid, and runs
 *                             session.main. Its RLIMIT_AS is what it has mapped then (mailbox included) + memory_mb.
 *   'KILL <id>'               SIGKILL to that worker; an id that is unknown or gone is nothing
 * Ids are decimal numbers and never used twice. The supervisor sends nothing. When a worker has died, it writes
 * `ended` (GEARS_ENDED_SIGNAL + n, GEARS_ENDED_EXIT + n; GEARS_ENDED_MEMORY if it knows), wakes `turn` (all waiters), and
 * unmaps. When fd 3 is at its end, or getppid() is another than at the start, it kills all workers and ends. A worker
 * closes fd 3 and dies with the supervisor (PR_SET_PDEATHSIG). The server never waits for a pid: it reads `ended`, and
 * the end of its own end of the pair. */
#ifndef GEARS_SESSION_H
#define GEARS_SESSION_H

#include "function.h"
#include "mailbox.h"
#include "stage.h"

typedef struct gears_session gears_session;

extern unsigned gears_session_limit;       /* SESSIONS, default 16 */
extern unsigned gears_session_ended_limit; /* SESSIONS_ENDED, default 64: beyond, new sessions are processes */
extern unsigned gears_session_timeout_ms;  /* HOOK_TIMEOUT_MS, default 30000: of one message */
extern unsigned gears_session_memory_mb;   /* HOOK_MEMORY, default 1024: a process's RLIMIT_AS beyond its start */
extern bool gears_session_allow_main;      /* HOOK_MAIN yes|no, default no */
extern bool gears_session_only_processes;  /* HOOK_PROCESS yes|no, default no: ISOLATION process for all */

/* Start the supervisor of processes. Runs on: main thread, once, in OnLoad, after Python's start. Not having one is no
 * problem of the load: it is tried again when a process is needed. NULL or the problem. */
const char *gears_session_start(const char *python);

/* The session with this key, made if need be; NULL with the stage failed. Runs on: worker thread. */
gears_session *gears_session_acquire(gears_stage *stage, gears_isolation isolation, const char *key, size_t length);
void gears_session_release(gears_session *session);

/* Exclusive use for one exchange; false with the stage failed (cancelled, session lost). The payload of the mailbox
 * may be written after. Whoever waits gets its turn in the order of asking. Runs on: worker thread.
 *
 * While stage->left is set, lock and exchange do not look at stage->cancelled, so that END reaches a session of a
 * cancelled stage; while stage->ending is, the deadline is 2 s. unlock is right after a failed exchange, too, but for
 * one that was left unanswered. */
bool gears_session_lock(gears_session *session, gears_stage *stage);
void gears_session_unlock(gears_session *session);
gears_mailbox *gears_session_mailbox(gears_session *session);

/* Give the turn to the session and wait until it comes back: true. False with the stage failed and the session
 * abandoned: the deadline passed (GEARSHOOKTIME) or the session died (GEARSHOOKDIED). False as well, within 10 ms,
 * when the stage was cancelled: then the session may be at work still (unanswered), and drain is to come before unlock.
 * `function` is whom the errors name. mailbox->size is what is sent; what came back is checked against the mailbox's
 * size, and written to *size and *kind: read these, not the mailbox's, which a hostile process may change at any time.
 * Holds no lock of the server and no GIL. Runs on: worker thread, between lock and unlock. */
bool gears_session_exchange(gears_session *session, gears_stage *stage, const char *function, uint32_t *kind,
                            uint64_t *size);

/* Whether the session still works on an exchange that a cancelled stage left. Between lock and unlock. */
bool gears_session_unanswered(gears_session *session);
/* Leave an EXECUTE or LOG, which came from an exchange of a stage that is cancelled, to drain. Between lock and unlock. */
void gears_session_leave_wish(gears_session *session);
/* Wait for that answer, which nobody wants, for 50 ms (2 s if other stages share the session), then abandon the
 * session; meanwhile an EXECUTE is answered by an error. Not on the stage's worker: nobody waits for a cancelled query.
 * Between lock and unlock. */
void gears_session_drain(gears_session *session);

/* The session broke the format: nobody gets it any more. stage->error is the caller's. Between lock and unlock. */
void gears_session_abandon(gears_session *session);

/* Whether the server shuts down: then nobody waits for anything. */
bool gears_session_stopping(void);
/* Set the error of a stage that was cancelled, or that the server's end ends. */
void gears_session_fail_cancelled(gears_stage *stage);

/* For INFO and STATUS: no lock. */
size_t gears_session_count(void);
size_t gears_session_process_count(void);
unsigned long long gears_session_ended_total(void);

/* Threads that may be inside Python, whoever has given them up. Any thread; no lock. */
size_t gears_session_threads(void);

/* The server shuts down: nobody waits for a session any more, processes are killed. Runs on: main thread. */
void gears_session_stop_all(void);

#endif
