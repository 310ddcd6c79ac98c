/* The registry of functions; see function.h. An array in the order of names: it is read far more than written.
 * Runs on: main thread, or the child that it forks to save. */
#include "function.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "function_parts.h"
#include "stage.h"

static gears_known known[GEARS_FUNCTIONS_MOST];
static size_t known_count, record_bytes;
static uint64_t digest;
static atomic_size_t defined;

size_t gears_function_known_count(void) { return known_count; }
const gears_known *gears_function_known(size_t index) { return &known[index]; }
uint64_t gears_function_digest(void) { return digest; }
size_t gears_function_count(void) { return atomic_load(&defined); }

/* ---- where a name is ------------------------------------------------------------------------------------------ */

static int compare_name(const char *name, size_t length, const char *other) {
    size_t other_length = strlen(other), shorter = length < other_length ? length : other_length;
    int order = memcmp(name, other, shorter);
    return order != 0 ? order : (length > other_length) - (length < other_length);
}

/* The place of a name, or where it would be. */
static size_t place_of(const char *name, size_t length, bool *found) {
    size_t low = 0, high = known_count;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_name(name, length, known[middle].name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const gears_known *gears_function_known_as(const char *name, size_t length) {
    bool found;
    size_t place = place_of(name, length, &found);
    return found ? &known[place] : NULL;
}

gears_function *gears_function_find(const char *name, size_t name_length, const char *hash, size_t hash_length) {
    const gears_known *entry = gears_function_known_as(name, name_length);
    gears_function *function = entry ? entry->function : NULL;
    if (function == NULL || strlen(function->hash) != hash_length || memcmp(function->hash, hash, hash_length) != 0)
        return NULL;
    gears_function_retain(function);
    return function;
}

/* ---- which is the later --------------------------------------------------------------------------------------- */

static const char *hash_of(const gears_known *entry) { return entry->function ? entry->function->hash : ""; }

/* A dropped function has the empty hash: of the same version a defined one wins. */
int gears_function_compare(uint64_t version, const char *hash, size_t hash_length, const gears_known *entry) {
    if (version != entry->version) return version < entry->version ? -1 : 1;
    return compare_name(hash, hash_length, hash_of(entry));
}

static uint64_t fnv(uint64_t state, const void *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) state = (state ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return state;
}

/* Summed over the entries: independent of the order in which they came. */
static uint64_t digest_of(const gears_known *entry) {
    uint64_t state = fnv(0xcbf29ce484222325u, entry->name, strlen(entry->name) + 1);
    state = fnv(state, &entry->version, sizeof entry->version);
    return fnv(state, hash_of(entry), strlen(hash_of(entry)) + 1);
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

static void count_entry(const gears_known *entry, bool in) {
    digest += in ? digest_of(entry) : -digest_of(entry);
    record_bytes += in ? entry->record_length : -entry->record_length;
    if (entry->function == NULL) return;
    if (in)
        atomic_fetch_add(&defined, 1);
    else
        atomic_fetch_sub(&defined, 1);
}

static void free_entry(gears_known *entry) {
    if (entry->function) gears_function_release(entry->function);
    free(entry->name);
    free(entry->record);
}

static void remove_at(size_t place) {
    count_entry(&known[place], false);
    free_entry(&known[place]);
    known_count--;
    memmove(&known[place], &known[place + 1], (known_count - place) * sizeof *known);
}

void gears_function_clear(void) {
    while (known_count > 0) remove_at(known_count - 1);
}

/* The oldest name that was dropped gives way, on every server the same. False: all are functions, or later. */
static bool make_room(uint64_t version) {
    size_t oldest = known_count;
    if (known_count < GEARS_FUNCTIONS_MOST) return true;
    for (size_t i = 0; i < known_count; i++)
        if (known[i].function == NULL && (oldest == known_count || known[i].version < known[oldest].version))
            oldest = i;
    if (oldest == known_count || (version != 0 && known[oldest].version >= version)) return false;
    remove_at(oldest);
    return true;
}

static bool insert(gears_known entry) {
    bool found;
    size_t place = place_of(entry.name, strlen(entry.name), &found);
    if (found) {
        remove_at(place);
    } else {
        if (!make_room(entry.function ? 0 : entry.version)) return false;
        place = place_of(entry.name, strlen(entry.name), &found);
    }
    memmove(&known[place + 1], &known[place], (known_count - place) * sizeof *known);
    known[place] = entry;
    known_count++;
    count_entry(&entry, true);
    return true;
}

static void say_stale(const gears_known *entry, uint64_t version, char **error) {
    char *name = gears_escape(entry->name, strlen(entry->name), 255, true);
    if (asprintf(error, "GEARSFUNCTION stale version %llu of %s: version %llu is known", (unsigned long long)version,
                 name ? name : "?", (unsigned long long)entry->version) < 0)
        *error = NULL;
    free(name);
}

static bool fits(const gears_known *entry) {
    const gears_known *before = gears_function_known_as(entry->name, strlen(entry->name));
    return record_bytes - (before ? before->record_length : 0) + entry->record_length <= GEARS_REGISTRY_BYTES;
}

/* Takes what `entry` holds. */
static gears_storing store(gears_known entry, char **error) {
    const gears_known *before = gears_function_known_as(entry.name, strlen(entry.name));
    const char *hash = hash_of(&entry);
    int order = before ? gears_function_compare(entry.version, hash, strlen(hash), before) : 1;
    if (order > 0 && fits(&entry) && insert(entry)) return GEARS_STORED;
    if (order < 0) say_stale(before, entry.version, error);
    if (order > 0 && entry.function != NULL)
        *error = strdup("GEARSLIMIT this server holds 4096 functions, or 64 MiB of definitions: drop some");
    gears_storing result = order == 0 ? GEARS_SAME : order < 0 ? GEARS_STALE : entry.function ? GEARS_FULL : GEARS_SAME;
    free_entry(&entry);
    return result;
}

static bool read_dropped(const gears_slice *words, gears_known *entry, char **error) {
    if (!gears_function_number(words[0], &entry->version) || entry->version == 0 || !gears_function_is_name(words[1])) {
        *error = strdup("GEARSSTAGE a dropped function is a version, a number from 1, and a name");
        return false;
    }
    entry->name = strndup(words[1].data, words[1].size);
    return entry->name != NULL;
}

static bool read_defined(const gears_slice *words, size_t count, gears_known *entry, char **error) {
    entry->function = gears_function_parse(words, count, error);
    if (entry->function == NULL) return false;
    entry->version = entry->function->version;
    entry->name = strdup(entry->function->name);
    return entry->name != NULL;
}

gears_storing gears_function_store(const gears_slice *words, size_t count, char **error) {
    gears_known entry = {0};
    bool read = count == 2 ? read_dropped(words, &entry, error) : read_defined(words, count, &entry, error);
    if (read) entry.record = gears_function_record(words, count, &entry.record_length);
    if (read && entry.record != NULL) return store(entry, error);
    if (*error == NULL) *error = strdup("GEARSLIMIT out of memory");
    free_entry(&entry);
    return GEARS_MALFORMED;
}
