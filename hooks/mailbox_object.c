/* The mailbox as an object: attach, wait, send; see mailbox_object.h. */
#include "mailbox_object.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "column.h"
#include "futex.h"
#include "watch.h"

#define SECOND INT64_C(1000000000)
#define KEPT_BYTES ((uint64_t)16 << 20)
#define ALL_BYTES (GEARS_MAILBOX_HEADER + GEARS_MAILBOX_BYTES)

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

const unsigned char *hooks_mailbox_message(const hooks_mailbox *mailbox, uint64_t *size) {
    if (mailbox->memory == NULL || mailbox->header_only) {
        PyErr_SetString(PyExc_ValueError, "the mailbox is closed");
        return NULL;
    }
    *size = *(volatile uint64_t *)&mailbox->memory->size;
    if (*size <= GEARS_MAILBOX_BYTES) return hooks_mailbox_payload(mailbox);
    PyErr_SetString(PyExc_ValueError, "the message is malformed");
    return NULL;
}

static PyObject *make(PyTypeObject *cls, gears_mailbox *memory, size_t mapped, uint32_t own) {
    hooks_mailbox *mailbox = (hooks_mailbox *)cls->tp_alloc(cls, 0);
    if (mailbox == NULL) {
        if (mapped) munmap(memory, mapped);
        return NULL;
    }
    mailbox->memory = memory;
    mailbox->mapped = mapped;
    mailbox->own = own;
    mailbox->is_held = own == GEARS_TURN_SERVER;
    return (PyObject *)mailbox;
}

static PyObject *mailbox_new(PyTypeObject *cls, PyObject *arguments, PyObject *keywords) {
    static char *NAMES[] = {"address", NULL};
    PyObject *address;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!:Mailbox", NAMES, &PyLong_Type, &address)) return NULL;
    void *memory = PyLong_AsVoidPtr(address);
    if (memory == NULL) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "no address");
        return NULL;
    }
    return make(cls, memory, 0, GEARS_TURN_SESSION);
}

static PyObject *map(PyTypeObject *cls, int descriptor, size_t bytes, uint32_t own) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
    return memory == MAP_FAILED ? PyErr_SetFromErrno(PyExc_OSError) : make(cls, memory, bytes, own);
}

static PyObject *mailbox_attach(PyObject *cls, PyObject *arguments) {
    int descriptor, header_only = 0, is_server = 0;
    if (!PyArg_ParseTuple(arguments, "i|pp:attach", &descriptor, &header_only, &is_server)) return NULL;
    size_t bytes = header_only ? GEARS_MAILBOX_HEADER : ALL_BYTES;
    PyObject *mailbox = map((PyTypeObject *)cls, descriptor, bytes, is_server ? GEARS_TURN_SERVER : GEARS_TURN_SESSION);
    if (mailbox) ((hooks_mailbox *)mailbox)->header_only = header_only;
    return mailbox;
}

