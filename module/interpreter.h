/* The embedded CPython of the virtual environment that gearsql is installed in. */
#ifndef GEARS_INTERPRETER_H
#define GEARS_INTERPRETER_H

#include <stddef.h>

/* Make libpython global (DuckDB's wheel and every C extension need its symbols) and start the main interpreter
 * with `executable` as its Python, so that the virtual environment's packages are found. The GIL is released on
 * return. Returns NULL, or what went wrong (static storage).
 * Runs on: main thread, once, in OnLoad. GIL: held only inside. */
const char *gears_interpreter_start(const char *libpython, const char *executable);

/* '3.11.7 (main, …)' up to the first space; static storage. */
const char *gears_interpreter_version(void);

/* Bytes that Python's allocators hold: arenas plus raw blocks. Takes no lock and no GIL, so INFO may call it. */
size_t gears_interpreter_memory(void);

#endif
