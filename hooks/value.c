/* Cells ↔ objects: the dispatch, and all numbers; see value.h and value_time.c. */
#include "value.h"

#include <math.h>
#include <string.h>

#include "value_time.h"

typedef __int128 int128;

static int128 load(const unsigned char *cell, unsigned width) {
    switch (width) {
    case 1: return (signed char)*cell;
    case 2: {
        int16_t number;
        memcpy(&number, cell, sizeof number);
        return number;
    }
    case 4: {
        int32_t number;
        memcpy(&number, cell, sizeof number);
        return number;
    }
    case 8: {
        int64_t number;
        memcpy(&number, cell, sizeof number);
        return number;
    }
    default: {
        int128 number;
        memcpy(&number, cell, sizeof number);
        return number;
    }
    }
}

/* Little-endian: the low bytes of a wider number are the number. */
static void store(unsigned char *cell, unsigned width, int128 number) { memcpy(cell, &number, width); }

static const char *wanted(hooks_kind kind) {
    switch (kind) {
    case HOOKS_BOOLEAN: return "a bool";
    case HOOKS_FLOAT:
    case HOOKS_DOUBLE: return "a float or an int";
    case HOOKS_DATE: return "a date (not a datetime)";
    case HOOKS_TIME: return "a time without a time zone";
    case HOOKS_TIMESTAMP: return "a datetime without a time zone";
    case HOOKS_TIMESTAMPTZ: return "a datetime with a time zone";
    case HOOKS_INTERVAL: return "a timedelta";
    case HOOKS_UUID: return "a UUID";
    case HOOKS_VARCHAR: return "a str";
    case HOOKS_BLOB: return "bytes";
    case HOOKS_DECIMAL: return "a Decimal or an int";
    case HOOKS_LIST: return "a list";
    case HOOKS_STRUCT: return "a dict or a tuple";
    default: return "an int";
    }
}

int hooks_value_misfit(const hooks_type *type, PyObject *value) {
    PyErr_Format(PyExc_TypeError, "%U needs %s, not %.100s: %.100R", type->text, wanted(type->kind),
                 Py_TYPE(value)->tp_name, value);
    return -1;
}

static int beyond(const hooks_type *type, PyObject *value) {
    PyErr_Format(PyExc_OverflowError, "%.100R is out of the range of %U", value, type->text);
    return -1;
}

/* high · 2⁶⁴ + low; takes `high`, which may be NULL with an exception set. */
static PyObject *join(PyObject *high, uint64_t low) {
    PyObject *bits = PyLong_FromLong(64), *shifted = NULL, *rest = NULL, *joined = NULL;
    if (high && bits) shifted = PyNumber_Lshift(high, bits);
    if (shifted) rest = PyLong_FromUnsignedLongLong(low);
    if (rest) joined = PyNumber_Or(shifted, rest);
    Py_XDECREF(high);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    Py_XDECREF(rest);
    return joined;
}

static PyObject *integer_object(int128 number) {
    if (number == (int64_t)number) return PyLong_FromLongLong((int64_t)number);
    return join(PyLong_FromLongLong((int64_t)(number >> 64)), (uint64_t)number);
}

static PyObject *get_uhugeint(const unsigned char *cell) {
    unsigned __int128 number = (unsigned __int128)load(cell, 16);
    return join(PyLong_FromUnsignedLongLong((uint64_t)(number >> 64)), (uint64_t)number);
}

/* An exact int, or NULL with TypeError. What is like an int without being one (numpy's) comes by __index__. */
static PyObject *whole(const hooks_type *type, PyObject *value) {
    if (PyLong_CheckExact(value)) return Py_NewRef(value);
    if (PyBool_Check(value) || !PyIndex_Check(value)) {
        hooks_value_misfit(type, value);
        return NULL;
    }
    return PyNumber_Index(value);
}

