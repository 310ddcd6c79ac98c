/* The columns of a message → objects, and the calls for each row; see rows.h. */
#include "rows.h"

#include <string.h>
#include <time.h>

#include "column.h"
#include "mailbox_object.h"
#include "value.h"

enum { KEPT_BYTES = 1 << 20 };

static const char ARGUMENT[] = "argument", CALL[] = "call", RESULT[] = "result";

/* What is left of a message. */
typedef struct {
    const unsigned char *at;
    uint64_t left;
} cursor;

static const void *take(cursor *rest, uint64_t bytes) {
    const void *found = rest->at;
    uint64_t padded = (bytes + 7) & ~(uint64_t)7;
    if (padded > rest->left) return NULL;
    rest->at += padded;
    rest->left -= padded;
    return found;
}

static bool rise(const uint64_t *offsets, uint64_t rows) {
    bool rising = offsets[0] == 0;
    for (uint64_t i = 0; i < rows; i++) rising &= offsets[i] <= offsets[i + 1];
    return rising;
}

/* Runs on memory that nobody else writes to. False: the message is malformed. */
static bool lay_out(hooks_view *view, const hooks_type *type, cursor *rest, uint64_t rows) {
    /* Each row has a bit at least, so nothing below overflows. */
    if (rows / 8 > rest->left) return false;
    view->rows = rows;
    view->validity = take(rest, (rows + 63) / 64 * 8);
    if (view->validity == NULL) return false;
    if (hooks_type_is_fixed(type)) return (view->cells = take(rest, rows * type->width)) != NULL;
    if (type->kind == HOOKS_STRUCT) {
        for (unsigned i = 0; i < type->child_count; i++)
            if (!lay_out(&view->children[i], type->children[i], rest, rows)) return false;
        return true;
    }
    view->offsets = take(rest, (rows + 1) * 8);
    if (view->offsets == NULL || !rise(view->offsets, rows) || view->offsets[rows] / 8 > rest->left) return false;
    if (type->kind == HOOKS_LIST) return lay_out(&view->children[0], type->children[0], rest, view->offsets[rows]);
    return (view->cells = take(rest, view->offsets[rows])) != NULL;
}

static PyObject *get(hooks_state *state, const hooks_view *view, uint64_t row);

