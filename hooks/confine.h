/* What a worker process gives up before it runs a hook; gearsql/shard/confine.py says when and in which order.
 *
 * All of it holds for the calling thread and the threads that it starts, and cannot be taken back. */
#ifndef HOOKS_CONFINE_H
#define HOOKS_CONFINE_H

#include "state.h"

#include <stdbool.h>

extern PyMethodDef hooks_confine_methods[];

/* Filter system calls by a list of what Python and numerical libraries need: all others are EPERM. Files are not opened
 * for writing unless `may_write_files`, which is for those whose files Landlock guards. 1; 0 if this kind of machine or
 * this kernel has no filters; -1 with errno. Needs no_new_privs. */
int hooks_confine_calls(bool may_write_files);

#endif
