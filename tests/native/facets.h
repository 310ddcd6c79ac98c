/* What the C programs of test_facets.py share. One that finds nothing wrong says nothing, and exits with 0. */
#ifndef GEARS_FACETS_H
#define GEARS_FACETS_H

#include <stdio.h>

static int failed;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) printf("%s:%d: %s\n", __func__, __LINE__, #condition), failed = 1;                           \
    } while (0)

#endif
