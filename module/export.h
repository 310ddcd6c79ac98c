/* GEARS_EXPORT marks the functions that gearsql/native.py calls through ctypes; all others stay hidden. */
#ifndef GEARS_EXPORT_H
#define GEARS_EXPORT_H

#define GEARS_EXPORT __attribute__((visibility("default")))

#endif
