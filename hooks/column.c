/* Python objects → a column; see column.h. */
#include "column.h"

#include <string.h>

#include "mailbox.h"
#include "rows.h"
#include "value.h"

enum { KEPT_BYTES = 1 << 20 }; /* what a column keeps for the next batch */

static int put(hooks_state *state, hooks_growing *node, PyObject *value);

static uint64_t words(uint64_t rows) { return (rows + 63) / 64; }
static uint64_t padded(uint64_t bytes) { return (bytes + 7) & ~(uint64_t)7; }

static bool open_node(hooks_growing *node, const hooks_type *type) {
    node->type = type;
    if (type->child_count == 0) return true;
    node->children = PyMem_Calloc(type->child_count, sizeof *node->children);
    if (node->children == NULL) return false;
    for (unsigned i = 0; i < type->child_count; i++)
        if (!open_node(&node->children[i], type->children[i])) return false;
    return true;
}

static void free_buffers(hooks_growing *node) {
    PyMem_RawFree(node->validity);
    PyMem_RawFree(node->cells);
    PyMem_RawFree(node->offsets);
    PyMem_RawFree(node->bytes);
    node->validity = NULL, node->cells = NULL, node->offsets = NULL, node->bytes = NULL;
    node->rows = node->room = node->bytes_room = 0;
}

static void close_node(hooks_growing *node) {
    free_buffers(node);
    for (unsigned i = 0; node->children && i < node->type->child_count; i++) close_node(&node->children[i]);
    PyMem_Free(node->children);
    node->children = NULL;
}

static void cut(hooks_growing *node, uint64_t rows) {
    node->rows = rows;
    if (node->type->kind == HOOKS_LIST) cut(&node->children[0], node->offsets ? node->offsets[rows] : 0);
    if (node->type->kind == HOOKS_STRUCT)
        for (unsigned i = 0; i < node->type->child_count; i++) cut(&node->children[i], rows);
}

static int too_large(void) {
    PyErr_SetString(PyExc_OverflowError, "the values of this batch need more than 1 GiB");
    return -1;
}

static int grow(void **buffer, uint64_t bytes) {
    void *grown = bytes > GEARS_MAILBOX_BYTES ? NULL : PyMem_RawRealloc(*buffer, bytes);
    if (grown == NULL) {
        if (bytes > GEARS_MAILBOX_BYTES) return too_large();
        PyErr_NoMemory();
        return -1;
    }
    *buffer = grown;
    return 0;
}

/* Room for one more row. */
static int reserve(hooks_growing *node) {
    if (node->rows < node->room) return 0;
    uint64_t room = node->room ? node->room * 2 : 64;
    if (grow((void **)&node->validity, words(room) * 8) < 0) return -1;
    if (hooks_type_is_fixed(node->type)) {
        if (grow((void **)&node->cells, padded(room * node->type->width)) < 0) return -1;
    } else if (node->type->kind != HOOKS_STRUCT) {
        bool first = node->offsets == NULL;
        if (grow((void **)&node->offsets, (room + 1) * 8) < 0) return -1;
        if (first) node->offsets[0] = 0;
    }
    node->room = room;
    return 0;
}

static void set_valid(hooks_growing *node, bool valid) {
    uint64_t *word = &node->validity[node->rows / 64], bit = (uint64_t)1 << (node->rows % 64);
    if (bit == 1) *word = 0;
    if (valid)
        *word |= bit;
    else
        *word &= ~bit;
}

static int put_null(hooks_growing *node) {
    if (reserve(node) < 0) return -1;
    if (hooks_type_is_fixed(node->type))
        memset(node->cells + node->rows * node->type->width, 0, node->type->width);
    else if (node->type->kind != HOOKS_STRUCT)
        node->offsets[node->rows + 1] = node->offsets[node->rows];
    else
        for (unsigned i = 0; i < node->type->child_count; i++)
            if (put_null(&node->children[i]) < 0) return -1;
    set_valid(node, false);
    node->rows++;
    return 0;
}

