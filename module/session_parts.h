/* What the files of sessions share; see session.h. session.c holds the table, session_turn.c the turns, the other two
 * are how a session comes to life and to its end. */
#ifndef GEARS_SESSION_PARTS_H
#define GEARS_SESSION_PARTS_H

#include <pthread.h>

#include "session.h"

/* Whoever waits for a turn at the session; on the waiting thread's stack. */
typedef struct gears_session_waiter {
    struct gears_session_waiter *next;
    bool granted;
} gears_session_waiter;

struct gears_session {
    atomic_int references; /* the table, each stage, the session's thread */
    gears_isolation isolation;
    bool is_process; /* ISOLATION process, or any other one when processes are all that is left */
    char *key;
    size_t key_length;
    gears_mailbox *mailbox;
    atomic_bool lost; /* set under the table's mutex: out of the table, nobody waits for it */

    /* Under the table's mutex. */
    gears_session *next;
    uint64_t last_used;
    atomic_uint users; /* stages; read without it */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool busy;                                         /* under mutex */
    gears_session_waiter *first_waiter, **last_waiter; /* under mutex */
    uint64_t largest;                                  /* message since the last lock; by whoever has the turn */
    bool unanswered;                                   /* by whoever has the turn: the last exchange was left */

    /* A thread's. */
    char problem[200]; /* what main() died of; written before mailbox->ended */

    /* A process's. */
    uint64_t id, supervisor;
};

void gears_session_unref(gears_session *session);
/* Take it out of the table and end it, if it is still there. Any thread. Takes: the table's mutex. */
void gears_session_drop(gears_session *session);
/* True if nobody will ever answer there. */
bool gears_session_is_dead(gears_session *session);

/* Wake all who wait on `turn` or `stop`. */
void gears_mailbox_wake(gears_mailbox *mailbox);

/* Start the session's thread. False: no thread can be had. */
bool gears_session_thread_start(gears_session *session);
/* Tell it to end, whatever it does. Nobody waits. */
void gears_session_thread_end(gears_session *session);

/* Have the supervisor fork a process for the session, with a mailbox of shared memory. NULL, or what is wrong. */
const char *gears_session_process_start(gears_session *session);
void gears_session_process_kill(gears_session *session);
/* True if the supervisor that the session belongs to is gone, and so its process. */
bool gears_session_process_orphaned(gears_session *session);
/* Close the supervisor's pair: it kills its processes and ends. */
void gears_session_process_stop(void);

#endif
