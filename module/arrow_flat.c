/* A FlatBuffer, written front to back; see arrow_flat.h. */
#include "arrow_flat.h"

#include <stdlib.h>
#include <string.h>

static bool reserve(gears_buffer *out, size_t more) {
    if (more <= out->capacity - out->size) return true;
    if (more > SIZE_MAX / 2 - out->size) return false;
    size_t wanted = out->size + more, capacity = out->capacity < 4096 ? 4096 : out->capacity;
    while (capacity < wanted) capacity *= 2;
    uint8_t *data = realloc(out->data, capacity);
    if (data == NULL) return false;
    out->data = data;
    out->capacity = capacity;
    return true;
}

size_t gears_flat_append(gears_flat *f, const void *data, size_t n) {
    size_t place = f->out->size;
    if (f->failed || n == 0) return place;
    if (!reserve(f->out, n)) {
        f->failed = true;
        return place;
    }
    if (data != NULL)
        memcpy(f->out->data + place, data, n);
    else
        memset(f->out->data + place, 0, n);
    f->out->size += n;
    return place;
}

void gears_flat_align(gears_flat *f, size_t unit, size_t ahead) {
    size_t misplaced = (f->out->size + ahead - f->base) % unit;
    if (misplaced != 0) gears_flat_append(f, NULL, unit - misplaced);
}

/* Numbers are little-endian in FlatBuffers as on the machines that cast_parts.h asks for. */
void gears_flat_patch(gears_flat *f, size_t place, int64_t value, size_t size) {
    if (!f->failed) memcpy(f->out->data + place, &value, size);
}

/* Makes the offset at `from` point to the next byte. */
static void point_here(gears_flat *f, size_t from) { gears_flat_patch(f, from, (int64_t)(f->out->size - from), 4); }

gears_flat_table gears_flat_write_table(gears_flat *f, size_t from, const gears_flat_field *fields, size_t n) {
    gears_flat_table table = {{0}};
    uint16_t vtable[2 + GEARS_FLAT_FIELDS] = {0};
    size_t size = 4; /* a table begins with the distance to its vtable */
    for (size_t i = 0; i < n; i++) {
        if (fields[i].size == 0) continue;
        size = (size + fields[i].size - 1) / fields[i].size * fields[i].size;
        vtable[2 + i] = (uint16_t)size;
        size += fields[i].size;
    }
    vtable[0] = (uint16_t)(4 + 2 * n);
    vtable[1] = (uint16_t)size;
    gears_flat_align(f, 8, vtable[0]);
    size_t start = gears_flat_append(f, vtable, vtable[0]);
    point_here(f, from);
    size_t place = gears_flat_append(f, NULL, size);
    gears_flat_patch(f, place, (int64_t)(place - start), 4);
    for (size_t i = 0; i < n; i++) {
        table.slots[i] = place + vtable[2 + i];
        if (fields[i].size != 0) gears_flat_patch(f, table.slots[i], fields[i].value, fields[i].size);
    }
    return table;
}

void gears_flat_write_string(gears_flat *f, size_t from, const char *text, size_t n) {
    gears_flat_write_vector(f, from, text, n, 1);
    gears_flat_append(f, NULL, 1);
}

size_t gears_flat_write_vector(gears_flat *f, size_t from, const void *data, size_t n, size_t size) {
    const uint32_t count = (uint32_t)n;
    gears_flat_align(f, size > 4 ? 8 : 4, sizeof count);
    point_here(f, from);
    gears_flat_append(f, &count, sizeof count);
    return gears_flat_append(f, data, n * size);
}
