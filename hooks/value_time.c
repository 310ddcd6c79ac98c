/* Dates, times and intervals; see value_time.h. */
#include "value_time.h"

#include <string.h>

#include "value.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)

enum { FIRST_DAY = -719162, LAST_DAY = 2932896 }; /* 0001-01-01 and 9999-12-31, Python's range, since 1970-01-01 */

typedef struct {
    int year, month, day;
} civil;

/* Howard Hinnant, chrono-Compatible Low-Level Date Algorithms: eras of 400 years that begin on 1 March. */
static civil from_days(int32_t days) {
    int64_t shifted = (int64_t)days + 719468, era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted_month = (5 * of_year + 2) / 153;
    int month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    return (civil){(int)(year_of_era + era * 400) + (month <= 2), month,
                   (int)(of_year - (153 * shifted_month + 2) / 5 + 1)};
}

static int32_t to_days(civil date) {
    int year = date.year - (date.month <= 2), era = (year >= 0 ? year : year - 399) / 400;
    int year_of_era = year - era * 400;
    int of_year = (153 * (date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719468;
}

static PyObject *out_of_python(const char *what) {
    PyErr_Format(PyExc_OverflowError, "this %s is beyond what Python's has: years 1 to 9999, finite", what);
    return NULL;
}

bool hooks_value_is_time(const hooks_type *type, int64_t cell) {
    if (type->kind == HOOKS_DATE) return cell >= FIRST_DAY && cell <= LAST_DAY;
    if (type->kind == HOOKS_TIME) return cell >= 0 && cell < DAY;
    return cell >= FIRST_DAY * DAY && cell < (LAST_DAY + 1) * DAY;
}

PyObject *hooks_value_get_date(hooks_state *state, int32_t days) {
    if (days < FIRST_DAY || days > LAST_DAY) return out_of_python("DATE");
    civil date = from_days(days);
    return state->datetime->Date_FromDate(date.year, date.month, date.day, state->datetime->DateType);
}

PyObject *hooks_value_get_time(hooks_state *state, int64_t micros) {
    if (micros < 0 || micros >= DAY) {
        PyErr_SetString(PyExc_OverflowError, "this TIME is beyond what Python's has: it ends before 24:00:00");
        return NULL;
    }
    int64_t seconds = micros / SECOND;
    return state->datetime->Time_FromTime((int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60),
                                          (int)(micros % SECOND), Py_None, state->datetime->TimeType);
}

PyObject *hooks_value_get_timestamp(hooks_state *state, int64_t micros, PyObject *zone) {
    int64_t days = micros / DAY - (micros % DAY < 0), rest = micros - days * DAY, seconds = rest / SECOND;
    if (days < FIRST_DAY || days > LAST_DAY) return out_of_python("TIMESTAMP");
    civil date = from_days((int32_t)days);
    return state->datetime->DateTime_FromDateAndTime(date.year, date.month, date.day, (int)(seconds / 3600),
                                                     (int)(seconds / 60 % 60), (int)(seconds % 60),
                                                     (int)(rest % SECOND), zone, state->datetime->DateTimeType);
}

PyObject *hooks_value_get_interval(hooks_state *state, const unsigned char *cell) {
    int32_t months, days;
    int64_t micros;
    memcpy(&months, cell, sizeof months);
    memcpy(&days, cell + 4, sizeof days);
    memcpy(&micros, cell + 8, sizeof micros);
    if (months != 0) {
        PyErr_Format(PyExc_OverflowError, "an INTERVAL of %d months has no timedelta: months differ in days", months);
        return NULL;
    }
    int64_t all_days = days + micros / DAY, rest = micros % DAY;
    if (rest < 0) rest += DAY, all_days--;
    if (all_days < -999999999 || all_days > 999999999) return out_of_python("INTERVAL");
    return state->datetime->Delta_FromDelta((int)all_days, (int)(rest / SECOND), (int)(rest % SECOND), 0,
                                            state->datetime->DeltaType);
}

int hooks_value_put_date(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell) {
    if (!PyObject_TypeCheck(value, state->datetime->DateType) ||
        PyObject_TypeCheck(value, state->datetime->DateTimeType))
        return hooks_value_misfit(type, value);
    int32_t days = to_days((civil){PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value)});
    memcpy(cell, &days, sizeof days);
    return 0;
}

int hooks_value_put_time(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell) {
    if (!PyObject_TypeCheck(value, state->datetime->TimeType) || !Py_IsNone(PyDateTime_TIME_GET_TZINFO(value)))
        return hooks_value_misfit(type, value);
    int64_t seconds = PyDateTime_TIME_GET_HOUR(value) * 3600 + PyDateTime_TIME_GET_MINUTE(value) * 60 +
                      PyDateTime_TIME_GET_SECOND(value);
    int64_t micros = seconds * SECOND + PyDateTime_TIME_GET_MICROSECOND(value);
    memcpy(cell, &micros, sizeof micros);
    return 0;
}

static int64_t delta_micros(PyObject *delta) {
    return PyDateTime_DELTA_GET_DAYS(delta) * DAY + PyDateTime_DELTA_GET_SECONDS(delta) * SECOND +
           PyDateTime_DELTA_GET_MICROSECONDS(delta);
}

/* 1 with the offset from UTC, 0 if there is none (a naive datetime), -1 with an exception: tzinfo may be anybody's. */
static int utc_offset(hooks_state *state, PyObject *value, int64_t *micros) {
    PyObject *zone = PyDateTime_DATE_GET_TZINFO(value);
    *micros = 0;
    if (Py_IsNone(zone)) return 0;
    if (zone == state->datetime->TimeZone_UTC) return 1;
    PyObject *offset = PyObject_CallMethodNoArgs(value, state->name_utcoffset);
    if (offset == NULL) return -1;
    int found = PyObject_TypeCheck(offset, state->datetime->DeltaType);
    if (found) *micros = delta_micros(offset);
    Py_DECREF(offset);
    return found;
}

int hooks_value_put_timestamp(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell) {
    if (!PyObject_TypeCheck(value, state->datetime->DateTimeType)) return hooks_value_misfit(type, value);
    int64_t offset;
    int has_offset = utc_offset(state, value, &offset);
    if (has_offset < 0) return -1;
    if (has_offset != (type->kind == HOOKS_TIMESTAMPTZ)) return hooks_value_misfit(type, value);
    int64_t days = to_days((civil){PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value)});
    int64_t seconds = PyDateTime_DATE_GET_HOUR(value) * 3600 + PyDateTime_DATE_GET_MINUTE(value) * 60 +
                      PyDateTime_DATE_GET_SECOND(value);
    int64_t micros = days * DAY + seconds * SECOND + PyDateTime_DATE_GET_MICROSECOND(value) - offset;
    if (micros < FIRST_DAY * DAY || micros >= (LAST_DAY + 1) * DAY) {
        PyErr_Format(PyExc_OverflowError, "%.100R is out of the range of %U in UTC", value, type->text);
        return -1;
    }
    memcpy(cell, &micros, sizeof micros);
    return 0;
}

/* Days and the rest apart, as DuckDB takes a timedelta. */
int hooks_value_put_interval(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell) {
    if (!PyObject_TypeCheck(value, state->datetime->DeltaType)) return hooks_value_misfit(type, value);
    int32_t months = 0, days = PyDateTime_DELTA_GET_DAYS(value);
    int64_t micros = PyDateTime_DELTA_GET_SECONDS(value) * SECOND + PyDateTime_DELTA_GET_MICROSECONDS(value);
    memcpy(cell, &months, sizeof months);
    memcpy(cell + 4, &days, sizeof days);
    memcpy(cell + 8, &micros, sizeof micros);
    return 0;
}
