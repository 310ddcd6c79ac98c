/* The watcher: a thread that ends a hook which does not end by itself. */
#ifndef HOOKS_WATCH_H
#define HOOKS_WATCH_H

#include "mailbox_object.h"

/* Watch `stop` for the calling thread. `parent` is 0, or in a process the parent whose end is this one's end.
 * 0, or -1 with an exception. */
int hooks_watch_start(hooks_mailbox *mailbox, pid_t parent);
/* End it, and wait for its end. What it raised may still be under way, and has to be let in: taking it back with
 * PyThreadState_SetAsyncExc(…, NULL) leaves 3.11's eval_breaker set for ever. GIL: held, released meanwhile. */
void hooks_watch_stop(hooks_mailbox *mailbox);

#endif
