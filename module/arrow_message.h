/* The frame of an Arrow IPC message, and its refusal; what arrow_schema.c and arrow_ipc.c share. */
#ifndef GEARS_ARROW_MESSAGE_H
#define GEARS_ARROW_MESSAGE_H

#include "arrow_layout.h"

enum { GEARS_MESSAGE_SCHEMA = 1, GEARS_MESSAGE_DICTIONARY, GEARS_MESSAGE_BATCH };

/* Deeper types are refused, so that recursion over them is bounded. */
enum { GEARS_ARROW_DEPTH = 64 };

/* Begins a message: marker, length, the Message table. Returns the slot that shall point to the header table. */
size_t gears_message_begin(gears_flat *f, gears_buffer *out, uint8_t header, int64_t body_length);

/* Ends the metadata: pads them and fills in their length. The body follows. */
void gears_message_end(gears_flat *f);

/* Sets the buffer's error and returns false. */
__attribute__((format(printf, 2, 3))) bool gears_message_refuse(gears_buffer *out, const char *format, ...);

/* The type of a schema's node, refused by its format's name if it is none that we write. */
bool gears_message_type(const struct ArrowSchema *schema, gears_buffer *out, gears_arrow_type *type);

#endif
