/* What a worker process gives up before it runs a hook. */
#ifndef HOOKS_CONFINE_H
#define HOOKS_CONFINE_H

#include "state.h"

extern PyMethodDef hooks_confine_methods[];

#endif
