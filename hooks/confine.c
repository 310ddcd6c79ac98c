/* Rights, files, and what calls confine_calls.c; see confine.h. */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Landlock's numbers, which the kernel promises to keep; headers of build machines are older than kernels. */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446, GET_VERSION = 1, PATH_BENEATH = 1 };
#define WRITE_FILE (UINT64_C(1) << 1)
#define READ_FILE (UINT64_C(1) << 2)
#define READ_DIR (UINT64_C(1) << 3)

struct ruleset {
    uint64_t files, net, scoped;
};

struct beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

/* All rights that a kernel of this version can refuse. */
static struct ruleset everything(long version) {
    static const unsigned RIGHTS[] = {0, 13, 14, 15, 15, 16};
    unsigned rights = version > 5 ? 16 : RIGHTS[version];
    struct ruleset all = {.files = (UINT64_C(1) << rights) - 1};
    if (version >= 4) all.net = 3;    /* bind, connect (TCP) */
    if (version >= 6) all.scoped = 3; /* abstract Unix sockets, signals */
    return all;
}

static size_t bytes_of(long version) { return version >= 6 ? 24 : version >= 4 ? 16 : 8; }

/* 0, also for a path that is not there; -1 with errno. */
static int allow_path(int ruleset, const char *path, uint64_t rights) {
    int file = open(path, O_PATH | O_CLOEXEC);
    if (file < 0) return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
    struct stat found;
    struct beneath rule = {.allowed = rights, .parent = file};
    int done = fstat(file, &found);
    if (done == 0) {
        if (S_ISDIR(found.st_mode)) rule.allowed |= READ_DIR;
        done = (int)syscall(ADD_RULE, ruleset, PATH_BENEATH, &rule, 0);
    }
    int problem = errno;
    close(file);
    errno = problem;
    return done;
}

/* 0, or -1 with an exception. */
static int allow_all(int ruleset, PyObject *paths, uint64_t rights) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(paths); i++) {
        PyObject *path;
        if (!PyUnicode_FSConverter(PyTuple_GET_ITEM(paths, i), &path)) return -1;
        int done = allow_path(ruleset, PyBytes_AS_STRING(path), rights);
        Py_DECREF(path);
        if (done == 0) continue;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

static PyObject *restrict_files(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *readable, *writable;
    if (!PyArg_ParseTuple(arguments, "O!O!:restrict_files", &PyTuple_Type, &readable, &PyTuple_Type, &writable))
        return NULL;
    long version = syscall(CREATE_RULESET, NULL, 0, GET_VERSION);
    if (version < 1) return PyLong_FromLong(0); /* not built in, or not among the security modules of this boot */
    struct ruleset all = everything(version);
    int ruleset = (int)syscall(CREATE_RULESET, &all, bytes_of(version), 0);
    if (ruleset < 0) return PyErr_SetFromErrno(PyExc_OSError);
    int done = allow_all(ruleset, readable, READ_FILE);
    if (done == 0) done = allow_all(ruleset, writable, READ_FILE | WRITE_FILE);
    if (done == 0 && (done = (int)syscall(RESTRICT_SELF, ruleset, 0)) != 0) PyErr_SetFromErrno(PyExc_OSError);
    close(ruleset);
    return done == 0 ? PyLong_FromLong(version) : NULL;
}

static PyObject *restrict_calls(PyObject *module, PyObject *may_write_files) {
    (void)module;
    int may = PyObject_IsTrue(may_write_files);
    if (may < 0) return NULL;
    int done = hooks_confine_calls(may);
    return done < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyBool_FromLong(done);
}

/* Root without capabilities is a user like others, who owns what root owns. */
static int drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    memset(none, 0, sizeof none);
    return (int)syscall(SYS_capset, &header, none);
}

static PyObject *give_up_rights(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || drop_capabilities() < 0) return PyErr_SetFromErrno(PyExc_OSError);
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 2); /* one for each thread would take 128 MB of address space each */
#endif
    Py_RETURN_NONE;
}

static PyObject *die_with_parent(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

PyMethodDef hooks_confine_methods[] = {
    {"die_with_parent", die_with_parent, METH_NOARGS, "Be killed when the thread that started this process ends."},
    {"give_up_rights", give_up_rights, METH_NOARGS, "no_new_privs, no capabilities."},
    {"restrict_files", restrict_files, METH_VARARGS,
     "restrict_files(readable, writable): from now on only what is below these paths can be opened. Returns "
     "Landlock's\n"
     "version; 0: this kernel has none, and nothing was restricted."},
    {"restrict_calls", restrict_calls, METH_O,
     "restrict_calls(may_write_files): only system calls that stay within the process. False: not on this machine."},
    {NULL, NULL, 0, NULL},
};