static int put_bytes(hooks_growing *node, const char *bytes, uint64_t size) {
    uint64_t used = node->offsets[node->rows], needed = used + size;
    if (needed > node->bytes_room) {
        uint64_t room = needed > GEARS_MAILBOX_BYTES / 2 ? needed : padded(needed * 2);
        if (grow((void **)&node->bytes, room) < 0) return -1;
        node->bytes_room = room;
    }
    if (size) memcpy(node->bytes + used, bytes, size);
    node->offsets[node->rows + 1] = needed;
    return 0;
}

static int put_text(hooks_growing *node, PyObject *value) {
    if (!PyUnicode_Check(value)) return hooks_value_misfit(node->type, value);
    Py_ssize_t size;
    const char *bytes = PyUnicode_AsUTF8AndSize(value, &size);
    return bytes ? put_bytes(node, bytes, (uint64_t)size) : -1;
}

static int put_blob(hooks_growing *node, PyObject *value) {
    if (PyBytes_Check(value)) return put_bytes(node, PyBytes_AS_STRING(value), (uint64_t)PyBytes_GET_SIZE(value));
    if (!PyByteArray_Check(value) && !PyMemoryView_Check(value)) return hooks_value_misfit(node->type, value);
    Py_buffer view;
    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0) return -1;
    int done = put_bytes(node, view.buf, (uint64_t)view.len);
    PyBuffer_Release(&view);
    return done;
}

/* Put each item as it comes: what never ends is stopped by the batch's bound, not by the server's memory. */
static int put_items(hooks_state *state, hooks_growing *node, PyObject *value) {
    PyObject *items = PyObject_GetIter(value), *item;
    if (items == NULL) return -1;
    int done = 0;
    while (done == 0 && (item = PyIter_Next(items)) != NULL) {
        done = put(state, node, item);
        Py_DECREF(item);
    }
    Py_DECREF(items);
    return PyErr_Occurred() ? -1 : done;
}

/* Lists, tuples, and what else can be walked once in order: a generator, a deque, an array of numpy. A list that a
 * value's own __index__ or __str__ changes meanwhile is walked as Python walks it. */
static int put_list(hooks_state *state, hooks_growing *node, PyObject *value) {
    if (PyUnicode_Check(value) || PyBytes_Check(value) || PyByteArray_Check(value) || PyAnySet_Check(value) ||
        PyDict_Check(value))
        return hooks_value_misfit(node->type, value);
    if (!PyIter_Check(value) && Py_TYPE(value)->tp_iter == NULL && !PySequence_Check(value))
        return hooks_value_misfit(node->type, value);
    if (put_items(state, &node->children[0], value) < 0) return -1;
    node->offsets[node->rows + 1] = node->children[0].rows;
    return 0;
}

static int unknown_member(const hooks_type *type, PyObject *dict) {
    PyObject *key, *value;
    for (Py_ssize_t place = 0; PyDict_Next(dict, &place, &key, &value);) {
        bool known = false;
        for (unsigned i = 0; i < type->child_count && !known; i++)
            known = PyUnicode_Check(key) && PyUnicode_Compare(key, type->names[i]) == 0;
        if (!known) {
            PyErr_Format(PyExc_TypeError, "%U has no member %.100R", type->text, key);
            return -1;
        }
    }
    return hooks_value_misfit(type, dict);
}

static int put_struct(hooks_state *state, hooks_growing *node, PyObject *value) {
    const hooks_type *type = node->type;
    bool is_dict = PyDict_Check(value);
    if (!is_dict && !PyTuple_Check(value)) return hooks_value_misfit(type, value);
    Py_ssize_t size = is_dict ? PyDict_GET_SIZE(value) : PyTuple_GET_SIZE(value);
    if (!is_dict && size != (Py_ssize_t)type->child_count) {
        PyErr_Format(PyExc_TypeError, "%U needs %u values, not %zd: %.100R", type->text, type->child_count, size,
                     value);
        return -1;
    }
    for (unsigned i = 0; i < type->child_count; i++) {
        PyObject *item = is_dict ? PyDict_GetItemWithError(value, type->names[i]) : PyTuple_GET_ITEM(value, i);
        if (item == NULL) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_TypeError, "%U needs the key %R: %.100R", type->text, type->names[i], value);
            return -1;
        }
        Py_INCREF(item);
        int done = put(state, &node->children[i], item);
        Py_DECREF(item);
        if (done < 0) return -1;
    }
    return is_dict && size > (Py_ssize_t)type->child_count ? unknown_member(type, value) : 0;
}

