/* Elements that were read when the chunk was full: a queue of their values, which the scan empties into the next
 * chunks without the server lock. */
#ifndef GEARS_ELEMENTS_H
#define GEARS_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "pattern.h"

typedef struct gears_elements {
    char *bytes;
    size_t at, size, capacity;
    size_t count; /* elements that wait */
} gears_elements;

/* Copies the values of an element; `data` is NULL of a value that is not there. False: out of memory. */
bool gears_elements_push(gears_elements *e, const gears_slice *values, size_t count);
/* The oldest element's values, good until the next push. There must be one. */
void gears_elements_pop(gears_elements *e, gears_slice *values, size_t count);
void gears_elements_free(gears_elements *e);

#endif
