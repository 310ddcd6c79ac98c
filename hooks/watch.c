/* The watcher; see watch.h.
 *
 * It is a thread of C, not Python's: an isolated sub-interpreter of 3.11 may start none. It enters the interpreter only
 * once `stop` is set, and leaves it each time. */
#include "watch.h"

#include <signal.h>

#include "futex.h"

#define MILLISECOND INT64_C(1000000)
enum { STACK_BYTES = 512 * 1024 };

/* Runs on: watcher. Takes: the session's GIL, so a hook deep in C is not interrupted before it lets go of it. */
static void interrupt(hooks_mailbox *mailbox) {
    PyThreadState *state = PyThreadState_New(mailbox->interpreter);
    if (state == NULL) return;
    PyEval_AcquireThread(state);
    /* Asked with the GIL: behind unwatch() no exception comes. */
    if (!atomic_load(&mailbox->done)) PyThreadState_SetAsyncExc(mailbox->watched, PyExc_SystemExit);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
}

/* Runs on: watcher. GIL: not held. */
static void *watch(void *argument) {
    hooks_mailbox *mailbox = argument;
    _Atomic uint32_t *stop = &mailbox->memory->stop;
    while (!atomic_load(&mailbox->done)) {
        if (atomic_load(stop)) {
            struct timespec pause = {0, 20 * MILLISECOND};
            nanosleep(&pause, NULL);
            /* A process has nothing to tidy up, and time enough has passed for one that was idle. */
            if (mailbox->parent) _exit(0);
            if (!atomic_load(&mailbox->done)) interrupt(mailbox);
            continue;
        }
        hooks_futex_wait(stop, 0, 250 * MILLISECOND);
        if (mailbox->parent && getppid() != mailbox->parent) _exit(1);
    }
    return NULL;
}

int hooks_watch_start(hooks_mailbox *mailbox, pid_t parent) {
    if (mailbox->is_watched) return 0;
    mailbox->parent = parent;
    mailbox->watched = PyThreadState_Get()->thread_id; /* whoever made the interpreter: what SetAsyncExc looks for */
    mailbox->interpreter = PyInterpreterState_Get();
    atomic_store(&mailbox->done, 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* Signals are for the server's main thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(&mailbox->watcher, &attributes, watch, mailbox);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (problem) {
        PyErr_Format(PyExc_RuntimeError, "cannot start the watcher: %s", strerror(problem));
        return -1;
    }
    mailbox->is_watched = true;
    return 0;
}

void hooks_watch_stop(hooks_mailbox *mailbox) {
    if (!mailbox->is_watched) return;
    atomic_store(&mailbox->done, 1);
    mailbox->is_watched = false;
    hooks_futex_wake(&mailbox->memory->stop);
    Py_BEGIN_ALLOW_THREADS;
    pthread_join(mailbox->watcher, NULL);
    Py_END_ALLOW_THREADS;
}
