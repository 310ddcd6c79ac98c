/* One message to a session and its answer; see hook_parts.h.
 *
 * No lock of the server and no GIL is held while it waits. The answer is copied before anything in it is looked at:
 * the session may be a process that is up to no good. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hook_parts.h"
#include "lock.h"
#include "reply.h"

enum { MAX_LOGGED = 1000, LOG_SHOWN = 1024, KEPT_ANSWER = 16 << 20, MAX_EXECUTE = 1 << 20 };

static char *payload_of(gears_session *session) {
    return (char *)gears_session_mailbox(session) + GEARS_MAILBOX_HEADER;
}

/* A session that still works on a message keeps its lock: gears_hook_close sees to it. */
static void unlock(gears_hooks *h) {
    if (h->locked == NULL || gears_session_unanswered(h->locked)) return;
    gears_session_unlock(h->locked);
    h->locked = NULL;
}

bool gears_hook_message_open(gears_hook_message *m, gears_hooks *h, const gears_hook_group *group, const char *name,
                             uint32_t function, uint32_t rows) {
    unlock(h);
    if (!gears_session_lock(group->session, h->stage)) return false;
    h->locked = group->session;
    char *payload = payload_of(group->session);
    *m = (gears_hook_message){h, group->session, name, {payload, payload + GEARS_MAILBOX_BYTES, false}};
    gears_request request = {h->number, function, rows};
    gears_batch_put(&m->writer, &request, sizeof request);
    return true;
}

void gears_hook_message_broken(gears_hooks *h, gears_session *session, const char *name, const char *problem) {
    char text[256];
    snprintf(text, sizeof text, "its session broke the format: %s", problem);
    gears_hook_fail(h, "GEARSHOOKDIED", name, text);
    if (h->locked == NULL) {
        if (!gears_session_lock(session, h->stage)) return;
        h->locked = session;
    }
    gears_session_abandon(session);
    unlock(h);
}

static bool copy_answer(gears_hooks *h, gears_session *session, uint64_t size) {
    if (h->answer == NULL || size > h->answer_capacity || h->answer_capacity > KEPT_ANSWER) {
        free(h->answer);
        h->answer = malloc(size + 1);
        h->answer_capacity = h->answer != NULL ? size : 0;
    }
    if (h->answer == NULL) {
        gears_stage_fail(h->stage, "GEARSLIMIT out of memory");
        return false;
    }
    memcpy(h->answer, payload_of(session), size);
    h->answer[size] = 0;
    h->answer_end = h->answer + size;
    return true;
}

/* ---- what a session wants while it works ---------------------------------------------------------------------- */

static void write_log(gears_hooks *h, const char *name) {
    if (h->logged == MAX_LOGGED) return;
    char *shown_name = gears_escape(name, strlen(name), 256, false);
    char *shown_id = gears_escape(h->stage->id, strlen(h->stage->id), 256, false);
    char *text = gears_escape(h->answer, (size_t)(h->answer_end - h->answer), LOG_SHOWN, false);
    if (shown_name != NULL && shown_id != NULL && text != NULL)
        RedisModule_Log(h->ctx, "notice", "hook %s of stage %s: %s", shown_name, shown_id, text);
    if (++h->logged == MAX_LOGGED && shown_id != NULL)
        RedisModule_Log(h->ctx, "notice", "hooks of stage %s: no more lines than %d", shown_id, MAX_LOGGED);
    free(shown_name), free(shown_id), free(text);
}

/* False: cancelled meanwhile. */
static bool answer_execute(gears_hook_message *m) {
    gears_hooks *h = m->hooks;
    size_t size = (size_t)(h->answer_end - h->answer);
    if (!gears_hook_execute)
        gears_reply_error(&m->writer, "NOPERM this server lets hooks execute nothing: module argument HOOK_EXECUTE");
    else if (h->stage->ending)
        gears_reply_error(&m->writer, "ERR the stage is over");
    else if (size > MAX_EXECUTE)
        gears_reply_error(&m->writer, "ERR the command is too long");
    else
        return gears_reply_execute(h->stage, h->ctx, h->answer, size, &m->writer);
    return true;
}

static void fail_late(gears_hook_message *m) {
    char text[128];
    snprintf(text, sizeof text, "a batch took more than %u ms", gears_session_timeout_ms);
    gears_hook_fail(m->hooks, "GEARSHOOKTIME", m->name, text);
}

/* The deadline holds for all of a message: a hook that talks to the server all the time is a runaway as well. */
static bool answer_wish(gears_hook_message *m, uint32_t kind, uint64_t started) {
    gears_hooks *h = m->hooks;
    char *payload = payload_of(m->session);
    m->writer = (gears_batch_writer){payload, payload + GEARS_MAILBOX_BYTES, false};
    if (kind == GEARS_LOG) write_log(h, m->name);
    bool answered = kind == GEARS_LOG || answer_execute(m);
    if (!answered && atomic_load(&h->stage->cancelled)) {
        gears_stage_fail_cancelled(h->stage);
        gears_session_leave_wish(m->session);
        return false;
    }
    if (!answered)
        gears_stage_fail(h->stage, "GEARSCANCELLED the server shuts down");
    else if (gears_lock_now() - started > gears_session_timeout_ms * UINT64_C(1000))
        fail_late(m);
    else
        return true;
    gears_session_abandon(m->session);
    return false;
}

/* ---- the way there and back ----------------------------------------------------------------------------------- */

/* With the turn at the server again: the answer's kind, its payload copied. False: the stage has failed. */
static bool converse(gears_hook_message *m, uint32_t *kind) {
    gears_hooks *h = m->hooks;
    gears_mailbox *box = gears_session_mailbox(m->session);
    uint64_t started = gears_lock_now(), size;
    for (;;) {
        box->kind = *kind;
        box->size = (uint64_t)(m->writer.at - payload_of(m->session));
        uint64_t sent = gears_lock_now();
        bool answered = gears_session_exchange(m->session, h->stage, m->name, kind, &size);
        atomic_fetch_add_explicit(&h->stage->hook_us, gears_lock_now() - sent, memory_order_relaxed);
        if (!answered || !copy_answer(h, m->session, size)) return false;
        if (*kind != GEARS_EXECUTE && *kind != GEARS_LOG) return true;
        if (!answer_wish(m, *kind, started)) return false;
        *kind = GEARS_ANSWER;
    }
}

bool gears_hook_message_send(gears_hook_message *m, uint32_t kind, uint32_t expected) {
    gears_hooks *h = m->hooks;
    if (m->writer.full) {
        gears_hook_fail(h, "GEARSLIMIT", m->name, "the arguments of a batch are more than 1 GiB");
        unlock(h);
        return false;
    }
    bool answered = converse(m, &kind);
    if (answered && kind != expected && kind != GEARS_ERROR) {
        gears_hook_message_broken(h, m->session, m->name, "an answer that was not asked for");
        return false;
    }
    unlock(h);
    if (answered && kind == GEARS_ERROR) {
        free(h->error);
        h->error = strdup(h->answer);
        if (h->error == NULL) gears_stage_fail(h->stage, "GEARSLIMIT out of memory");
    }
    return answered && kind == expected;
}
