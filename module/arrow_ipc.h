/* Arrow arrays (C data interface) → messages of an Arrow IPC stream, as the module ships rows to the coordinator.
 *
 * Called on worker threads without any lock; no state is kept between calls. A stream is one schema message, batches,
 * and the end marker, concatenated. Follows the Arrow columnar format's "Serialization and Interprocess Communication"
 * (metadata version V5, little-endian) and "The Arrow C data interface".
 *
 * A format that arrow_layout.c does not name (views, run-end encoding) and dictionaries of nested values are refused,
 * never written wrongly.
 */
#ifndef GEARS_ARROW_IPC_H
#define GEARS_ARROW_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif

/* Growable bytes. Zero-initialise; release with gears_buffer_free; `size = 0` empties it and keeps the memory.
 * `error` tells why the last message was not written: a sentence, cut to fit ("out of memory" is one). */
typedef struct {
    uint8_t *data;
    size_t size;
    size_t capacity;
    char error[256];
} gears_buffer;

/* Append the schema message: `schema` is a struct ('+s') whose children are the columns.
 * All three return false with `out->error` set, and then leave `out->size` as it was. They keep no reference and
 * release nothing. */
GEARS_EXPORT bool gears_ipc_schema(const struct ArrowSchema *schema, gears_buffer *out);

/* Append the batch of `array` (a struct array of `schema`): a message for each dictionary, then the record batch. Array
 * offsets, null_count -1 and absent validity buffers are as the C data interface allows; nulls of the struct itself
 * are refused, since a batch has no place for them. */
GEARS_EXPORT bool gears_ipc_batch(const struct ArrowSchema *schema, const struct ArrowArray *array, gears_buffer *out);

/* Append the end-of-stream marker. */
GEARS_EXPORT bool gears_ipc_end(gears_buffer *out);

GEARS_EXPORT void gears_buffer_free(gears_buffer *buffer);

#endif
