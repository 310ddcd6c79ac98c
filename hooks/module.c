/* gearsql.shard._mailbox: what sessions do in C. Multi-phase, no static Python state: every interpreter has its own. */
#include "state.h"

#include "confine.h"
#include "mailbox.h"

static PyObject *add_type(PyObject *module, PyType_Spec *spec) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, (PyTypeObject *)type) < 0) Py_CLEAR(type);
    return type;
}

static int add_numbers(PyObject *module) {
    static const struct {
        const char *name;
        long value;
    } NUMBERS[] = {
        {"BEGIN", GEARS_BEGIN},
        {"CALL", GEARS_CALL},
        {"UPDATE", GEARS_UPDATE},
        {"COMBINE", GEARS_COMBINE},
        {"STATE", GEARS_STATE},
        {"FINISH", GEARS_FINISH},
        {"MERGE", GEARS_MERGE},
        {"WHOLE", GEARS_WHOLE},
        {"END", GEARS_END},
        {"ANSWER", GEARS_ANSWER},
        {"DONE", GEARS_DONE},
        {"RESULT", GEARS_RESULT},
        {"ERROR", GEARS_ERROR},
        {"EXECUTE", GEARS_EXECUTE},
        {"LOG", GEARS_LOG},
        {"ENDED_RETURNED", GEARS_ENDED_RETURNED},
        {"ENDED_MEMORY", GEARS_ENDED_MEMORY},
        {"ENDED_SIGNAL", GEARS_ENDED_SIGNAL},
        {"ENDED_EXIT", GEARS_ENDED_EXIT},
    };
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
        if (PyModule_AddIntConstant(module, NUMBERS[i].name, NUMBERS[i].value) < 0) return -1;
    return 0;
}

static PyObject *in_main_interpreter(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    return PyBool_FromLong(PyInterpreterState_Get() == PyInterpreterState_Main());
}

static PyMethodDef METHODS[] = {
    {"in_main_interpreter", in_main_interpreter, METH_NOARGS, "Whether the caller runs in the process's first one."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module) {
    hooks_state *state = PyModule_GetState(module);
    state->datetime = PyCapsule_Import(PyDateTime_CAPSULE_NAME, 0);
    state->name_int = PyUnicode_InternFromString("int");
    state->name_is_safe = PyUnicode_InternFromString("is_safe");
    state->name_utcoffset = PyUnicode_InternFromString("utcoffset");
    state->name_accumulate = PyUnicode_InternFromString("accumulate");
    if (!state->datetime || !state->name_int || !state->name_is_safe || !state->name_utcoffset ||
        !state->name_accumulate)
        return -1;
    if (!(state->mailbox_type = add_type(module, &hooks_mailbox_spec))) return -1;
    if (!(state->column_type = add_type(module, &hooks_column_spec))) return -1;
    if (!(state->rows_type = add_type(module, &hooks_rows_spec))) return -1;
    if (PyModule_AddFunctions(module, hooks_confine_methods) < 0) return -1;
    return add_numbers(module);
}

#define EACH(visit, state)                                                                                             \
    visit((state)->mailbox_type);                                                                                      \
    visit((state)->column_type);                                                                                       \
    visit((state)->rows_type);                                                                                         \
    visit((state)->decimal_type);                                                                                      \
    visit((state)->uuid_type);                                                                                         \
    visit((state)->uuid_unknown);                                                                                      \
    visit((state)->name_int);                                                                                          \
    visit((state)->name_is_safe);                                                                                      \
    visit((state)->name_utcoffset);                                                                                    \
    visit((state)->name_accumulate)

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    hooks_state *state = PyModule_GetState(module);
    if (state) {
        EACH(Py_VISIT, state);
    }
    return 0;
}

static int module_clear(PyObject *module) {
    hooks_state *state = PyModule_GetState(module);
    if (state) {
        EACH(Py_CLEAR, state);
    }
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyModuleDef_Slot SLOTS[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

struct PyModuleDef hooks_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "gearsql.shard._mailbox",
    .m_doc = "The mailbox between a server and a session, and columns in it; module/mailbox.h is the format.",
    .m_size = sizeof(hooks_state),
    .m_methods = METHODS,
    .m_slots = SLOTS,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__mailbox(void) { return PyModuleDef_Init(&hooks_module); }