/* 1: *out holds it; 0: beyond 128 bits; -1: an exception. */
static int integer_value(PyObject *number, int128 *out) {
    int overflow;
    long long fits = PyLong_AsLongLongAndOverflow(number, &overflow);
    *out = fits;
    if (!overflow) return fits == -1 && PyErr_Occurred() ? -1 : 1;
    PyObject *bits = PyLong_FromLong(64), *shifted = bits ? PyNumber_Rshift(number, bits) : NULL;
    Py_XDECREF(bits);
    if (shifted == NULL) return -1;
    long long high = PyLong_AsLongLongAndOverflow(shifted, &overflow);
    Py_DECREF(shifted);
    *out = (int128)(((unsigned __int128)high << 64) | PyLong_AsUnsignedLongLongMask(number));
    return !overflow;
}

static int put_integer(const hooks_type *type, PyObject *value, unsigned char *cell) {
    static const struct {
        int64_t least;
        uint64_t most;
    } RANGES[] = {
        [HOOKS_TINYINT] = {INT8_MIN, INT8_MAX},   [HOOKS_SMALLINT] = {INT16_MIN, INT16_MAX},
        [HOOKS_INTEGER] = {INT32_MIN, INT32_MAX}, [HOOKS_BIGINT] = {INT64_MIN, INT64_MAX},
        [HOOKS_UTINYINT] = {0, UINT8_MAX},        [HOOKS_USMALLINT] = {0, UINT16_MAX},
        [HOOKS_UINTEGER] = {0, UINT32_MAX},       [HOOKS_UBIGINT] = {0, UINT64_MAX},
    };
    PyObject *exact = whole(type, value);
    if (exact == NULL) return -1;
    int128 number;
    int fits = integer_value(exact, &number);
    Py_DECREF(exact);
    if (fits < 0) return -1;
    if (fits && type->kind != HOOKS_HUGEINT)
        fits = number >= RANGES[type->kind].least && number <= (int128)RANGES[type->kind].most;
    if (!fits) return beyond(type, value);
    store(cell, type->width, number);
    return 0;
}

static int put_uhugeint(const hooks_type *type, PyObject *value, unsigned char *cell) {
    PyObject *exact = whole(type, value), *bits = PyLong_FromLong(64);
    PyObject *high = exact && bits ? PyNumber_Rshift(exact, bits) : NULL;
    uint64_t parts[2] = {0, 0};
    int done = high ? 0 : -1;
    if (high) {
        parts[0] = PyLong_AsUnsignedLongLongMask(exact);
        parts[1] = PyLong_AsUnsignedLongLong(high);
        if (PyErr_Occurred()) done = PyErr_ExceptionMatches(PyExc_OverflowError) ? beyond(type, value) : -1;
    }
    if (done == 0) memcpy(cell, parts, sizeof parts);
    Py_XDECREF(high);
    Py_XDECREF(bits);
    Py_XDECREF(exact);
    return done;
}

static int put_boolean(const hooks_type *type, PyObject *value, unsigned char *cell) {
    const char *name = Py_TYPE(value)->tp_name;
    bool is_numpys = strcmp(name, "numpy.bool") == 0 || strcmp(name, "numpy.bool_") == 0;
    if (!PyBool_Check(value) && !is_numpys) return hooks_value_misfit(type, value);
    int truth = PyObject_IsTrue(value);
    *cell = truth > 0;
    return truth < 0 ? -1 : 0;
}

/* An int rounds to the nearest double, as DuckDB's cast does. Decimal has a __float__, too, and is refused: which
 * digits are lost should be the user's own float(). */
static int real(const hooks_type *type, PyObject *value, double *out) {
    PyNumberMethods *numbers = Py_TYPE(value)->tp_as_number;
    bool is_number = PyFloat_Check(value) || PyIndex_Check(value) || (numbers && numbers->nb_float);
    if (!is_number || PyBool_Check(value) || strcmp(Py_TYPE(value)->tp_name, "decimal.Decimal") == 0)
        return hooks_value_misfit(type, value);
    *out = PyFloat_AsDouble(value);
    if (*out != -1.0 || !PyErr_Occurred()) return 0;
    return PyErr_ExceptionMatches(PyExc_OverflowError) ? beyond(type, value) : -1;
}

