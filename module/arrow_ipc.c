/* Batches of an Arrow IPC stream. An array is walked once and noted as nodes (length, nulls) and pieces (places that
 * buffers come from); then the message's metadata are known, and the pieces are copied behind them. */
#include "arrow_ipc.h"

#include <stdlib.h>
#include <string.h>

#include "arrow_message.h"

/* FieldNode and Buffer of Message.fbs: structs, laid out as here. */
typedef struct {
    int64_t length;
    int64_t nulls;
} node;

typedef struct {
    int64_t offset;
    int64_t length;
} placed;

/* A buffer to be written: `size` bytes from `data` (zeros if NULL), which begin `shift` bits inside it. With a shift
 * they are `bits` bits of a bitmap. */
typedef struct {
    const uint8_t *data;
    int64_t size;
    int64_t bits;
    unsigned shift;
} piece;

/* The notes on one batch. `out` is where errors go; `nodes` and `pieces` hold structs of these names. */
typedef struct {
    gears_buffer *out;
    gears_flat nodes;
    gears_flat pieces;
    gears_buffer node_bytes;
    gears_buffer piece_bytes;
} notes;

/* The rows of an array that a batch takes: children of a sliced struct are sliced alike. */
typedef struct {
    const struct ArrowArray *array;
    int64_t offset;
    int64_t length;
} rows;

static int64_t padded(int64_t size) { return (size + 7) / 8 * 8; }

static void note_piece(notes *n, const void *data, int64_t size) {
    const piece it = {data, size, 0, 0};
    gears_flat_append(&n->pieces, &it, sizeof it);
}

static piece bit_piece(const uint8_t *bitmap, int64_t offset, int64_t length) {
    if (length == 0) return (piece){0};
    return (piece){bitmap + offset / 8, (length + 7) / 8, length, (unsigned)(offset % 8)};
}

static void note_bits(notes *n, const uint8_t *bitmap, int64_t offset, int64_t length) {
    const piece it = bit_piece(bitmap, offset, length);
    gears_flat_append(&n->pieces, &it, sizeof it);
}

/* Byte `i` of a bitmap that begins `shift` bits inside `data` and has `bits` bits; those beyond are 0. */
static uint8_t bitmap_byte(const piece *it, int64_t i) {
    int64_t left = it->bits - 8 * i;
    unsigned byte = it->data[i] >> it->shift;
    if (it->shift + (left < 8 ? left : 8) > 8) byte |= (unsigned)it->data[i + 1] << (8 - it->shift);
    return (uint8_t)(left < 8 ? byte & ((1u << left) - 1) : byte);
}

static int64_t count_nulls(const uint8_t *validity, int64_t offset, int64_t length) {
    const piece it = bit_piece(validity, offset, length);
    int64_t valid = 0;
    for (int64_t i = 0; i < it.size; i++) valid += __builtin_popcount(bitmap_byte(&it, i));
    return length - valid;
}

/* Without a null no validity is written. A null_count that the array carries may be of other rows, or -1: count. */
static void note_node(notes *n, rows r, const gears_arrow_type *type) {
    bool is_union = type->layout == GEARS_LAYOUT_SPARSE || type->layout == GEARS_LAYOUT_DENSE;
    bool has_validity = !is_union && type->layout != GEARS_LAYOUT_NULL;
    const uint8_t *validity = has_validity ? r.array->buffers[0] : NULL;
    int64_t nulls = validity ? count_nulls(validity, r.offset, r.length) : 0;
    if (nulls > 0)
        note_bits(n, validity, r.offset, r.length);
    else if (has_validity)
        note_piece(n, NULL, 0);
    const node it = {r.length, type->layout == GEARS_LAYOUT_NULL ? r.length : nulls};
    gears_flat_append(&n->nodes, &it, sizeof it);
}

/* The offset behind the rows: how much of the data or child they reach. An array without rows may have no offsets. */
static int64_t last_offset(rows r, int64_t width) {
    if (r.length == 0) return 0;
    const uint8_t *at = (const uint8_t *)r.array->buffers[1] + (r.offset + r.length) * width;
    int64_t wide;
    int32_t narrow;
    if (width == 8) return memcpy(&wide, at, 8), wide;
    return memcpy(&narrow, at, 4), narrow;
}

/* Offsets need not begin at 0, so those of a slice go as they are, with all the data before them. */
static int64_t note_offsets(notes *n, rows r, int64_t width) {
    const uint8_t *offsets = r.length == 0 ? NULL : (const uint8_t *)r.array->buffers[1] + r.offset * width;
    note_piece(n, offsets, (r.length + 1) * width);
    return last_offset(r, width);
}

