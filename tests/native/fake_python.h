/* A Python of a few lines, for sessions that are threads: its session.main() hands each message to a function of the program. */
#ifndef GEARS_FAKE_PYTHON_H
#define GEARS_FAKE_PYTHON_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "facets.h"
#include "mailbox.h"
#include "python_api.h"
#include "session_parts.h"

static PyTypeObject error_type = {.tp_name = "ImportError"};
static PyObject nothing, error = {.ob_type = &error_type};
static PyThreadState outer;
static atomic_int made, making, ended, left; /* interpreters */
static atomic_bool raises, leaves_threads;
static void (*answer)(gears_mailbox *box); /* to the message that lies there */

static PyThreadState *make_interpreter(void) {
    CHECK(atomic_fetch_add(&making, 1) == 0); /* one at a time */
    usleep(1000);
    atomic_fetch_sub(&making, 1);
    atomic_fetch_add(&made, 1);
    return calloc(1, sizeof(PyThreadState));
}

#if PY_VERSION_HEX >= 0x030C0000
static PyStatus new_interpreter(PyThreadState **state, const PyInterpreterConfig *config) {
    (void)config;
    *state = make_interpreter();
    return (PyStatus){0};
}
static int is_exception(PyStatus status) { return (void)status, 0; }
static PyObject *get_raised(void) { return &error; }
#else
static PyThreadState *new_interpreter(int isolated) {
    CHECK(isolated);
    return make_interpreter();
}
static void fetch(PyObject **type, PyObject **value, PyObject **trace) { *type = *trace = NULL, *value = &error; }
static void normalize(PyObject **type, PyObject **value, PyObject **trace) { (void)type, (void)value, (void)trace; }
#endif

static PyGILState_STATE ensure(void) { return PyGILState_UNLOCKED; }
static void let_go(PyGILState_STATE state) { (void)state; }
static PyThreadState *get_thread_state(void) { return &outer; }
static PyThreadState *next_state(PyThreadState *state) { return leaves_threads ? state : NULL; }
static PyInterpreterState *interpreter_of(PyThreadState *state) { return (PyInterpreterState *)(void *)state; }
static PyThreadState *head_of(PyInterpreterState *state) { return (PyThreadState *)(void *)state; }
static void end_interpreter(PyThreadState *state) {
    atomic_fetch_add(&ended, 1);
    free(state);
}
static void clear(PyThreadState *state) {
    atomic_fetch_add(&left, 1);
    free(state);
}
static void delete_current(void) {}
static void restore(PyThreadState *state) { CHECK(state == &outer); }
static PyThreadState *swap(PyThreadState *state) { return state; }
static PyObject *no_object(void) { return &nothing; }
static int set_item(PyObject *dict, const char *name, PyObject *value) {
    return (void)dict, (void)name, (void)value, 0;
}
static PyObject *text_of(PyObject *object) { return object; }
static const char *utf8_of(PyObject *object, Py_ssize_t *length) {
    (void)object, *length = 4;
    return "no m";
}
static void forget(PyObject *object) { (void)object; }
static void no_error(void) {}

/* session.main: until it is told to stop. */
static PyObject *run_main(const char *code, int start, PyObject *names, PyObject *locals, PyCompilerFlags *compiler) {
    unsigned long long address;
    (void)start, (void)names, (void)locals, (void)compiler;
    CHECK(sscanf(code, "from gearsql.shard import session\nsession.main(%llu)", &address) == 1);
    gears_mailbox *box = (gears_mailbox *)(uintptr_t)address; /* NOLINT: that is what main() is told */
    if (raises) return NULL;
    while (!atomic_load(&box->stop)) {
        usleep(200);
        if (atomic_load(&box->turn) != GEARS_TURN_SESSION) continue;
        answer(box);
        atomic_store(&box->turn, GEARS_TURN_SERVER);
        gears_mailbox_wake(box);
    }
    return &nothing;
}

static void bind_python(void (*answers)(gears_mailbox *)) {
    answer = answers;
#if PY_VERSION_HEX >= 0x030C0000
    py_Py_NewInterpreterFromConfig = new_interpreter, py_PyStatus_Exception = is_exception;
    py_PyErr_GetRaisedException = get_raised;
#else
    py__Py_NewInterpreter = new_interpreter, py_PyErr_Fetch = fetch, py_PyErr_NormalizeException = normalize;
#endif
    py_PyGILState_Ensure = ensure, py_PyGILState_Release = let_go, py_PyThreadState_Get = get_thread_state;
    py_PyThreadState_Next = next_state, py_PyThreadState_GetInterpreter = interpreter_of;
    py_PyInterpreterState_ThreadHead = head_of, py_Py_EndInterpreter = end_interpreter;
    py_PyThreadState_Clear = clear, py_PyThreadState_DeleteCurrent = delete_current;
    py_PyEval_RestoreThread = restore, py_PyThreadState_Swap = swap, py_PyDict_New = no_object;
    py_PyEval_GetBuiltins = no_object, py_PyDict_SetItemString = set_item, py_PyRun_StringFlags = run_main;
    py_PyObject_Str = text_of, py_PyUnicode_AsUTF8AndSize = utf8_of, py_Py_DecRef = forget, py_PyErr_Clear = no_error;
}

#endif