static int put_real(const hooks_type *type, PyObject *value, unsigned char *cell) {
    double number = 0;
    if (PyFloat_CheckExact(value))
        number = PyFloat_AS_DOUBLE(value);
    else if (real(type, value, &number) < 0)
        return -1;
    if (type->kind == HOOKS_DOUBLE) {
        memcpy(cell, &number, sizeof number);
        return 0;
    }
    float narrow = (float)number;
    if (isinf(narrow) && isfinite(number)) return beyond(type, value);
    memcpy(cell, &narrow, sizeof narrow);
    return 0;
}

static PyObject *get_real(const hooks_type *type, const unsigned char *cell) {
    if (type->kind == HOOKS_DOUBLE) {
        double number;
        memcpy(&number, cell, sizeof number);
        return PyFloat_FromDouble(number);
    }
    float number;
    memcpy(&number, cell, sizeof number);
    return PyFloat_FromDouble((double)number);
}

/* A borrowed class of the standard library, imported at its first use. */
static PyObject *borrow(PyObject **slot, const char *module, const char *name) {
    if (*slot) return *slot;
    PyObject *found = PyImport_ImportModule(module);
    if (found == NULL) return NULL;
    *slot = PyObject_GetAttrString(found, name);
    Py_DECREF(found);
    return *slot;
}

/* From text, since Decimal('…') is exact in every context. */
static PyObject *get_decimal(hooks_state *state, const hooks_type *type, const unsigned char *cell) {
    PyObject *decimal = borrow(&state->decimal_type, "decimal", "Decimal");
    if (decimal == NULL) return NULL;
    int128 number = load(cell, type->width);
    unsigned __int128 rest = number < 0 ? -(unsigned __int128)number : (unsigned __int128)number;
    char digits[48], *at = digits + sizeof digits;
    for (unsigned place = 0; rest > 0 || place <= type->scale; place++, rest /= 10) {
        if (place == type->scale && place > 0) *--at = '.';
        *--at = (char)('0' + (int)(rest % 10));
    }
    if (number < 0) *--at = '-';
    PyObject *text = PyUnicode_FromStringAndSize(at, digits + sizeof digits - at);
    PyObject *value = text ? PyObject_CallOneArg(decimal, text) : NULL;
    Py_XDECREF(text);
    return value;
}

/* str(Decimal) → number · 10^scale, rounded half away from zero as DuckDB's cast. 1: done; 0: out of range; -1: not
 * a finite number. The text is [-]digits[.digits][E±digits]. */
static int scale_decimal(const char *text, const hooks_type *type, int128 *out) {
    bool negative = *text == '-';
    if (negative) text++;
    if (*text < '0' || *text > '9') return -1;
    const char *mantissa = text;
    long length = 0, whole_digits = -1;
    for (; (*text >= '0' && *text <= '9') || *text == '.'; text++) {
        if (*text == '.')
            whole_digits = length;
        else
            length++;
    }
    if (whole_digits < 0) whole_digits = length;
    long long exponent = *text == 'E' ? strtoll(text + 1, NULL, 10) : 0;
    /* The digits before this place make the number, the one at it rounds. */
    long long keep = whole_digits + exponent + type->scale;
    unsigned __int128 number = 0, limit = 1;
    for (unsigned i = 0; i < type->precision; i++) limit *= 10;
    long long place = 0;
    bool up = false;
    for (; *mantissa != '\0' && *mantissa != 'E'; mantissa++) {
        if (*mantissa == '.') continue;
        if (place < keep) {
            if (number >= limit / 10) return 0;
            number = number * 10 + (unsigned)(*mantissa - '0');
        } else if (place == keep) {
            up = *mantissa >= '5';
        }
        place++;
    }
    for (; number > 0 && place < keep; place++) {
        if (number >= limit / 10) return 0;
        number *= 10;
    }
    number += up;
    if (number >= limit) return 0;
    *out = negative ? -(int128)number : (int128)number;
    return 1;
}