/* On failure children may hold a part of the value: hooks_column_append cuts it off at the root. */
static int put(hooks_state *state, hooks_growing *node, PyObject *value) {
    if (Py_IsNone(value)) return put_null(node);
    if (reserve(node) < 0) return -1;
    int done;
    switch (node->type->kind) {
    case HOOKS_VARCHAR: done = put_text(node, value); break;
    case HOOKS_BLOB: done = put_blob(node, value); break;
    case HOOKS_LIST: done = put_list(state, node, value); break;
    case HOOKS_STRUCT: done = put_struct(state, node, value); break;
    default: done = hooks_value_put(state, node->type, value, node->cells + node->rows * node->type->width);
    }
    if (done < 0) return -1;
    set_valid(node, true);
    node->rows++;
    return 0;
}

int hooks_column_append(hooks_column *column, PyObject *value) {
    uint64_t rows = column->values.rows;
    if (put(column->state, &column->values, value) == 0) return 0;
    cut(&column->values, rows);
    return -1;
}

static void clear_node(hooks_growing *node) {
    if (node->bytes_room + node->room * 8 > KEPT_BYTES) free_buffers(node);
    node->rows = 0;
    for (unsigned i = 0; i < node->type->child_count; i++) clear_node(&node->children[i]);
}

void hooks_column_clear(hooks_column *column) { clear_node(&column->values); }

static uint64_t size_of(const hooks_growing *node) {
    uint64_t size = words(node->rows) * 8;
    if (hooks_type_is_fixed(node->type)) return size + padded(node->rows * node->type->width);
    if (node->type->kind != HOOKS_STRUCT) size += (node->rows + 1) * 8;
    if (hooks_type_is_text(node->type)) size += padded(node->offsets ? node->offsets[node->rows] : 0);
    for (unsigned i = 0; i < node->type->child_count; i++) size += size_of(&node->children[i]);
    return size;
}

uint64_t hooks_column_size(const hooks_column *column) { return size_of(&column->values); }

/* `bytes` bytes and zeros up to the next multiple of 8. */
static unsigned char *copy(unsigned char *out, const void *from, uint64_t bytes) {
    uint64_t all = padded(bytes);
    if (all > bytes) memset(out + all - 8, 0, 8);
    if (bytes) memcpy(out, from, bytes);
    return out + all;
}

static unsigned char *write_node(const hooks_growing *node, unsigned char *out) {
    static const uint64_t ZERO;
    out = copy(out, node->validity, words(node->rows) * 8);
    if (hooks_type_is_fixed(node->type)) return copy(out, node->cells, node->rows * node->type->width);
    if (node->type->kind != HOOKS_STRUCT) out = copy(out, node->offsets ? node->offsets : &ZERO, (node->rows + 1) * 8);
    if (hooks_type_is_text(node->type)) return copy(out, node->bytes, node->offsets ? node->offsets[node->rows] : 0);
    for (unsigned i = 0; i < node->type->child_count; i++) out = write_node(&node->children[i], out);
    return out;
}

void hooks_column_write(const hooks_column *column, unsigned char *out) { write_node(&column->values, out); }

static PyObject *column_new(PyTypeObject *cls, PyObject *arguments, PyObject *keywords) {
    static char *NAMES[] = {"type", NULL};
    PyObject *text;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "U:Column", NAMES, &text)) return NULL;
    hooks_column *column = (hooks_column *)cls->tp_alloc(cls, 0);
    if (column == NULL) return NULL;
    column->state = PyType_GetModuleState(cls);
    column->type = hooks_type_parse(text);
    if (column->type && open_node(&column->values, column->type)) return (PyObject *)column;
    if (!PyErr_Occurred()) PyErr_NoMemory();
    Py_DECREF(column);
    return NULL;
}

