/* Binds CPython by name; see python_api.h. */
#include "python_api.h"

#include <dlfcn.h>
#include <stdio.h>

#define GEARS_DEFINE(name) __typeof__(&name) py_##name;
GEARS_PYTHON_FUNCTIONS(GEARS_DEFINE)
#undef GEARS_DEFINE

const char *gears_python_bind(const char *libpython) {
    static char problem[512];
    void *library = dlopen(libpython, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) {
        snprintf(problem, sizeof problem, "cannot load libpython: %s", dlerror());
        return problem;
    }
#define GEARS_BIND(name)                                                                                               \
    *(void **)&py_##name = dlsym(library, #name);                                                                      \
    if (py_##name == NULL) return "libpython lacks " #name;
    GEARS_PYTHON_FUNCTIONS(GEARS_BIND)
#undef GEARS_BIND
    return NULL;
}
