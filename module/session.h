/* Sessions: the isolated Pythons of this server, each with a mailbox.
 *
 * A session is a thread that owns a sub-interpreter (ISOLATION session), a process beside the server (process), or a
 * thread in the main interpreter (main, only if a module argument allows it). It is found by its key, made at its
 * first hook, and shared by the stages with that key, a message at a time. At most `gears_session_limit` live at
 * once; the least recently used idle one is ended for a new one. */
#ifndef GEARS_SESSION_H
#define GEARS_SESSION_H

#include "function.h"
#include "mailbox.h"
#include "stage.h"

typedef struct gears_session gears_session;

extern unsigned gears_session_limit;        /* SESSIONS, default 16 */
extern unsigned gears_session_ended_limit;  /* SESSIONS_ENDED, default 64: beyond, new sessions are processes */
extern unsigned gears_session_timeout_ms;   /* HOOK_TIMEOUT_MS, default 30000: of one message */
extern unsigned gears_session_memory_mb;    /* HOOK_MEMORY, default 1024: a process's RLIMIT_AS beyond its start */
extern bool gears_session_allow_main;       /* HOOK_MAIN yes|no, default no */
extern bool gears_session_only_processes;   /* HOOK_PROCESS yes|no, default no: ISOLATION process for all */

/* Start the supervisor of processes. Runs on: main thread, once, in OnLoad, before any other thread. NULL or the problem. */
const char *gears_session_start(const char *python);

/* The session with this key, made if need be; NULL with the stage failed. Runs on: worker thread. */
gears_session *gears_session_acquire(gears_stage *stage, gears_isolation isolation, const char *key, size_t length);
void gears_session_release(gears_session *session);

/* Exclusive use for one exchange; false with the stage failed (cancelled, session lost). The payload of the mailbox
 * may be written after. Runs on: worker thread. */
bool gears_session_lock(gears_session *session, gears_stage *stage);
void gears_session_unlock(gears_session *session);
gears_mailbox *gears_session_mailbox(gears_session *session);

/* Give the turn to the session and wait until it comes back: true. False with the stage failed and the session
 * abandoned: the deadline passed (GEARSHOOKTIME), the session died (GEARSHOOKDIED), or the stage was cancelled.
 * Holds no lock of the server and no GIL. Runs on: worker thread, between lock and unlock. */
bool gears_session_exchange(gears_session *session, gears_stage *stage);

/* For INFO and STATUS: no lock. */
size_t gears_session_count(void);
size_t gears_session_process_count(void);
unsigned long long gears_session_ended_total(void);

/* The server shuts down: nobody waits for a session any more, processes are killed. Runs on: main thread. */
void gears_session_stop_all(void);

#endif