static void column_dealloc(PyObject *self) {
    hooks_column *column = (hooks_column *)self;
    PyTypeObject *cls = Py_TYPE(self);
    if (column->values.type) close_node(&column->values);
    hooks_type_free(column->type);
    cls->tp_free(self);
    Py_DECREF(cls);
}

static Py_ssize_t column_length(PyObject *self) { return (Py_ssize_t)((hooks_column *)self)->values.rows; }

static PyObject *column_append(PyObject *self, PyObject *value) {
    if (hooks_column_append((hooks_column *)self, value) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *column_extend(PyObject *self, PyObject *values) {
    PyObject *items = PySequence_Fast(values, "a sequence is needed"), *done = Py_None;
    if (items == NULL) return NULL;
    for (Py_ssize_t i = 0; done && i < PySequence_Fast_GET_SIZE(items); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(items, i));
        if (hooks_column_append((hooks_column *)self, item) < 0) done = NULL;
        Py_DECREF(item);
    }
    Py_DECREF(items);
    return Py_XNewRef(done);
}

/* values for the rows whose byte in `kept` is 1, NULL for the others. */
static PyObject *column_scatter(PyObject *self, PyObject *arguments) {
    PyObject *values, *kept;
    if (!PyArg_ParseTuple(arguments, "OO!:scatter", &values, &PyBytes_Type, &kept)) return NULL;
    PyObject *items = PySequence_Fast(values, "a sequence is needed"), *done = Py_None;
    if (items == NULL) return NULL;
    Py_ssize_t next = 0;
    for (Py_ssize_t row = 0; done && row < PyBytes_GET_SIZE(kept); row++) {
        bool is_value = PyBytes_AS_STRING(kept)[row];
        if (is_value && next >= PySequence_Fast_GET_SIZE(items)) {
            PyErr_SetString(PyExc_ValueError, "fewer values than rows");
            done = NULL;
            break;
        }
        PyObject *item = Py_NewRef(is_value ? PySequence_Fast_GET_ITEM(items, next++) : Py_None);
        if (hooks_column_append((hooks_column *)self, item) < 0) done = NULL;
        Py_DECREF(item);
    }
    Py_DECREF(items);
    return Py_XNewRef(done);
}

static int check_offsets(const Py_buffer *offsets, uint64_t rows, uint64_t bytes) {
    const uint64_t *from = offsets->buf;
    bool fits = (uint64_t)offsets->len >= (rows + 1) * 8 && from[0] == 0 && from[rows] <= bytes;
    for (uint64_t i = 0; fits && i < rows; i++) fits = from[i] <= from[i + 1];
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "offsets do not fit the bytes");
        return -1;
    }
    return 0;
}

static bool is_valid(const hooks_growing *node, uint64_t row) { return node->validity[row / 64] >> (row % 64) & 1; }

/* Cells that are none, of rows that are not NULL. */
static int check_cells(const hooks_growing *node, uint64_t rows) {
    for (uint64_t row = 0; row < rows; row++) {
        if (!is_valid(node, row) || hooks_value_is_cell(node->type, node->cells + row * node->type->width)) continue;
        PyErr_Format(PyExc_OverflowError, "row %llu is out of the range of %U", (unsigned long long)row,
                     node->type->text);
        return -1;
    }
    return 0;
}

/* The texts are UTF-8 if all bytes are and none begins within a character. */
static int check_texts(const hooks_growing *node, uint64_t rows) {
    if (node->type->kind != HOOKS_VARCHAR) return 0;
    uint64_t size = node->offsets[rows];
    PyObject *all = PyUnicode_DecodeUTF8(node->bytes ? node->bytes : "", (Py_ssize_t)size, NULL);
    if (all == NULL) return -1;
    Py_DECREF(all);
    for (uint64_t row = 0; row < rows; row++) {
        uint64_t start = node->offsets[row];
        if (start == size || ((unsigned char)node->bytes[start] & 0xC0) != 0x80) continue;
        PyErr_SetString(PyExc_ValueError, "a text is not UTF-8");
        return -1;
    }
    return 0;
}

