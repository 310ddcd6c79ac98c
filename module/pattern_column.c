/* Key templates over a whole column of keys in Arrow's layout, for the portable reader (gearsql/native.py, through
 * ctypes, in the client's process). The scan takes keys one by one and does not come here. */
#include "pattern_column.h"

#include <string.h>

/* Appends a row's text to the array of placeholder `i`. */
static void append(gears_captures *out, size_t i, int64_t row, gears_slice text) {
    int32_t start = out->offsets[i][row];
    if (text.size > 0) memcpy(out->data[i] + start, text.data, text.size);
    out->offsets[i][row + 1] = start + (int32_t)text.size;
}

int64_t gears_pattern_captures(const gears_slice *literals, size_t count, const gears_binary_column *keys,
                               gears_captures *out) {
    gears_template template;
    if (!gears_pattern_template(literals, count, &template)) return -1;
    for (size_t i = 0; i < template.placeholders; i++) out->offsets[i][0] = 0;
    int64_t matches = 0;
    for (int64_t row = 0; row < keys->length; row++) {
        size_t n;
        const char *key = gears_column_value(keys, row, &n);
        bool matched = !gears_column_is_null(keys, row) && gears_pattern_capture(&template, key, n, out->texts);
        if (matched) gears_column_set_bit(out->matched, row);
        matches += matched;
        for (size_t i = 0; i < template.placeholders; i++)
            append(out, i, row, matched ? out->texts[i] : (gears_slice){NULL, 0});
    }
    return matches;
}
