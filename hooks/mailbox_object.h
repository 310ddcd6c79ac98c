/* Mailbox: the mapped memory of mailbox.h as an object, for either side of it. */
#ifndef HOOKS_MAILBOX_OBJECT_H
#define HOOKS_MAILBOX_OBJECT_H

#include "state.h"

#include <pthread.h>
#include <stdbool.h>

#include "mailbox.h"

typedef struct {
    PyObject_HEAD gears_mailbox *memory;
    size_t mapped;    /* bytes to unmap; 0: the memory is somebody else's */
    uint32_t own;     /* the turn of this side */
    bool is_held;     /* this side has taken its turn and not given it away: only then it may write */
    pid_t parent;     /* of a process: gone means the end; else 0 */
    bool header_only; /* no payload is mapped */
    /* The watcher: see watch(). */
    pthread_t watcher;
    bool is_watched;
    unsigned long watched;
    PyInterpreterState *interpreter;
    _Atomic uint32_t done;
} hooks_mailbox;

/* The message that lies here and its size, read once and within bounds; NULL with an exception. Whoever wrote it may
 * write on: copy before you check. */
const unsigned char *hooks_mailbox_message(const hooks_mailbox *mailbox, uint64_t *size);

static inline unsigned char *hooks_mailbox_payload(const hooks_mailbox *mailbox) {
    return (unsigned char *)mailbox->memory + GEARS_MAILBOX_HEADER;
}

#endif
