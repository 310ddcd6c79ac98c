/* Landlock, seccomp, capabilities; see confine.h. */
#include "confine.h"

PyMethodDef hooks_confine_methods[] = {
    {NULL, NULL, 0, NULL},
};
