/* The versions that a stage must match: GEARS_VERSION comes from the build (the package's own version). */
#ifndef GEARS_VERSION_H
#define GEARS_VERSION_H

#ifndef GEARS_VERSION
#error "build with -DGEARS_VERSION=\"x.y.z\", the version of the gearsql package"
#endif

/* As duckdb.__version__ says it: '2.0.0', without the C library's leading 'v'. */
const char *gears_version_of_duckdb(void);

#endif
