/* Dates, times and intervals ↔ Python's datetime; only value.c calls these. */
#ifndef HOOKS_VALUE_TIME_H
#define HOOKS_VALUE_TIME_H

#include "type.h"

PyObject *hooks_value_get_date(hooks_state *state, int32_t days);
PyObject *hooks_value_get_time(hooks_state *state, int64_t micros);
PyObject *hooks_value_get_timestamp(hooks_state *state, int64_t micros, PyObject *zone);
PyObject *hooks_value_get_interval(hooks_state *state, const unsigned char *cell);

/* Whether a DATE, TIME, TIMESTAMP is one that Python has. */
bool hooks_value_is_time(const hooks_type *type, int64_t cell);

int hooks_value_put_date(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell);
int hooks_value_put_time(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell);
int hooks_value_put_timestamp(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell);
int hooks_value_put_interval(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell);

#endif