static void note_values(notes *n, const void *values, int64_t width, rows r) {
    note_piece(n, values ? (const uint8_t *)values + r.offset * width : NULL, r.length * width);
}

/* The array's form must be the type's, or a walk would leave it. */
static bool fits(const struct ArrowSchema *schema, const gears_arrow_type *type, rows r) {
    static const int8_t BUFFERS[] = {0, 2, 2, 3, 2, 1, 1, 1, 2};
    static const int8_t CHILDREN[] = {0, 0, 0, 0, 1, 1, -1, -1, -1};
    const struct ArrowArray *array = r.array;
    int64_t children = schema->dictionary ? 0 : schema->n_children;
    if (CHILDREN[type->layout] >= 0 && children != CHILDREN[type->layout]) return false;
    return array->n_buffers == BUFFERS[type->layout] && array->n_children == children && r.length >= 0 &&
           r.offset >= array->offset && r.offset + r.length <= array->offset + array->length &&
           (schema->dictionary == NULL) == (array->dictionary == NULL);
}

static bool note_array(notes *n, const struct ArrowSchema *schema, rows r, int depth);

/* All children, from row `offset` of each on. */
static bool note_children(notes *n, const struct ArrowSchema *schema, rows r, int64_t offset, int64_t length,
                          int depth) {
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowArray *child = r.array->children[i];
        if (!note_array(n, schema->children[i], (rows){child, child->offset + offset, length}, depth + 1)) return false;
    }
    return true;
}

/* The children of a dense union have lengths of their own. */
static bool note_dense(notes *n, const struct ArrowSchema *schema, rows r, int depth) {
    note_values(n, r.array->buffers[0], 1, r);
    note_values(n, r.array->buffers[1], 4, r);
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowArray *child = r.array->children[i];
        if (!note_array(n, schema->children[i], (rows){child, child->offset, child->length}, depth + 1)) return false;
    }
    return true;
}

static bool note_array(notes *n, const struct ArrowSchema *schema, rows r, int depth) {
    gears_arrow_type type;
    if (depth > GEARS_ARROW_DEPTH) return gears_message_refuse(n->out, "a type is nested too deeply");
    if (!gears_message_type(schema, n->out, &type)) return false;
    if (!fits(schema, &type, r))
        return gears_message_refuse(n->out, "an Arrow array does not fit its format '%s'", schema->format);
    note_node(n, r, &type);
    const void **buffers = r.array->buffers;
    switch (type.layout) {
    case GEARS_LAYOUT_NULL: return true;
    case GEARS_LAYOUT_BITS: return note_bits(n, buffers[1], r.offset, r.length), true;
    case GEARS_LAYOUT_FIXED: return note_values(n, buffers[1], type.width, r), true;
    case GEARS_LAYOUT_VARIABLE: return note_piece(n, buffers[2], note_offsets(n, r, type.width)), true;
    case GEARS_LAYOUT_LIST: return note_children(n, schema, r, 0, note_offsets(n, r, type.width), depth);
    case GEARS_LAYOUT_FIXED_LIST:
        return note_children(n, schema, r, r.offset * type.width, r.length * type.width, depth);
    case GEARS_LAYOUT_STRUCT: return note_children(n, schema, r, r.offset, r.length, depth);
    case GEARS_LAYOUT_SPARSE:
        note_values(n, buffers[0], 1, r);
        return note_children(n, schema, r, r.offset, r.length, depth);
    case GEARS_LAYOUT_DENSE: return note_dense(n, schema, r, depth);
    }
    return false;
}

/* The table RecordBatch. */
static void write_header(gears_flat *f, size_t from, notes *n, int64_t length) {
    static const gears_flat_field HEADER[] = {{8, 0}, {4, 0}, {4, 0}};
    gears_flat_table table = gears_flat_write_table(f, from, HEADER, 3);
    gears_flat_patch(f, table.slots[0], length, 8);
    gears_flat_write_vector(f, table.slots[1], n->node_bytes.data, n->node_bytes.size / sizeof(node), sizeof(node));
    const piece *pieces = (const piece *)n->piece_bytes.data;
    size_t count = n->piece_bytes.size / sizeof(piece), at;
    at = gears_flat_write_vector(f, table.slots[2], NULL, count, sizeof(placed));
    for (int64_t i = 0, offset = 0; i < (int64_t)count; offset += padded(pieces[i++].size)) {
        gears_flat_patch(f, at + (size_t)i * sizeof(placed), offset, 8);
        gears_flat_patch(f, at + (size_t)i * sizeof(placed) + 8, pieces[i].size, 8);
    }
}

