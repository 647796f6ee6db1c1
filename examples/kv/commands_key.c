/* SPDX-License-Identifier: MIT */
/*
 * Commands on keys: DEL EXISTS EXPIRE TTL PERSIST KEYS DBSIZE FLUSHALL. What they list comes in the
 * order in which keys were made. Run by kv_execute.
 */
#include "commands.h"
#include "glob.h"
#include "resp.h"

void kv_run_del(kv_call *call) {
    int64_t count = 0;
    for (size_t i = 1; i < call->argc; i++) {
        kv_entry *entry = kv_store_find(call->store, call->args[i]);
        if (entry != NULL) {
            kv_store_delete(call->store, entry);
            count++;
        }
    }
    kv_put_integer(call->out, count);
}

void kv_run_exists(kv_call *call) {
    int64_t count = 0;
    for (size_t i = 1; i < call->argc; i++) {
        count += kv_store_find(call->store, call->args[i]) != NULL ? 1 : 0;
    }
    kv_put_integer(call->out, count);
}

/* ---- EXPIRE ---- */

enum { ONLY_NEW = 1, ONLY_OLD = 2, ONLY_LATER = 4, ONLY_EARLIER = 8 };

static int expire_option(kv_slice word) {
    return kv_slice_is(word, "nx")   ? ONLY_NEW
           : kv_slice_is(word, "xx") ? ONLY_OLD
           : kv_slice_is(word, "gt") ? ONLY_LATER
           : kv_slice_is(word, "lt") ? ONLY_EARLIER
                                     : 0;
}

/* Returns the options, or -1 after an error reply. */
static int read_expire_options(kv_call *call) {
    int options = 0;
    for (size_t i = 3; i < call->argc; i++) {
        int option = expire_option(call->args[i]);
        if (option == 0) {
            kv_put_error_begin(call->out, "ERR Unsupported option ");
            kv_put_error_some(call->out, call->args[i], 128);
            kv_put_error_end(call->out, "");
            return -1;
        }
        options |= option;
    }
    if ((options & ONLY_NEW) != 0 && options != ONLY_NEW) {
        kv_put_error(call->out, "ERR NX and XX, GT or LT options at the same time are not "
                                "compatible");
        return -1;
    }
    if ((options & ONLY_LATER) != 0 && (options & ONLY_EARLIER) != 0) {
        kv_put_error(call->out, "ERR GT and LT options at the same time are not compatible");
        return -1;
    }
    return options;
}

/* No deadline counts as one that never comes: KV_NO_DEADLINE is the largest number. */
static bool may_expire(int options, int64_t old, int64_t new) {
    bool had = old != KV_NO_DEADLINE;
    return !((options & ONLY_NEW) != 0 && had) && !((options & ONLY_OLD) != 0 && !had) &&
           !((options & ONLY_LATER) != 0 && new <= old) &&
           !((options & ONLY_EARLIER) != 0 && new >= old);
}

void kv_run_expire(kv_call *call) {
    int options = read_expire_options(call);
    if (options < 0) {
        return;
    }
    int64_t seconds, deadline;
    if (!kv_parse_integer(call->args[2], &seconds)) {
        kv_put_error(call->out, KV_NOT_INTEGER);
        return;
    }
    if (!kv_deadline(call, seconds, 1000, &deadline)) {
        kv_put_expire_error(call);
        return;
    }
    kv_entry *entry = kv_store_find(call->store, call->args[1]);
    if (entry == NULL || !may_expire(options, entry->deadline_ms, deadline)) {
        kv_put_integer(call->out, 0);
        return;
    }
    if (seconds <= 0) {
        kv_store_delete(call->store, entry);
    } else if (kv_store_set_deadline(call->store, entry, deadline) != 0) {
        kv_put_error(call->out, KV_OOM);
        return;
    }
    kv_put_integer(call->out, 1);
}

void kv_run_ttl(kv_call *call) {
    const kv_entry *entry = kv_store_find(call->store, call->args[1]);
    if (entry == NULL) {
        kv_put_integer(call->out, -2);
    } else if (entry->deadline_ms == KV_NO_DEADLINE) {
        kv_put_integer(call->out, -1);
    } else {
        /* To the nearest second, as Redis; the remainder apart, since the sum may not fit. */
        int64_t left = entry->deadline_ms - kv_store_now(call->store);
        kv_put_integer(call->out, left / 1000 + (left % 1000 >= 500 ? 1 : 0));
    }
}

void kv_run_persist(kv_call *call) {
    kv_entry *entry = kv_store_find(call->store, call->args[1]);
    bool had = entry != NULL && entry->deadline_ms != KV_NO_DEADLINE;
    if (had) {
        kv_store_set_deadline(call->store, entry, KV_NO_DEADLINE);
    }
    kv_put_integer(call->out, had ? 1 : 0);
}

/* ---- All keys ---- */

/* Counts first, since the count stands before the keys: nothing is kept in between. */
void kv_run_keys(kv_call *call) {
    kv_slice pattern = call->args[1];
    size_t count = 0;
    const kv_entry *entry = NULL;
    while ((entry = kv_store_next(call->store, entry)) != NULL) {
        count += kv_glob(pattern, kv_entry_key(entry)) ? 1 : 0;
    }
    kv_put_array(call->out, count);
    while (count > 0 && !call->out->failed) {
        entry = kv_store_next(call->store, entry);
        if (kv_glob(pattern, kv_entry_key(entry))) {
            kv_put_bulk(call->out, kv_entry_key(entry));
            count--;
        }
    }
}

void kv_run_dbsize(kv_call *call) {
    kv_put_integer(call->out, (int64_t)kv_store_count(call->store));
}

void kv_run_flushall(kv_call *call) {
    bool fits = call->argc == 1 || (call->argc == 2 && (kv_slice_is(call->args[1], "async") ||
                                                        kv_slice_is(call->args[1], "sync")));
    if (!fits) {
        kv_put_error(call->out, KV_SYNTAX);
        return;
    }
    kv_store_clear(call->store);
    kv_put_status(call->out, "OK");
}
