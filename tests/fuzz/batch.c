/* A type, the number of rows (one byte), and a column of the mailbox, parted by bytes 0xFF: what a session may answer.
 * DuckDB's vectors are fake_vector.h's. */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "fake_vector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *part = memchr(data, FAKE_PART, size);
    if (part == NULL || part + 2 > data + size) return 0;
    gears_hook_type *type = gears_hook_type_parse((const char *)data, (size_t)(part - data));
    if (type == NULL || !gears_hook_type_crosses(type)) { /* a function of it is refused when it is defined */
        gears_hook_type_free(type);
        return 0;
    }
    size_t rows = part[1], length = (size_t)(data + size - part - 2);
    uint64_t *copy = malloc(length ? length : 1); /* aligned as the module's */
    if (length) memcpy(copy, part + 2, length);
    vector v;
    bind();
    make(&v, type, rows);
    char *at = (char *)copy, *end = at + length;
    const char *problem = gears_batch_read(&at, end, type, (duckdb_vector)(void *)&v, 0, rows);
    if (problem == NULL && (at < (char *)copy || at > end)) abort();
    release(&v);
    free(copy);
    gears_hook_type_free(type);
    return 0;
}
