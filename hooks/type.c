/* Canonical text → tree; see type.h. */
#include "type.h"

#include <string.h>

enum { DEEPEST = 16 };

static const struct {
    const char *name;
    hooks_kind kind;
    unsigned width;
} PLAIN[] = {
    {"BOOLEAN", HOOKS_BOOLEAN, 1},
    {"TINYINT", HOOKS_TINYINT, 1},
    {"SMALLINT", HOOKS_SMALLINT, 2},
    {"INTEGER", HOOKS_INTEGER, 4},
    {"BIGINT", HOOKS_BIGINT, 8},
    {"HUGEINT", HOOKS_HUGEINT, 16},
    {"UTINYINT", HOOKS_UTINYINT, 1},
    {"USMALLINT", HOOKS_USMALLINT, 2},
    {"UINTEGER", HOOKS_UINTEGER, 4},
    {"UBIGINT", HOOKS_UBIGINT, 8},
    {"UHUGEINT", HOOKS_UHUGEINT, 16},
    {"FLOAT", HOOKS_FLOAT, 4},
    {"DOUBLE", HOOKS_DOUBLE, 8},
    {"DATE", HOOKS_DATE, 4},
    {"TIMESTAMP WITH TIME ZONE", HOOKS_TIMESTAMPTZ, 8}, /* the longer of two before the shorter */
    {"TIMESTAMP", HOOKS_TIMESTAMP, 8},
    {"TIME", HOOKS_TIME, 8},
    {"INTERVAL", HOOKS_INTERVAL, 16},
    {"UUID", HOOKS_UUID, 16},
    {"VARCHAR", HOOKS_VARCHAR, 0},
    {"BLOB", HOOKS_BLOB, 0},
};

typedef struct {
    const char *at, *end;
} text;

static hooks_type *parse(text *rest, int depth);

static bool take(text *rest, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(rest->end - rest->at) < length || memcmp(rest->at, word, length) != 0) return false;
    rest->at += length;
    return true;
}

