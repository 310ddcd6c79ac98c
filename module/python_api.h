/* CPython's functions, called by pointers found at load, so that the module has no undefined symbols and needs no
 * libpython to link. Macros and inline functions of Python.h that call others (Py_DECREF, …) are not for us. */
#ifndef GEARS_PYTHON_API_H
#define GEARS_PYTHON_API_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* How an interpreter of its own begins: with a GIL of its own from 3.13 on (in 3.12 datetime and others abort then). */
#if PY_VERSION_HEX >= 0x030C0000
#define GEARS_PYTHON_VERSIONED(X)                                                                                      \
    X(Py_NewInterpreterFromConfig)                                                                                     \
    X(PyErr_GetRaisedException)
#else
#define GEARS_PYTHON_VERSIONED(X)                                                                                      \
    X(_Py_NewInterpreter)                                                                                              \
    X(PyErr_Fetch)                                                                                                     \
    X(PyErr_NormalizeException)
#endif

#define GEARS_PYTHON_FUNCTIONS(X)                                                                                      \
    X(PyConfig_InitPythonConfig)                                                                                       \
    X(PyConfig_SetBytesString)                                                                                         \
    X(PyConfig_Clear)                                                                                                  \
    X(PyStatus_Exception)                                                                                              \
    X(Py_InitializeFromConfig)                                                                                         \
    X(Py_GetVersion)                                                                                                   \
    X(Py_EndInterpreter)                                                                                               \
    X(PyMem_SetAllocator)                                                                                              \
    X(PyObject_GetArenaAllocator)                                                                                      \
    X(PyObject_SetArenaAllocator)                                                                                      \
    X(PyEval_SaveThread)                                                                                               \
    X(PyEval_RestoreThread)                                                                                            \
    X(PyGILState_Ensure)                                                                                               \
    X(PyGILState_Release)                                                                                              \
    X(PyThreadState_Get)                                                                                               \
    X(PyThreadState_Swap)                                                                                              \
    X(PyThreadState_Clear)                                                                                             \
    X(PyThreadState_DeleteCurrent)                                                                                     \
    X(PyThreadState_Next)                                                                                              \
    X(PyThreadState_GetInterpreter)                                                                                    \
    X(PyInterpreterState_ThreadHead)                                                                                   \
    X(PyEval_GetBuiltins)                                                                                              \
    X(PyDict_New)                                                                                                      \
    X(PyDict_SetItemString)                                                                                            \
    X(PyRun_StringFlags)                                                                                               \
    X(PyImport_ImportModule)                                                                                           \
    X(PyErr_Clear)                                                                                                     \
    X(PyObject_Str)                                                                                                    \
    X(PyUnicode_AsUTF8AndSize)                                                                                         \
    X(Py_DecRef)                                                                                                       \
    GEARS_PYTHON_VERSIONED(X)

#define GEARS_DECLARE(name) extern __typeof__(&name) py_##name;
GEARS_PYTHON_FUNCTIONS(GEARS_DECLARE)
#undef GEARS_DECLARE

/* Open libpython, for all to see, and bind the functions above. NULL or the problem (static storage).
 * Runs on: main thread, once, in OnLoad. */
const char *gears_python_bind(const char *libpython);

#endif