static PyObject *mailbox_file(PyObject *cls, PyObject *none) {
    (void)cls, (void)none;
    int descriptor = memfd_create("gearsql-mailbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (descriptor < 0) return PyErr_SetFromErrno(PyExc_OSError);
    /* Whoever has the file cannot shrink it under the other side, which would die of SIGBUS. */
    if (ftruncate(descriptor, ALL_BYTES) < 0 ||
        fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        close(descriptor);
        return NULL;
    }
    return PyLong_FromLong(descriptor);
}

static void detach(hooks_mailbox *mailbox) {
    hooks_watch_stop(mailbox);
    if (mailbox->mapped) munmap(mailbox->memory, mailbox->mapped);
    mailbox->memory = NULL;
    mailbox->mapped = 0;
}

static PyObject *mailbox_close(PyObject *self, PyObject *none) {
    (void)none;
    detach((hooks_mailbox *)self);
    Py_RETURN_NONE;
}

static void mailbox_dealloc(PyObject *self) {
    PyTypeObject *cls = Py_TYPE(self);
    detach((hooks_mailbox *)self);
    cls->tp_free(self);
    Py_DECREF(cls);
}

static int check_open(const hooks_mailbox *mailbox) {
    if (mailbox->memory) return 0;
    PyErr_SetString(PyExc_ValueError, "the mailbox is closed");
    return -1;
}

static bool is_over(const hooks_mailbox *mailbox) {
    gears_mailbox *memory = mailbox->memory;
    if (mailbox->own == GEARS_TURN_SERVER) return atomic_load(&memory->ended) != GEARS_ENDED_NOT;
    return atomic_load(&memory->stop) != 0;
}

/* 1: this side's turn; 0: it will not come, or not in time; -1: an exception. GIL: released while it waits. */
static int wait_turn(hooks_mailbox *mailbox, double seconds) {
    gears_mailbox *memory = mailbox->memory;
    bool forever = seconds < 0 || seconds > 1e9;
    int64_t deadline = forever ? 0 : now() + (int64_t)(seconds * (double)SECOND);
    for (;;) {
        if (mailbox->own == GEARS_TURN_SESSION && is_over(mailbox)) return 0;
        if (atomic_load_explicit(&memory->turn, memory_order_acquire) == mailbox->own) return 1;
        if (is_over(mailbox)) return 0;
        /* No wake is relied on for more than a second. */
        int64_t most = forever ? SECOND : deadline - now();
        if (most <= 0) return 0;
        long waited;
        int problem = 0;
        Py_BEGIN_ALLOW_THREADS;
        waited = hooks_futex_wait(&memory->turn, !mailbox->own, most < SECOND ? most : SECOND);
        if (waited < 0) problem = errno;
        Py_END_ALLOW_THREADS;
        if (problem == EINTR && PyErr_CheckSignals() < 0) return -1;
        if (mailbox->memory == NULL) return check_open(mailbox);
    }
}

static PyObject *mailbox_wait(PyObject *self, PyObject *arguments) {
    hooks_mailbox *mailbox = (hooks_mailbox *)self;
    double seconds = -1;
    if (!PyArg_ParseTuple(arguments, "|d:wait", &seconds) || check_open(mailbox) < 0) return NULL;
    int turn = wait_turn(mailbox, seconds);
    if (turn > 0) mailbox->is_held = true;
    return turn < 0 ? NULL : PyLong_FromUnsignedLong(turn ? *(volatile uint32_t *)&mailbox->memory->kind : 0);
}

static PyObject *mailbox_message(PyObject *self, PyObject *arguments) {
    unsigned long long offset = 0;
    uint64_t size;
    if (!PyArg_ParseTuple(arguments, "|K:message", &offset)) return NULL;
    const unsigned char *payload = hooks_mailbox_message((hooks_mailbox *)self, &size);
    if (payload == NULL) return NULL;
    if (offset > size) offset = size;
    return PyBytes_FromStringAndSize((const char *)payload + offset, (Py_ssize_t)(size - offset));
}

/* Append a part to the payload; its bytes, or -1 with an exception. */
static int64_t write_part(hooks_state *state, const hooks_mailbox *mailbox, uint64_t size, PyObject *part) {
    unsigned char *out = hooks_mailbox_payload(mailbox) + size;
    uint64_t room = GEARS_MAILBOX_BYTES - size, bytes;
    if (Py_IS_TYPE(part, (PyTypeObject *)state->column_type)) {
        bytes = hooks_column_size((hooks_column *)part);
        if (bytes <= room) hooks_column_write((hooks_column *)part, out);
    } else {
        Py_buffer view;
        if (PyObject_GetBuffer(part, &view, PyBUF_SIMPLE) < 0) return -1;
        bytes = (uint64_t)view.len;
        if (bytes <= room) memcpy(out, view.buf, bytes);
        PyBuffer_Release(&view);
    }
    if (bytes <= room) return (int64_t)bytes;
    PyErr_SetString(PyExc_OverflowError, "the values of this batch need more than 1 GiB");
    return -1;
}

static PyObject *mailbox_send(PyObject *self, PyObject *const *parts, Py_ssize_t count) {
    hooks_mailbox *mailbox = (hooks_mailbox *)self;
    uint64_t size = 0;
    if (hooks_mailbox_message(mailbox, &size) == NULL && mailbox->memory == NULL) return NULL;
    PyErr_Clear();
    size = 0;
    if (count < 1) return PyErr_Format(PyExc_TypeError, "send() needs a kind");
    unsigned long kind = PyLong_AsUnsignedLong(parts[0]);
    if (kind == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    if (mailbox->own == GEARS_TURN_SESSION && is_over(mailbox)) {
        PyErr_SetString(PyExc_SystemExit, "the session was ended");
        return NULL;
    }
    /* What a user's destructor says after the answer would lie over it, or over the next message. */
    if (!mailbox->is_held) return PyErr_Format(PyExc_RuntimeError, "it is not this side's turn");
    for (Py_ssize_t i = 1; i < count; i++) {
        int64_t bytes = write_part(hooks_state_of(self), mailbox, size, parts[i]);
        if (bytes < 0) return NULL;
        size += (uint64_t)bytes;
    }
    mailbox->memory->kind = (uint32_t)kind;
    mailbox->memory->size = size;
    mailbox->is_held = false;
    atomic_store_explicit(&mailbox->memory->turn, !mailbox->own, memory_order_release);
    hooks_futex_wake(&mailbox->memory->turn);
    Py_RETURN_NONE;
}

static PyObject *mailbox_end(PyObject *self, PyObject *number) {
    hooks_mailbox *mailbox = (hooks_mailbox *)self;
    unsigned long why = PyLong_AsUnsignedLong(number);
    if ((why == (unsigned long)-1 && PyErr_Occurred()) || check_open(mailbox) < 0) return NULL;
    atomic_store(&mailbox->memory->ended, (uint32_t)why);
    hooks_futex_wake(&mailbox->memory->turn);
    Py_RETURN_NONE;
}

static PyObject *mailbox_stop(PyObject *self, PyObject *none) {
    (void)none;
    hooks_mailbox *mailbox = (hooks_mailbox *)self;
    if (check_open(mailbox) < 0) return NULL;
    atomic_store(&mailbox->memory->stop, 1);
    hooks_futex_wake(&mailbox->memory->stop);
    hooks_futex_wake(&mailbox->memory->turn);
    Py_RETURN_NONE;
}

/* Pages that a large message touched would stay for ever. Only whoever has the turn may do this. */
static PyObject *mailbox_shed(PyObject *self, PyObject *none) {
    (void)none;
    hooks_mailbox *mailbox = (hooks_mailbox *)self;
    if (mailbox->memory && !mailbox->header_only)
        madvise(hooks_mailbox_payload(mailbox) + KEPT_BYTES, GEARS_MAILBOX_BYTES - KEPT_BYTES, MADV_REMOVE);
    Py_RETURN_NONE;
}

static PyObject *mailbox_watch(PyObject *self, PyObject *arguments) {
    int parent = 0;
    if (!PyArg_ParseTuple(arguments, "|i:watch", &parent) || check_open((hooks_mailbox *)self) < 0) return NULL;
    if (hooks_watch_start((hooks_mailbox *)self, parent) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *mailbox_unwatch(PyObject *self, PyObject *none) {
    (void)none;
    hooks_watch_stop((hooks_mailbox *)self);
    Py_RETURN_NONE;
}

static PyObject *get_word(PyObject *self, void *offset) {
    hooks_mailbox *mailbox = (hooks_mailbox *)self;
    if (check_open(mailbox) < 0) return NULL;
    return PyLong_FromUnsignedLong(atomic_load((_Atomic uint32_t *)((char *)mailbox->memory + (uintptr_t)offset)));
}

static PyObject *get_held(PyObject *self, void *none) {
    (void)none;
    return PyBool_FromLong(((hooks_mailbox *)self)->is_held);
}

static int set_pid(PyObject *self, PyObject *value, void *none) {
    (void)none;
    hooks_mailbox *mailbox = (hooks_mailbox *)self;
    unsigned long pid = value ? PyLong_AsUnsignedLong(value) : 0;
    if (PyErr_Occurred() || check_open(mailbox) < 0) return -1;
    atomic_store(&mailbox->memory->pid, (uint32_t)pid);
    return 0;
}

static PyMethodDef METHODS[] = {
    {"attach", mailbox_attach, METH_VARARGS | METH_CLASS,
     "attach(fd, header_only=False, server=False): map a mailbox's file."},
    {"file", mailbox_file, METH_NOARGS | METH_STATIC,
     "Return the fd of a new mailbox's file, which nobody can shrink."},
    {"close", mailbox_close, METH_NOARGS, "Unmap it."},
    {"wait", mailbox_wait, METH_VARARGS,
     "wait(seconds=-1): wait for this side's turn; the kind of the message, or 0: stopped, ended, or too late."},
    {"message", mailbox_message, METH_VARARGS, "message(offset=0): a copy of the payload."},
    {"send", (PyCFunction)(void (*)(void))mailbox_send, METH_FASTCALL,
     "send(kind, *parts): write bytes and Columns behind each other and give the turn away. OverflowError: nothing "
     "was\n"
     "sent. SystemExit: the session is to end. RuntimeError: the turn is given away already."},
    {"end", mailbox_end, METH_O, "Say why nobody will answer any more."},
    {"stop", mailbox_stop, METH_NOARGS, "Ask the session to end."},
    {"shed", mailbox_shed, METH_NOARGS, "Give back the memory that large messages took."},
    {"watch", mailbox_watch, METH_VARARGS,
     "watch(parent=0): from now on `stop` interrupts the calling thread by SystemExit, again and again. In a process,\n"
     "whose parent is given, `stop` and the parent's end end the process."},
    {"unwatch", mailbox_unwatch, METH_NOARGS, "End what watch() began."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef MEMBERS[] = {
    {"held", get_held, NULL, "Whether this side has the turn, and may send.", NULL},
    {"ended", get_word, NULL, "Why nobody answers; 0 while somebody does.", (void *)offsetof(gears_mailbox, ended)},
    {"stopped", get_word, NULL, "Whether the session is to end.", (void *)offsetof(gears_mailbox, stop)},
    {"pid", get_word, set_pid, "Of a session that is a process.", (void *)offsetof(gears_mailbox, pid)},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot SLOTS[] = {
    {Py_tp_doc, "Mailbox(address): the session's side of a mailbox in this process."},
    {Py_tp_new, mailbox_new},
    {Py_tp_dealloc, mailbox_dealloc},
    {Py_tp_methods, METHODS},
    {Py_tp_getset, MEMBERS},
    {0, NULL},
};

PyType_Spec hooks_mailbox_spec = {
    .name = "gearsql.shard._mailbox.Mailbox",
    .basicsize = sizeof(hooks_mailbox),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = SLOTS,
};