static bool take_number(text *rest, unsigned *number) {
    unsigned value = 0;
    const char *start = rest->at;
    for (; rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9' && rest->at - start < 3; rest->at++)
        value = value * 10 + (unsigned)(*rest->at - '0');
    *number = value;
    return rest->at > start;
}

static hooks_type *make(hooks_kind kind, unsigned width) {
    hooks_type *type = PyMem_Calloc(1, sizeof *type);
    if (type == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    type->kind = kind;
    type->width = width;
    return type;
}

static hooks_type *refuse(hooks_type *type) {
    hooks_type_free(type);
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "not a type");
    return NULL;
}

static hooks_type *parse_decimal(text *rest) {
    unsigned precision, scale;
    if (!take_number(rest, &precision) || !take(rest, ",") || !take_number(rest, &scale) || !take(rest, ")") ||
        precision < 1 || precision > 38 || scale > precision)
        return refuse(NULL);
    hooks_type *type = make(HOOKS_DECIMAL, precision <= 4 ? 2 : precision <= 9 ? 4 : precision <= 18 ? 8 : 16);
    if (type == NULL) return NULL;
    type->precision = precision;
    type->scale = scale;
    return type;
}

/* "name", its quotes doubled inside. */
static PyObject *parse_name(text *rest) {
    if (!take(rest, "\"")) return NULL;
    char *name = PyMem_Malloc((size_t)(rest->end - rest->at) + 1);
    if (name == NULL) return PyErr_NoMemory();
    size_t length = 0;
    PyObject *found = NULL;
    for (; rest->at < rest->end; rest->at++) {
        if (*rest->at == '"' && (rest->at + 1 == rest->end || rest->at[1] != '"')) {
            rest->at++;
            found = PyUnicode_DecodeUTF8(name, (Py_ssize_t)length, NULL);
            break;
        }
        if (*rest->at == '"') rest->at++;
        name[length++] = *rest->at;
    }
    PyMem_Free(name);
    if (found) PyUnicode_InternInPlace(&found);
    return found;
}

static bool add_child(hooks_type *type, PyObject *name, hooks_type *child) {
    size_t count = type->child_count + 1;
    hooks_type **children = PyMem_Realloc(type->children, count * sizeof *children);
    if (children) type->children = children;
    PyObject **names = PyMem_Realloc(type->names, count * sizeof *names);
    if (names) type->names = names;
    if (children == NULL || names == NULL) {
        Py_XDECREF(name);
        hooks_type_free(child);
        PyErr_NoMemory();
        return false;
    }
    children[type->child_count] = child;
    names[type->child_count++] = name;
    return true;
}

static hooks_type *parse_struct(text *rest, int depth) {
    hooks_type *type = make(HOOKS_STRUCT, 0);
    if (type == NULL) return NULL;
    do {
        PyObject *name = parse_name(rest);
        if (name == NULL || !take(rest, " ")) {
            Py_XDECREF(name);
            return refuse(type);
        }
        hooks_type *child = parse(rest, depth - 1);
        if (child == NULL) {
            Py_DECREF(name);
            return refuse(type);
        }
        if (!add_child(type, name, child)) return refuse(type);
    } while (take(rest, ", "));
    return take(rest, ")") ? type : refuse(type);
}

static hooks_type *parse_base(text *rest, int depth) {
    if (take(rest, "STRUCT(")) return parse_struct(rest, depth);
    if (take(rest, "DECIMAL(")) return parse_decimal(rest);
    for (size_t i = 0; i < sizeof PLAIN / sizeof *PLAIN; i++)
        if (take(rest, PLAIN[i].name)) return make(PLAIN[i].kind, PLAIN[i].width);
    return refuse(NULL);
}

static int depth_of(const hooks_type *type) {
    int deepest = 0;
    for (unsigned i = 0; i < type->child_count; i++) {
        int depth = depth_of(type->children[i]);
        if (depth > deepest) deepest = depth;
    }
    return deepest + 1;
}

static bool set_text(hooks_type *type, const char *start, const char *end) {
    type->text = PyUnicode_DecodeUTF8(start, end - start, NULL);
    return type->text != NULL;
}

static hooks_type *parse(text *rest, int depth) {
    if (depth <= 0) return refuse(NULL);
    const char *start = rest->at;
    hooks_type *type = parse_base(rest, depth);
    if (type == NULL || !set_text(type, start, rest->at)) return refuse(type);
    for (int brackets = 0; take(rest, "[]"); brackets++) {
        hooks_type *list = brackets < DEEPEST ? make(HOOKS_LIST, 0) : NULL;
        if (list == NULL) return refuse(type);
        if (!add_child(list, NULL, type) || !set_text(list, start, rest->at)) return refuse(list);
        type = list;
    }
    return depth_of(type) <= depth ? type : refuse(type);
}

hooks_type *hooks_type_parse(PyObject *name) {
    Py_ssize_t length;
    const char *bytes = PyUnicode_AsUTF8AndSize(name, &length);
    if (bytes == NULL) return NULL;
    text rest = {bytes, bytes + length};
    hooks_type *type = parse(&rest, DEEPEST);
    if (type && rest.at == rest.end) return type;
    bool no_type = type != NULL || PyErr_ExceptionMatches(PyExc_ValueError);
    hooks_type_free(type);
    if (no_type) PyErr_Format(PyExc_ValueError, "%R is not a type in canonical form", name);
    return NULL;
}

void hooks_type_free(hooks_type *type) {
    if (type == NULL) return;
    for (unsigned i = 0; i < type->child_count; i++) {
        hooks_type_free(type->children[i]);
        Py_XDECREF(type->names[i]);
    }
    PyMem_Free(type->children);
    PyMem_Free(type->names);
    Py_XDECREF(type->text);
    PyMem_Free(type);
}
