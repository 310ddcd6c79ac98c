/* Sessions that are threads, each the only one that runs in its interpreter; see session.h.
 *
 * Nobody waits for such a thread: it may be in a loop for ever. It holds a reference to its session, so the mailbox
 * stays as long as it runs. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "python_api.h"
#include "session_parts.h"

enum { STACK_BYTES = 16 << 20 };

static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER; /* one interpreter is made at a time */
static atomic_size_t threads;                              /* those of ended sessions, too, until they are gone */

size_t gears_session_threads(void) { return atomic_load(&threads); }

#if PY_VERSION_HEX >= 0x030C0000
static PyThreadState *new_interpreter(void) {
    const bool own = PY_VERSION_HEX >= 0x030D0000;
    PyInterpreterConfig config = {
        .use_main_obmalloc = !own,
        .allow_fork = 0,
        .allow_exec = 0,
        .allow_threads = own,
        .allow_daemon_threads = 0,
        .check_multi_interp_extensions = own,
        .gil = own ? PyInterpreterConfig_OWN_GIL : PyInterpreterConfig_SHARED_GIL,
    };
    PyThreadState *state = NULL;
    PyStatus status = py_Py_NewInterpreterFromConfig(&state, &config);
    return py_PyStatus_Exception(status) ? NULL : state;
}

static PyObject *raised(void) { return py_PyErr_GetRaisedException(); }
#else
/* Isolated: no threads, no fork, no subprocesses. Not being so, a daemon thread of a hook would make the interpreter's
 * end a fatal error, and a fork would be a second server. */
static PyThreadState *new_interpreter(void) { return py__Py_NewInterpreter(1); }

static PyObject *raised(void) {
    PyObject *type, *value, *traceback;
    py_PyErr_Fetch(&type, &value, &traceback);
    py_PyErr_NormalizeException(&type, &value, &traceback);
    if (type) py_Py_DecRef(type);
    if (traceback) py_Py_DecRef(traceback);
    return value;
}
#endif

/* PyErr_Print would end the server at a SystemExit. */
static void keep_problem(gears_session *session) {
    PyObject *exception = raised(), *text = exception ? py_PyObject_Str(exception) : NULL;
    Py_ssize_t length = 0;
    const char *bytes = text ? py_PyUnicode_AsUTF8AndSize(text, &length) : NULL;
    if (bytes == NULL) bytes = "", length = 0;
    snprintf(session->problem, sizeof session->problem, "%s: %.*s", exception ? Py_TYPE(exception)->tp_name : "?",
             (int)(length < 160 ? length : 160), bytes);
    if (text) py_Py_DecRef(text);
    if (exception) py_Py_DecRef(exception);
    py_PyErr_Clear();
}

/* Holds: the session's GIL. */
static void run_main(gears_session *session) {
    char code[128];
    snprintf(code, sizeof code, "from gearsql.shard import session\nsession.main(%llu)\n",
             (unsigned long long)(uintptr_t)session->mailbox);
    PyObject *names = py_PyDict_New(), *result = NULL;
    if (names != NULL && py_PyDict_SetItemString(names, "__builtins__", py_PyEval_GetBuiltins()) == 0)
        result = py_PyRun_StringFlags(code, Py_file_input, names, names, NULL);
    if (result == NULL) keep_problem(session);
    if (result != NULL) py_Py_DecRef(result);
    if (names != NULL) py_Py_DecRef(names);
}

static void say_ended(gears_session *session) {
    uint32_t not_yet = GEARS_ENDED_NOT;
    atomic_compare_exchange_strong(&session->mailbox->ended, &not_yet, GEARS_ENDED_RETURNED);
    gears_mailbox_wake(session->mailbox);
}

/* An interpreter with threads that hooks left behind cannot be ended (CPython calls that a fatal error): it stays. */
static void end_interpreter(PyThreadState *own, PyThreadState *outer) {
    PyInterpreterState *interpreter = py_PyThreadState_GetInterpreter(own);
    bool alone = py_PyInterpreterState_ThreadHead(interpreter) == own && py_PyThreadState_Next(own) == NULL;
    if (!alone) {
        py_PyThreadState_Clear(own);
        py_PyThreadState_DeleteCurrent();
        py_PyEval_RestoreThread(outer);
        return;
    }
    py_Py_EndInterpreter(own);
#if PY_VERSION_HEX >= 0x030C0000
    py_PyEval_RestoreThread(outer); /* ending gave the GIL away */
#else
    py_PyThreadState_Swap(outer); /* ending kept it */
#endif
}

/* Below 3.13 all interpreters share C's decimal, and with it the ContextVar of its precision, which remembers whom it told
 * its value last by the number of a thread that is unique within an interpreter only: a session would compute with the
 * context of another, also one that is freed. So the thread of each has a number of its own. Holds: `making`. */
static void make_unique(PyThreadState *state) {
    static uint64_t sessions;
    state->id = ++sessions << 32;
}

/* Takes: main GIL, then the session's. */
static void *thread_main(void *data) {
    gears_session *session = data;
    prctl(PR_SET_NAME, "gearsql-hook");
    bool sub = session->isolation == GEARS_ISOLATION_SESSION;
    if (sub) pthread_mutex_lock(&making);
    PyGILState_STATE held = py_PyGILState_Ensure();
    PyThreadState *outer = py_PyThreadState_Get(), *own = sub ? new_interpreter() : outer;
    if (sub && own != NULL) make_unique(own);
    if (sub) pthread_mutex_unlock(&making);
    if (own != NULL)
        run_main(session);
    else
        snprintf(session->problem, sizeof session->problem, "Python made no interpreter");
    say_ended(session);
    if (own != NULL && own != outer) end_interpreter(own, outer);
    py_PyGILState_Release(held);
    gears_session_unref(session);
    atomic_fetch_sub(&threads, 1);
    return NULL;
}

bool gears_session_thread_start(gears_session *session) {
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t most, before;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* Signals are the server's main thread's, but for those of a crash, which the server reports. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigfillset(&most);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&most, faults[i]);
    pthread_sigmask(SIG_SETMASK, &most, &before);
    atomic_fetch_add(&session->references, 1);
    atomic_fetch_add(&threads, 1);
    bool started = pthread_create(&thread, &attributes, thread_main, session) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (started) return true;
    atomic_fetch_sub(&threads, 1);
    gears_session_unref(session);
    return false;
}

void gears_session_thread_end(gears_session *session) {
    atomic_store(&session->mailbox->stop, 1);
    gears_mailbox_wake(session->mailbox);
}
