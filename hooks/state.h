/* What one interpreter knows of this extension: its types, and what it borrows from the standard library.
 *
 * gearsql.shard._mailbox is loaded by the interpreter of every session, several in one process, each perhaps with a
 * GIL of its own: no Python object is static, all hang on the module's state. Everything here runs with the GIL of its
 * interpreter held, unless a comment says otherwise. */
#ifndef HOOKS_STATE_H
#define HOOKS_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
/* datetime.h defines a static pointer, which only its own macros use. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-variable"
#include <datetime.h>
#pragma GCC diagnostic pop

typedef struct hooks_state {
    PyObject *mailbox_type, *column_type, *rows_type;
    PyObject *decimal_type, *uuid_type, *uuid_unknown;
    /* Of this interpreter; so no macro that reads datetime.h's PyDateTimeAPI is used. */
    PyDateTime_CAPI *datetime;
    PyObject *name_int, *name_is_safe, *name_utcoffset, *name_accumulate;
} hooks_state;

extern struct PyModuleDef hooks_module;
extern PyType_Spec hooks_mailbox_spec, hooks_column_spec, hooks_rows_spec;

/* The state behind an object of one of the module's types. */
static inline hooks_state *hooks_state_of(PyObject *self) { return PyType_GetModuleState(Py_TYPE(self)); }

#endif