static void write_piece(gears_flat *f, const piece *it) {
    size_t at = gears_flat_append(f, it->shift ? NULL : it->data, (size_t)it->size);
    for (int64_t i = 0; it->shift && !f->failed && i < it->size; i++) f->out->data[at + (size_t)i] = bitmap_byte(it, i);
    gears_flat_align(f, 8, 0);
}

/* A message of what was noted: a record batch, or dictionary `id` if that is not negative. */
static bool write_message(notes *n, int64_t id, int64_t length) {
    const piece *pieces = (const piece *)n->piece_bytes.data;
    size_t count = n->piece_bytes.size / sizeof(piece);
    int64_t body = 0;
    gears_flat f;
    for (size_t i = 0; i < count; i++) body += padded(pieces[i].size);
    size_t slot = gears_message_begin(&f, n->out, id < 0 ? GEARS_MESSAGE_BATCH : GEARS_MESSAGE_DICTIONARY, body);
    if (id >= 0) {
        const gears_flat_field dictionary[] = {GEARS_FLAT_LONG(id), GEARS_FLAT_OFFSET};
        slot = gears_flat_write_table(&f, slot, dictionary, 2).slots[1];
    }
    write_header(&f, slot, n, length);
    gears_message_end(&f);
    for (size_t i = 0; i < count; i++) write_piece(&f, &pieces[i]);
    return f.failed ? gears_message_refuse(n->out, "out of memory") : true;
}

/* Ends the notes: writes them as a message if they were taken well. */
static bool finish(notes *n, bool noted, int64_t id, int64_t length) {
    bool failed = n->nodes.failed || n->pieces.failed;
    if (noted && failed) noted = gears_message_refuse(n->out, "out of memory");
    bool written = noted && write_message(n, id, length);
    gears_buffer_free(&n->node_bytes);
    gears_buffer_free(&n->piece_bytes);
    return written;
}

static void start(notes *n, gears_buffer *out) {
    memset(n, 0, sizeof *n);
    n->out = out;
    n->nodes.out = &n->node_bytes;
    n->pieces.out = &n->piece_bytes;
}

/* One message for each dictionary below, whole in front of every batch: it replaces the one before. */
static bool write_dictionaries(const struct ArrowSchema *schema, const struct ArrowArray *array, int64_t *id, int depth,
                               gears_buffer *out) {
    if (depth > GEARS_ARROW_DEPTH) return gears_message_refuse(out, "a type is nested too deeply");
    if (schema->dictionary != NULL && array->dictionary != NULL) {
        notes n;
        start(&n, out);
        rows all = {array->dictionary, array->dictionary->offset, array->dictionary->length};
        return finish(&n, note_array(&n, schema->dictionary, all, depth), (*id)++, all.length);
    }
    if (schema->n_children != array->n_children)
        return gears_message_refuse(out, "an Arrow array does not fit its format '%s'", schema->format);
    for (int64_t i = 0; i < schema->n_children; i++)
        if (!write_dictionaries(schema->children[i], array->children[i], id, depth + 1, out)) return false;
    return true;
}

static bool write_batch(const struct ArrowSchema *schema, const struct ArrowArray *array, gears_buffer *out) {
    const uint8_t *validity = array->n_buffers > 0 ? array->buffers[0] : NULL;
    if (validity != NULL && count_nulls(validity, array->offset, array->length) > 0)
        return gears_message_refuse(out, "a row is NULL as a whole");
    int64_t dictionaries = 0;
    if (!write_dictionaries(schema, array, &dictionaries, 0, out)) return false;
    notes n;
    start(&n, out);
    rows all = {array, array->offset, array->length};
    return finish(&n, note_children(&n, schema, all, all.offset, all.length, 0), -1, all.length);
}

bool gears_ipc_batch(const struct ArrowSchema *schema, const struct ArrowArray *array, gears_buffer *out) {
    size_t before = out->size;
    if (write_batch(schema, array, out)) return true;
    out->size = before;
    return false;
}

bool gears_ipc_end(gears_buffer *out) {
    static const uint32_t END[2] = {0xFFFFFFFF, 0};
    gears_flat f = {.out = out};
    gears_flat_append(&f, END, sizeof END);
    return f.failed ? gears_message_refuse(out, "out of memory") : true;
}

void gears_buffer_free(gears_buffer *buffer) {
    free(buffer->data);
    *buffer = (gears_buffer){0};
}
