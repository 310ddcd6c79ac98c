/* What the files of functions share beyond function.h. */
#ifndef GEARS_FUNCTION_PARTS_H
#define GEARS_FUNCTION_PARTS_H

#include "function.h"

/* Up to 18 digits. */
bool gears_function_number(gears_slice word, uint64_t *number);
bool gears_function_is_name(gears_slice word);
/* Words as a record, malloc'ed. */
char *gears_function_record(const gears_slice *words, size_t count, size_t *length);

#endif
