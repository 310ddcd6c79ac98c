/* Starts and measures the embedded CPython; see interpreter.h. */
#include "interpreter.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "python_api.h"

static char version[32] = "none";
static _Atomic size_t bytes_held;

/* Raw blocks are malloc's own, so malloc_usable_size tells their size without a header of ours. */
static void *raw_malloc(void *context, size_t size) {
    (void)context;
    void *block = malloc(size ? size : 1);
    if (block) atomic_fetch_add_explicit(&bytes_held, malloc_usable_size(block), memory_order_relaxed);
    return block;
}

static void *raw_calloc(void *context, size_t count, size_t size) {
    (void)context;
    void *block = count && size ? calloc(count, size) : calloc(1, 1);
    if (block) atomic_fetch_add_explicit(&bytes_held, malloc_usable_size(block), memory_order_relaxed);
    return block;
}

static void raw_free(void *context, void *block) {
    (void)context;
    if (block) atomic_fetch_sub_explicit(&bytes_held, malloc_usable_size(block), memory_order_relaxed);
    free(block);
}

static void *raw_realloc(void *context, void *block, size_t size) {
    if (block == NULL) return raw_malloc(context, size);
    size_t before = malloc_usable_size(block);
    void *moved = realloc(block, size ? size : 1);
    if (moved) {
        atomic_fetch_add_explicit(&bytes_held, malloc_usable_size(moved), memory_order_relaxed);
        atomic_fetch_sub_explicit(&bytes_held, before, memory_order_relaxed);
    }
    return moved;
}

static PyObjectArenaAllocator arenas;

static void *arena_alloc(void *context, size_t size) {
    void *arena = arenas.alloc(context, size);
    if (arena) atomic_fetch_add_explicit(&bytes_held, size, memory_order_relaxed);
    return arena;
}

static void arena_free(void *context, void *arena, size_t size) {
    atomic_fetch_sub_explicit(&bytes_held, size, memory_order_relaxed);
    arenas.free(context, arena, size);
}

static void count_allocations(void) {
    PyMemAllocatorEx raw = {NULL, raw_malloc, raw_calloc, raw_realloc, raw_free};
    py_PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &raw);
    py_PyObject_GetArenaAllocator(&arenas);
    PyObjectArenaAllocator counted = {arenas.ctx, arena_alloc, arena_free};
    py_PyObject_SetArenaAllocator(&counted);
}

/* The types of _datetime are static, one for all interpreters, with tuples of whichever imported it first; the last one
 * to end frees them (3.13), with its own allocator: an abort, unless that is always the main interpreter. */
static void keep_shared_types(void) {
#if PY_VERSION_HEX >= 0x030D0000
    if (py_PyImport_ImportModule("_datetime") == NULL) py_PyErr_Clear();
#endif
}

const char *gears_interpreter_start(const char *libpython, const char *executable) {
    const char *problem = gears_python_bind(libpython);
    if (problem) return problem;
    const char *found = py_Py_GetVersion();
    snprintf(version, sizeof version, "%.*s", (int)strcspn(found, " "), found);
    int major = 0, minor = 0;
    if (sscanf(version, "%d.%d", &major, &minor) != 2 || major != PY_MAJOR_VERSION || minor != PY_MINOR_VERSION)
        return "the module was built for another Python version than this libpython";
    count_allocations();
    PyConfig config;
    py_PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    config.parse_argv = 0;
    config.use_environment = 0;
    PyStatus status = py_PyConfig_SetBytesString(&config, &config.executable, executable);
    if (!py_PyStatus_Exception(status)) status = py_Py_InitializeFromConfig(&config);
    py_PyConfig_Clear(&config);
    if (py_PyStatus_Exception(status)) return status.err_msg ? status.err_msg : "Python did not start";
    keep_shared_types();
    py_PyEval_SaveThread();
    return NULL;
}

const char *gears_interpreter_version(void) { return version; }

size_t gears_interpreter_memory(void) { return atomic_load_explicit(&bytes_held, memory_order_relaxed); }
