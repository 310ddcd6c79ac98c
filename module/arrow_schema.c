/* The schema message of an Arrow IPC stream, and the frame of all messages (Message.fbs and Schema.fbs). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arrow_message.h"

enum { VERSION_V5 = 4, LITTLE_ENDIAN_DATA = 0, MAX_UNION = 128 };

/* The messages' marker and the length of the metadata lie before the FlatBuffer. */
size_t gears_message_begin(gears_flat *f, gears_buffer *out, uint8_t header, int64_t body_length) {
    static const uint32_t FRAME[3] = {0xFFFFFFFF, 0, 0};
    const gears_flat_field message[] = {GEARS_FLAT_SHORT(VERSION_V5), GEARS_FLAT_BYTE(header), GEARS_FLAT_OFFSET,
                                        GEARS_FLAT_LONG(body_length)};
    *f = (gears_flat){.out = out, .base = out->size + 8};
    size_t root = gears_flat_append(f, FRAME, sizeof FRAME) + 8;
    return gears_flat_write_table(f, root, message, 4).slots[2];
}

void gears_message_end(gears_flat *f) {
    gears_flat_align(f, 8, 0);
    gears_flat_patch(f, f->base - 4, (int64_t)(f->out->size - f->base), 4);
}

bool gears_message_refuse(gears_buffer *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->error, sizeof out->error, format, arguments);
    va_end(arguments);
    return false;
}

bool gears_message_type(const struct ArrowSchema *schema, gears_buffer *out, gears_arrow_type *type) {
    if (gears_layout_of(schema, type)) return true;
    return gears_message_refuse(out, "Arrow format '%s' is not supported", schema->format);
}

/* Fills the Type union's table. */
static bool write_type(gears_flat *f, size_t from, const gears_arrow_type *type) {
    gears_flat_field fields[4];
    memcpy(fields, type->fields, sizeof type->fields);
    bool more = type->text != NULL;
    if (more) fields[type->field_count] = GEARS_FLAT_OFFSET;
    gears_flat_table table = gears_flat_write_table(f, from, fields, type->field_count + more);
    if (!more) return true;
    size_t slot = table.slots[type->field_count];
    if (type->layout != GEARS_LAYOUT_SPARSE && type->layout != GEARS_LAYOUT_DENSE) {
        gears_flat_write_string(f, slot, type->text, strlen(type->text));
        return true;
    }
    int32_t ids[MAX_UNION];
    int count = gears_layout_union_ids(type->text, ids, MAX_UNION);
    if (count < 0) return gears_message_refuse(f->out, "Arrow union with type ids '%s' is not supported", type->text);
    gears_flat_write_vector(f, slot, ids, (size_t)count, sizeof ids[0]);
    return true;
}

static int32_t take_length(const char **metadata) {
    int32_t length;
    memcpy(&length, *metadata, sizeof length);
    *metadata += sizeof length;
    return length;
}

static void write_text(gears_flat *f, size_t from, const char **metadata) {
    int32_t length = take_length(metadata);
    gears_flat_write_string(f, from, *metadata, (size_t)length);
    *metadata += length;
}

/* The C interface's metadata: a count, then lengths and bytes of keys and values → a vector of KeyValue. */
static void write_metadata(gears_flat *f, size_t from, const char *metadata) {
    static const gears_flat_field KEY_VALUE[] = {{4, 0}, {4, 0}};
    int32_t count = take_length(&metadata);
    size_t slots = gears_flat_write_vector(f, from, NULL, (size_t)count, 4);
    for (int32_t i = 0; i < count; i++) {
        gears_flat_table pair = gears_flat_write_table(f, slots + 4 * (size_t)i, KEY_VALUE, 2);
        write_text(f, pair.slots[0], &metadata);
        write_text(f, pair.slots[1], &metadata);
    }
}

/* DictionaryEncoding: what is in the rows are indices of the schema's own format. Dictionaries are numbered from 0 in
 * the order in which a walk through the schema meets them (arrow_ipc.c walks likewise). */
