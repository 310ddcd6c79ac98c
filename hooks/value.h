/* One cell of fixed width ↔ a Python object. DECIMAL ↔ Decimal, DATE ↔ date, UUID ↔ UUID, as in mailbox.h. */
#ifndef HOOKS_VALUE_H
#define HOOKS_VALUE_H

#include "type.h"

/* A new object; NULL with an exception where Python has no such value (infinite dates, intervals of months). */
PyObject *hooks_value_get(hooks_state *state, const hooks_type *type, const unsigned char *cell);

/* 0, or -1 with TypeError (another kind of value) or OverflowError (beyond the type's range). The value is not None. */
int hooks_value_put(hooks_state *state, const hooks_type *type, PyObject *value, unsigned char *cell);

/* Whether these bytes are a cell of the type; what others wrote may be no BOOLEAN, or a date out of all years. */
bool hooks_value_is_cell(const hooks_type *type, const unsigned char *cell);

/* Set TypeError: '<type> needs <what>, not <type of value>: <value>'. Returns -1. */
int hooks_value_misfit(const hooks_type *type, PyObject *value);

#endif