/* `rows` values of a plain type at once, from buffers that a message could have. */
static int fill(hooks_growing *node, uint64_t rows, const Py_buffer *validity, const Py_buffer *offsets,
                const Py_buffer *cells) {
    const hooks_type *type = node->type;
    bool is_text = hooks_type_is_text(type);
    if (type->child_count > 0 || (uint64_t)validity->len < (rows + 7) / 8 || is_text != (offsets->buf != NULL) ||
        (!is_text && (uint64_t)cells->len < rows * type->width)) {
        PyErr_SetString(PyExc_ValueError, "buffers do not fit the type");
        return -1;
    }
    if (is_text && check_offsets(offsets, rows, (uint64_t)cells->len) < 0) return -1;
    while (node->room < rows) {
        node->rows = node->room; /* reserve() makes room for one more than there are */
        if (reserve(node) < 0) return -1;
    }
    node->rows = 0;
    if (rows == 0) return 0;
    node->validity[(rows - 1) / 64] = 0;
    memcpy(node->validity, validity->buf, (rows + 7) / 8);
    if (is_text) {
        if (put_bytes(node, cells->buf, ((const uint64_t *)offsets->buf)[rows]) < 0) return -1;
        memcpy(node->offsets, offsets->buf, (rows + 1) * 8);
        if (check_texts(node, rows) < 0) return -1;
    } else {
        memcpy(node->cells, cells->buf, rows * type->width);
        if (check_cells(node, rows) < 0) return -1;
    }
    node->rows = rows;
    return 0;
}

static PyObject *column_fill(PyObject *self, PyObject *arguments) {
    hooks_column *column = (hooks_column *)self;
    unsigned long long rows;
    Py_buffer validity, offsets, cells;
    if (!PyArg_ParseTuple(arguments, "Ky*z*y*:fill", &rows, &validity, &offsets, &cells)) return NULL;
    hooks_column_clear(column);
    int done = -1;
    if (rows <= GEARS_MAILBOX_BYTES)
        done = fill(&column->values, rows, &validity, &offsets, &cells);
    else
        too_large();
    PyBuffer_Release(&validity);
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&cells);
    if (done < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *column_clear(PyObject *self, PyObject *none) {
    (void)none;
    hooks_column_clear((hooks_column *)self);
    Py_RETURN_NONE;
}

static PyObject *column_tobytes(PyObject *self, PyObject *none) {
    (void)none;
    hooks_column *column = (hooks_column *)self;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)hooks_column_size(column));
    if (bytes) hooks_column_write(column, (unsigned char *)PyBytes_AS_STRING(bytes));
    return bytes;
}

static PyMethodDef METHODS[] = {
    {"append", column_append, METH_O,
     "Append a value; None is NULL. TypeError, OverflowError: the column is as before."},
    {"extend", column_extend, METH_O, "Append the values of a sequence, up to the first that does not fit."},
    {"scatter", column_scatter, METH_VARARGS,
     "scatter(values, kept): append the next value for each 1 in the bytes `kept`, NULL for each 0."},
    {"fill", column_fill, METH_VARARGS,
     "fill(rows, validity, offsets, cells): take the buffers of a plain type, as Rows.buffers() gives them."},
    {"clear", column_clear, METH_NOARGS, "Take all values out."},
    {"tobytes", column_tobytes, METH_NOARGS, "Return the column as a message has it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot SLOTS[] = {
    {Py_tp_doc, "A column of values of a type, in canonical form, as a message has them."},
    {Py_tp_new, column_new},
    {Py_tp_dealloc, column_dealloc},
    {Py_tp_methods, METHODS},
    {Py_sq_length, column_length},
    {0, NULL},
};

PyType_Spec hooks_column_spec = {
    .name = "gearsql.shard._mailbox.Column",
    .basicsize = sizeof(hooks_column),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = SLOTS,
};