static int put_decimal(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell) {
    PyObject *decimal = borrow(&state->decimal_type, "decimal", "Decimal");
    if (decimal == NULL) return -1;
    PyObject *exact = NULL;
    if (PyObject_TypeCheck(value, (PyTypeObject *)decimal))
        exact = Py_NewRef(value);
    else
        exact = whole(type, value);
    if (exact == NULL) return -1;
    int128 number = 0;
    int fits = 1;
    if (PyLong_CheckExact(exact)) {
        fits = integer_value(exact, &number);
        unsigned __int128 size = number < 0 ? -(unsigned __int128)number : (unsigned __int128)number, limit = 1;
        for (unsigned i = type->scale; i < type->precision; i++) limit *= 10;
        if (fits > 0) fits = size < limit;
        for (unsigned i = 0; fits > 0 && i < type->scale; i++) number *= 10;
    } else {
        PyObject *text = PyObject_Str(exact);
        const char *digits = text ? PyUnicode_AsUTF8(text) : NULL;
        fits = digits ? scale_decimal(digits, type, &number) : -2;
        Py_XDECREF(text);
    }
    Py_DECREF(exact);
    if (fits == -1 && !PyErr_Occurred()) return hooks_value_misfit(type, value);
    if (fits < 0) return -1;
    if (fits == 0) return beyond(type, value);
    store(cell, type->width, number);
    return 0;
}

/* Its int and is_safe are set as UUID's own __init__ does, past its __setattr__, which refuses: five times faster. */
static PyObject *get_uuid(hooks_state *state, const unsigned char *cell) {
    PyObject *uuid = borrow(&state->uuid_type, "uuid", "UUID");
    if (uuid == NULL) return NULL;
    if (state->uuid_unknown == NULL) {
        PyObject *safety = NULL;
        if (borrow(&safety, "uuid", "SafeUUID")) state->uuid_unknown = PyObject_GetAttrString(safety, "unknown");
        Py_XDECREF(safety);
        if (state->uuid_unknown == NULL) return NULL;
    }
    unsigned __int128 stored;
    memcpy(&stored, cell, sizeof stored);
    uint64_t high = (uint64_t)(stored >> 64) ^ ((uint64_t)1 << 63);
    PyObject *number = join(PyLong_FromUnsignedLongLong(high), (uint64_t)stored), *none = PyTuple_New(0);
    PyObject *made = number && none ? ((PyTypeObject *)uuid)->tp_new((PyTypeObject *)uuid, none, NULL) : NULL;
    Py_XDECREF(none);
    if (made && (PyObject_GenericSetAttr(made, state->name_int, number) < 0 ||
                 PyObject_GenericSetAttr(made, state->name_is_safe, state->uuid_unknown) < 0))
        Py_CLEAR(made);
    Py_XDECREF(number);
    return made;
}

static int put_uuid(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell) {
    PyObject *uuid = borrow(&state->uuid_type, "uuid", "UUID");
    if (uuid == NULL) return -1;
    if (!PyObject_TypeCheck(value, (PyTypeObject *)uuid)) return hooks_value_misfit(type, value);
    PyObject *number = PyObject_GetAttr(value, state->name_int), *bits = PyLong_FromLong(64), *high = NULL;
    if (number && bits && PyLong_Check(number)) high = PyNumber_Rshift(number, bits);
    Py_XDECREF(bits);
    uint64_t parts[2] = {0, 0};
    if (high) {
        parts[0] = PyLong_AsUnsignedLongLongMask(number);
        parts[1] = PyLong_AsUnsignedLongLong(high) ^ ((uint64_t)1 << 63);
        memcpy(cell, parts, sizeof parts);
    }
    Py_XDECREF(number);
    Py_XDECREF(high);
    if (PyErr_Occurred()) return -1;
    return high ? 0 : hooks_value_misfit(type, value);
}