static PyObject *get_list(hooks_state *state, const hooks_view *view, uint64_t row) {
    uint64_t start = view->offsets[row], end = view->offsets[row + 1];
    PyObject *list = PyList_New((Py_ssize_t)(end - start));
    for (uint64_t i = start; list && i < end; i++) {
        PyObject *item = get(state, &view->children[0], i);
        if (item)
            PyList_SET_ITEM(list, (Py_ssize_t)(i - start), item);
        else
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *get_struct(hooks_state *state, const hooks_view *view, uint64_t row) {
    PyObject *dict = PyDict_New();
    for (unsigned i = 0; dict && i < view->type->child_count; i++) {
        PyObject *item = get(state, &view->children[i], row);
        if (item == NULL || PyDict_SetItem(dict, view->type->names[i], item) < 0) Py_CLEAR(dict);
        Py_XDECREF(item);
    }
    return dict;
}

static PyObject *get(hooks_state *state, const hooks_view *view, uint64_t row) {
    if (!hooks_view_is_valid(view, row)) Py_RETURN_NONE;
    switch (view->type->kind) {
    case HOOKS_VARCHAR:
    case HOOKS_BLOB: {
        const char *bytes = (const char *)view->cells + view->offsets[row];
        Py_ssize_t size = (Py_ssize_t)(view->offsets[row + 1] - view->offsets[row]);
        return view->type->kind == HOOKS_VARCHAR ? PyUnicode_DecodeUTF8(bytes, size, NULL)
                                                 : PyBytes_FromStringAndSize(bytes, size);
    }
    case HOOKS_LIST: return get_list(state, view, row);
    case HOOKS_STRUCT: return get_struct(state, view, row);
    default: return hooks_value_get(state, view->type, view->cells + row * view->type->width);
    }
}

static bool open_view(hooks_view *view, const hooks_type *type) {
    view->type = type;
    if (type->child_count == 0) return true;
    view->children = PyMem_Calloc(type->child_count, sizeof *view->children);
    if (view->children == NULL) return false;
    for (unsigned i = 0; i < type->child_count; i++)
        if (!open_view(&view->children[i], type->children[i])) return false;
    return true;
}

static void close_view(hooks_view *view) {
    for (unsigned i = 0; view->children && i < view->type->child_count; i++) close_view(&view->children[i]);
    PyMem_Free(view->children);
}

static bool open_columns(hooks_rows *rows, PyObject *types) {
    Py_ssize_t count = PyTuple_GET_SIZE(types);
    rows->types = PyMem_Calloc((size_t)count + 1, sizeof *rows->types);
    rows->views = PyMem_Calloc((size_t)count + 1, sizeof *rows->views);
    if (rows->types == NULL || rows->views == NULL) return false;
    for (; rows->column_count < count; rows->column_count++) {
        PyObject *text = PyTuple_GET_ITEM(types, rows->column_count);
        if (!PyUnicode_Check(text)) {
            PyErr_SetString(PyExc_TypeError, "types are texts");
            return false;
        }
        hooks_type *type = hooks_type_parse(text);
        if (type == NULL) return false;
        rows->types[rows->column_count] = type;
        if (open_view(&rows->views[rows->column_count], type)) continue;
        rows->column_count++;
        return false;
    }
    return true;
}

static PyObject *rows_new(PyTypeObject *cls, PyObject *arguments, PyObject *keywords) {
    static char *NAMES[] = {"types", NULL};
    PyObject *types;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!:Rows", NAMES, &PyTuple_Type, &types)) return NULL;
    hooks_rows *rows = (hooks_rows *)cls->tp_alloc(cls, 0);
    if (rows == NULL) return NULL;
    rows->state = PyType_GetModuleState(cls);
    rows->failed = -1;
    if (open_columns(rows, types)) return (PyObject *)rows;
    if (!PyErr_Occurred()) PyErr_NoMemory();
    Py_DECREF(rows);
    return NULL;
}

static void rows_dealloc(PyObject *self) {
    hooks_rows *rows = (hooks_rows *)self;
    PyTypeObject *cls = Py_TYPE(self);
    for (Py_ssize_t i = 0; i < rows->column_count; i++) {
        close_view(&rows->views[i]);
        hooks_type_free(rows->types[i]);
    }
    PyMem_Free(rows->types);
    PyMem_Free(rows->views);
    PyMem_RawFree(rows->copy);
    cls->tp_free(self);
    Py_DECREF(cls);
}

static int keep(hooks_rows *rows, const void *bytes, uint64_t size) {
    rows->count = 0;
    rows->is_loaded = false;
    if (rows->copy == NULL || size > rows->copy_room || rows->copy_room > size + KEPT_BYTES) {
        PyMem_RawFree(rows->copy);
        rows->copy_room = size < 64 ? 64 : size;
        rows->copy = PyMem_RawMalloc(rows->copy_room);
        if (rows->copy == NULL) {
            rows->copy_room = 0;
            PyErr_NoMemory();
            return -1;
        }
    }
    if (size) memcpy(rows->copy, bytes, size);
    return 0;
}

static PyObject *malformed(void) {
    PyErr_SetString(PyExc_ValueError, "the message is malformed");
    return NULL;
}

static PyObject *rows_load(PyObject *self, PyObject *arguments) {
    hooks_rows *rows = (hooks_rows *)self;
    PyObject *source;
    unsigned long long count, offset = 0;
    if (!PyArg_ParseTuple(arguments, "OK|K:load", &source, &count, &offset)) return NULL;
    uint64_t size;
    if (Py_IS_TYPE(source, (PyTypeObject *)rows->state->mailbox_type)) {
        hooks_mailbox *mailbox = (hooks_mailbox *)source;
        const unsigned char *payload = hooks_mailbox_message(mailbox, &size);
        if (payload == NULL || keep(rows, payload, size) < 0) return NULL;
    } else {
        Py_buffer view;
        if (PyObject_GetBuffer(source, &view, PyBUF_SIMPLE) < 0) return NULL;
        size = (uint64_t)view.len;
        int kept = keep(rows, view.buf, size);
        PyBuffer_Release(&view);
        if (kept < 0) return NULL;
    }
    cursor rest = {rows->copy + offset, size - offset};
    bool fits = offset <= size && offset % 8 == 0;
    for (Py_ssize_t i = 0; fits && i < rows->column_count; i++)
        fits = lay_out(&rows->views[i], rows->types[i], &rest, count);
    if (!fits) return malformed();
    rows->count = count;
    rows->is_loaded = true;
    rows->size = size;
    rows->failed = -1;
    Py_RETURN_NONE;
}

/* Large messages are not kept: a session may be idle for long. */
static PyObject *rows_clear(PyObject *self, PyObject *none) {
    (void)none;
    hooks_rows *rows = (hooks_rows *)self;
    rows->count = rows->size = 0;
    rows->is_loaded = false;
    rows->failed = -1;
    if (rows->copy_room > KEPT_BYTES) {
        PyMem_RawFree(rows->copy);
        rows->copy = NULL;
        rows->copy_room = 0;
    }
    Py_RETURN_NONE;
}

static int check_place(const hooks_rows *rows, Py_ssize_t column, Py_ssize_t row) {
    if (rows->is_loaded && column >= 0 && column < rows->column_count && row >= 0 && (uint64_t)row <= rows->count)
        return 0;
    PyErr_SetString(PyExc_IndexError, "no such row or column");
    return -1;
}

static bool has_null(const hooks_rows *rows, uint64_t row) {
    for (Py_ssize_t i = 0; i < rows->column_count; i++)
        if (!hooks_view_is_valid(&rows->views[i], row)) return true;
    return false;
}

static void fail(hooks_rows *rows, uint64_t row, const char *phase) {
    rows->failed = (Py_ssize_t)row;
    rows->phase = phase;
}

static PyObject *rows_column(PyObject *self, PyObject *arguments) {
    hooks_rows *rows = (hooks_rows *)self;
    Py_ssize_t column;
    int strict = 0;
    if (!PyArg_ParseTuple(arguments, "n|p:column", &column, &strict) || check_place(rows, column, 0) < 0) return NULL;
    PyObject *list = PyList_New(0);
    for (uint64_t row = 0; list && row < rows->count; row++) {
        if (strict && has_null(rows, row)) continue;
        PyObject *value = get(rows->state, &rows->views[column], row);
        if (value == NULL) fail(rows, row, ARGUMENT);
        if (value == NULL || PyList_Append(list, value) < 0) Py_CLEAR(list);
        Py_XDECREF(value);
    }
    return list;
}

static PyObject *rows_row(PyObject *self, PyObject *number) {
    hooks_rows *rows = (hooks_rows *)self;
    Py_ssize_t row = PyLong_AsSsize_t(number);
    if (row == -1 && PyErr_Occurred()) return NULL;
    if (row < 0 || (uint64_t)row >= rows->count) {
        PyErr_SetString(PyExc_IndexError, "no such row");
        return NULL;
    }
    PyObject *tuple = PyTuple_New(rows->column_count);
    for (Py_ssize_t i = 0; tuple && i < rows->column_count; i++) {
        PyObject *value = get(rows->state, &rows->views[i], (uint64_t)row);
        if (value)
            PyTuple_SET_ITEM(tuple, i, value);
        else
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* Which rows have no NULL: what `strict` calls see, and where their results belong. */
static PyObject *rows_kept(PyObject *self, PyObject *none) {
    (void)none;
    hooks_rows *rows = (hooks_rows *)self;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)rows->count);
    for (uint64_t row = 0; bytes && row < rows->count; row++)
        PyBytes_AS_STRING(bytes)[row] = (char)!has_null(rows, row);
    return bytes;
}

static PyObject *rows_buffers(PyObject *self, PyObject *number) {
    hooks_rows *rows = (hooks_rows *)self;
    Py_ssize_t column = PyLong_AsSsize_t(number);
    if ((column == -1 && PyErr_Occurred()) || check_place(rows, column, 0) < 0) return NULL;
    const hooks_view *view = &rows->views[column];
    if (view->type->child_count > 0) Py_RETURN_NONE;
    bool is_text = hooks_type_is_text(view->type);
    uint64_t size = is_text ? view->offsets[view->rows] : view->rows * view->type->width;
    return Py_BuildValue("(y#y#y#)", (const char *)view->validity, (Py_ssize_t)((view->rows + 63) / 64 * 8),
                         is_text ? (const char *)view->offsets : NULL, (Py_ssize_t)(is_text ? (view->rows + 1) * 8 : 0),
                         (const char *)view->cells, (Py_ssize_t)size);
}

/* The exception of a row may be taken for NULL: not MemoryError, and nothing that is meant for the whole thread. */
static bool forgivable(void) {
    return PyErr_ExceptionMatches(PyExc_Exception) && !PyErr_ExceptionMatches(PyExc_MemoryError);
}

/* 1 with new references in `values`, 0: a NULL that `strict` leaves out, -1: an exception. */
static int get_row(hooks_rows *rows, uint64_t row, bool strict, PyObject **values) {
    if (strict && has_null(rows, row)) return 0;
    for (Py_ssize_t i = 0; i < rows->column_count; i++) {
        values[i] = get(rows->state, &rows->views[i], row);
        if (values[i]) continue;
        while (i-- > 0) Py_DECREF(values[i]);
        return -1;
    }
    return 1;
}

static void drop(PyObject **values, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) Py_DECREF(values[i]);
}

static int map_row(hooks_rows *rows, uint64_t row, PyObject *function, hooks_column *column, bool strict,
                   PyObject **stack) {
    PyObject **values = stack + 1;
    fail(rows, row, ARGUMENT);
    int found = get_row(rows, row, strict, values);
    if (found <= 0) return found < 0 ? -1 : hooks_column_append(column, Py_None);
    rows->phase = CALL;
    size_t flags = (size_t)rows->column_count | PY_VECTORCALL_ARGUMENTS_OFFSET;
    PyObject *result = PyObject_Vectorcall(function, values, flags, NULL);
    drop(values, rows->column_count);
    if (result == NULL) return -1;
    rows->phase = RESULT;
    int done = hooks_column_append(column, result);
    Py_DECREF(result);
    return done;
}

static PyObject **make_stack(const hooks_rows *rows) {
    PyObject **stack = PyMem_Malloc(((size_t)rows->column_count + 3) * sizeof *stack);
    if (stack == NULL) PyErr_NoMemory();
    return stack;
}

#if PY_VERSION_HEX < 0x030D0000
/* Before 3.13 interpreters share the GIL, and whoever waits for it asks its own interpreter, not the holder's, to let
 * go. So a batch of a slow hook lets the others in by itself, every 5 ms. */
static void let_others_in(int64_t *since) {
    struct timespec time, pause = {0, 50000};
    clock_gettime(CLOCK_MONOTONIC, &time);
    int64_t now = time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
    if (*since == 0) *since = now;
    if (now - *since < 5000000) return;
    Py_BEGIN_ALLOW_THREADS;
    nanosleep(&pause, NULL);
    Py_END_ALLOW_THREADS;
    *since = 0;
}
#else
static void let_others_in(int64_t *since) { (void)since; }
#endif

static PyObject *rows_map(PyObject *self, PyObject *arguments) {
    hooks_rows *rows = (hooks_rows *)self;
    PyObject *function, *column;
    int strict, tolerate;
    if (!PyArg_ParseTuple(arguments, "OO!pp:map", &function, (PyTypeObject *)rows->state->column_type, &column, &strict,
                          &tolerate))
        return NULL;
    PyObject **stack = make_stack(rows);
    if (stack == NULL) return NULL;
    Py_ssize_t forgiven = 0;
    int64_t since = 0;
    int done = 0;
    for (uint64_t row = 0; done == 0 && row < rows->count; row++) {
        if (row % 8 == 7) let_others_in(&since);
        done = map_row(rows, row, function, (hooks_column *)column, strict, stack);
        if (done == 0 || !tolerate || !forgivable()) continue;
        PyErr_Clear();
        forgiven++;
        done = hooks_column_append((hooks_column *)column, Py_None);
    }
    PyMem_Free(stack);
    if (done < 0) return NULL;
    rows->failed = -1;
    return PyLong_FromSsize_t(forgiven);
}

/* The state behind a handle, new reference; a fresh one at first sight. */
static PyObject *state_of(PyObject *states, uint64_t handle, PyObject *make) {
    PyObject *key = PyLong_FromUnsignedLongLong(handle);
    if (key == NULL) return NULL;
    PyObject *found = Py_XNewRef(PyDict_GetItemWithError(states, key));
    if (found == NULL && !PyErr_Occurred()) {
        found = PyObject_CallNoArgs(make);
        if (found && PyDict_SetItem(states, key, found) < 0) Py_CLEAR(found);
    }
    Py_DECREF(key);
    return found;
}

/* state.accumulate(*row). `stack` has a place before the values for the state and one for vectorcall's own use. */
static int accumulate(hooks_rows *rows, uint64_t row, PyObject *state, bool strict, PyObject **stack) {
    fail(rows, row, ARGUMENT);
    int found = get_row(rows, row, strict, stack + 2);
    if (found <= 0) return found;
    rows->phase = CALL;
    stack[1] = state;
    size_t flags = ((size_t)rows->column_count + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET;
    PyObject *result = PyObject_VectorcallMethod(rows->state->name_accumulate, stack + 1, flags, NULL);
    drop(stack + 2, rows->column_count);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static PyObject *rows_update(PyObject *self, PyObject *arguments) {
    hooks_rows *rows = (hooks_rows *)self;
    PyObject *states, *make;
    unsigned long long offset;
    int strict;
    if (!PyArg_ParseTuple(arguments, "O!OKp:update", &PyDict_Type, &states, &make, &offset, &strict)) return NULL;
    if (offset % 8 != 0 || offset + rows->count * 8 > rows->size) return malformed();
    PyObject **stack = make_stack(rows), *state = NULL;
    if (stack == NULL) return NULL;
    const uint64_t *handles = (const uint64_t *)(rows->copy + offset);
    int64_t since = 0;
    int done = 0;
    for (uint64_t row = 0; done == 0 && row < rows->count; row++) {
        if (row % 8 == 7) let_others_in(&since);
        /* Without GROUP BY, and in sorted groups, the state is often the row's before. */
        if (state == NULL || handles[row] != handles[row - 1]) {
            fail(rows, row, CALL);
            Py_XSETREF(state, state_of(states, handles[row], make));
        }
        done = state ? accumulate(rows, row, state, strict, stack) : -1;
    }
    Py_XDECREF(state);
    PyMem_Free(stack);
    if (done < 0) return NULL;
    rows->failed = -1;
    Py_RETURN_NONE;
}

static PyObject *rows_failed(PyObject *self, void *none) {
    (void)none;
    hooks_rows *rows = (hooks_rows *)self;
    if (rows->failed < 0) Py_RETURN_NONE;
    return PyLong_FromSsize_t(rows->failed);
}

static PyObject *rows_phase(PyObject *self, void *none) {
    (void)none;
    const char *phase = ((hooks_rows *)self)->phase;
    return PyUnicode_FromString(phase ? phase : CALL);
}

static Py_ssize_t rows_length(PyObject *self) { return (Py_ssize_t)((hooks_rows *)self)->count; }

static PyMethodDef METHODS[] = {
    {"load", rows_load, METH_VARARGS, "load(source, rows, offset=0): copy and check a message, a Mailbox's or bytes."},
    {"clear", rows_clear, METH_NOARGS, "Forget the message."},
    {"column", rows_column, METH_VARARGS, "column(i, strict=False): its values; strict: of the rows without NULLs."},
    {"row", rows_row, METH_O, "Return the values of a row."},
    {"kept", rows_kept, METH_NOARGS, "Return a byte for each row: 1 if it has no NULL."},
    {"buffers", rows_buffers, METH_O,
     "Return copies of a column's validity, offsets (or None) and cells; None if nested."},
    {"map", rows_map, METH_VARARGS,
     "map(function, column, strict, tolerate): append function(*row) for each row. strict: a NULL among the arguments\n"
     "gives NULL. tolerate: so does an exception; returns how many. Else `failed` and `phase` tell of the failure."},
    {"update", rows_update, METH_VARARGS,
     "update(states, make, offset, strict): states[handle].accumulate(*row) for each row; the handles lie at `offset`\n"
     "of the message; make() is the state of one that is not there yet. strict leaves rows with a NULL out."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef MEMBERS[] = {
    {"failed", rows_failed, NULL, "The row of the last failure, or None.", NULL},
    {"phase", rows_phase, NULL, "Whose failure: 'argument' (it has no Python value), 'call', 'result' (a misfit).",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot SLOTS[] = {
    {Py_tp_doc, "The columns of a message, by their types in canonical form."},
    {Py_tp_new, rows_new},
    {Py_tp_dealloc, rows_dealloc},
    {Py_tp_methods, METHODS},
    {Py_tp_getset, MEMBERS},
    {Py_sq_length, rows_length},
    {0, NULL},
};

PyType_Spec hooks_rows_spec = {
    .name = "gearsql.shard._mailbox.Rows",
    .basicsize = sizeof(hooks_rows),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = SLOTS,
};