static bool write_dictionary(gears_flat *f, size_t from, const struct ArrowSchema *schema, int64_t *dictionaries) {
    bool ordered = schema->flags & ARROW_FLAG_DICTIONARY_ORDERED;
    const gears_flat_field encoding[] = {GEARS_FLAT_LONG((*dictionaries)++), GEARS_FLAT_OFFSET,
                                         GEARS_FLAT_BOOL(ordered)};
    gears_arrow_type index;
    if (schema->dictionary->dictionary != NULL || schema->dictionary->n_children > 0)
        return gears_message_refuse(f->out, "Arrow dictionaries of nested values are not supported");
    if (!gears_message_type(schema, f->out, &index)) return false;
    return write_type(f, gears_flat_write_table(f, from, encoding, 3).slots[1], &index);
}

static bool write_field(gears_flat *f, size_t from, const struct ArrowSchema *schema, int64_t *dictionaries, int depth);

static bool write_fields(gears_flat *f, size_t from, const struct ArrowSchema *parent, int64_t *dictionaries,
                         int depth) {
    size_t slots = gears_flat_write_vector(f, from, NULL, (size_t)parent->n_children, 4);
    for (int64_t i = 0; i < parent->n_children; i++)
        if (!write_field(f, slots + 4 * (size_t)i, parent->children[i], dictionaries, depth)) return false;
    return true;
}

static bool write_field(gears_flat *f, size_t from, const struct ArrowSchema *schema, int64_t *dictionaries,
                        int depth) {
    const struct ArrowSchema *values = schema->dictionary ? schema->dictionary : schema;
    const char *name = schema->name ? schema->name : "";
    gears_arrow_type type;
    if (depth > GEARS_ARROW_DEPTH) return gears_message_refuse(f->out, "a type is nested too deeply");
    if (!gears_message_type(values, f->out, &type)) return false;
    const gears_flat_field field[] = {
        GEARS_FLAT_OFFSET,
        GEARS_FLAT_BOOL((schema->flags & ARROW_FLAG_NULLABLE) != 0),
        GEARS_FLAT_BYTE(type.id),
        GEARS_FLAT_OFFSET,
        schema->dictionary ? GEARS_FLAT_OFFSET : GEARS_FLAT_ABSENT,
        GEARS_FLAT_OFFSET,
        schema->metadata ? GEARS_FLAT_OFFSET : GEARS_FLAT_ABSENT,
    };
    gears_flat_table table = gears_flat_write_table(f, from, field, 7);
    gears_flat_write_string(f, table.slots[0], name, strlen(name));
    if (!write_type(f, table.slots[3], &type)) return false;
    if (schema->dictionary && !write_dictionary(f, table.slots[4], schema, dictionaries)) return false;
    if (schema->metadata) write_metadata(f, table.slots[6], schema->metadata);
    return write_fields(f, table.slots[5], values, dictionaries, depth + 1);
}

bool gears_ipc_schema(const struct ArrowSchema *schema, gears_buffer *out) {
    if (strcmp(schema->format, "+s") != 0)
        return gears_message_refuse(out, "rows have format '%s', not '+s'", schema->format);
    const gears_flat_field header[] = {GEARS_FLAT_SHORT(LITTLE_ENDIAN_DATA), GEARS_FLAT_OFFSET,
                                       schema->metadata ? GEARS_FLAT_OFFSET : GEARS_FLAT_ABSENT};
    size_t before = out->size;
    int64_t dictionaries = 0;
    gears_flat f;
    size_t slot = gears_message_begin(&f, out, GEARS_MESSAGE_SCHEMA, 0);
    gears_flat_table table = gears_flat_write_table(&f, slot, header, 3);
    bool written = write_fields(&f, table.slots[1], schema, &dictionaries, 0);
    if (written && schema->metadata) write_metadata(&f, table.slots[2], schema->metadata);
    gears_message_end(&f);
    if (written && !f.failed) return true;
    out->size = before;
    return f.failed ? gears_message_refuse(out, "out of memory") : false;
}