bool hooks_value_is_cell(const hooks_type *type, const unsigned char *cell) {
    switch (type->kind) {
    case HOOKS_BOOLEAN: return *cell <= 1;
    case HOOKS_DATE:
    case HOOKS_TIME:
    case HOOKS_TIMESTAMP:
    case HOOKS_TIMESTAMPTZ: return hooks_value_is_time(type, (int64_t)load(cell, type->width));
    case HOOKS_DECIMAL: {
        int128 number = load(cell, type->width);
        unsigned __int128 size = number < 0 ? -(unsigned __int128)number : (unsigned __int128)number, limit = 1;
        for (unsigned i = 0; i < type->precision; i++) limit *= 10;
        return size < limit;
    }
    default: return true;
    }
}

PyObject *hooks_value_get(hooks_state *state, const hooks_type *type, const unsigned char *cell) {
    switch (type->kind) {
    case HOOKS_BOOLEAN: return PyBool_FromLong(*cell);
    case HOOKS_TINYINT:
    case HOOKS_SMALLINT:
    case HOOKS_INTEGER: return PyLong_FromLong((long)load(cell, type->width));
    case HOOKS_BIGINT:
    case HOOKS_HUGEINT: return integer_object(load(cell, type->width));
    case HOOKS_UTINYINT: return PyLong_FromLong(*cell);
    case HOOKS_USMALLINT: return PyLong_FromLong((uint16_t)load(cell, 2));
    case HOOKS_UINTEGER: return PyLong_FromLongLong((uint32_t)load(cell, 4));
    case HOOKS_UBIGINT: return PyLong_FromUnsignedLongLong((uint64_t)load(cell, 8));
    case HOOKS_UHUGEINT: return get_uhugeint(cell);
    case HOOKS_FLOAT:
    case HOOKS_DOUBLE: return get_real(type, cell);
    case HOOKS_DATE: return hooks_value_get_date(state, (int32_t)load(cell, 4));
    case HOOKS_TIME: return hooks_value_get_time(state, (int64_t)load(cell, 8));
    case HOOKS_TIMESTAMP: return hooks_value_get_timestamp(state, (int64_t)load(cell, 8), Py_None);
    case HOOKS_TIMESTAMPTZ:
        return hooks_value_get_timestamp(state, (int64_t)load(cell, 8), state->datetime->TimeZone_UTC);
    case HOOKS_INTERVAL: return hooks_value_get_interval(state, cell);
    case HOOKS_UUID: return get_uuid(state, cell);
    case HOOKS_DECIMAL: return get_decimal(state, type, cell);
    default: break;
    }
    PyErr_SetString(PyExc_SystemError, "no fixed width");
    return NULL;
}

int hooks_value_put(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell) {
    switch (type->kind) {
    case HOOKS_BOOLEAN: return put_boolean(type, value, cell);
    case HOOKS_UHUGEINT: return put_uhugeint(type, value, cell);
    case HOOKS_FLOAT:
    case HOOKS_DOUBLE: return put_real(type, value, cell);
    case HOOKS_DATE: return hooks_value_put_date(state, type, value, cell);
    case HOOKS_TIME: return hooks_value_put_time(state, type, value, cell);
    case HOOKS_TIMESTAMP:
    case HOOKS_TIMESTAMPTZ: return hooks_value_put_timestamp(state, type, value, cell);
    case HOOKS_INTERVAL: return hooks_value_put_interval(state, type, value, cell);
    case HOOKS_UUID: return put_uuid(state, type, value, cell);
    case HOOKS_DECIMAL: return put_decimal(state, type, value, cell);
    default: return put_integer(type, value, cell);
    }
}
