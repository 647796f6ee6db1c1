/* SPDX-License-Identifier: MIT */
/*
 * Commands on values: SET GET MSET MGET APPEND INCR DECR INCRBY. Each either does all it was asked
 * or nothing. Run by kv_execute.
 */
#include "commands.h"
#include "resp.h"

/* The options of SET. */
typedef struct set_options {
    bool only_new, only_old; /* NX, XX */
    int64_t unit_ms;         /* of EX, PX; 0: no deadline */
    kv_slice amount;
} set_options;

/* False: they make no sense together. */
static bool read_set_options(const kv_call *call, set_options *options) {
    for (size_t i = 3; i < call->argc; i++) {
        kv_slice word = call->args[i];
        if (kv_slice_is(word, "nx") && !options->only_old) {
            options->only_new = true;
            continue;
        }
        if (kv_slice_is(word, "xx") && !options->only_new) {
            options->only_old = true;
            continue;
        }
        int64_t unit = kv_slice_is(word, "ex") ? 1000 : kv_slice_is(word, "px") ? 1 : 0;
        bool other_unit = options->unit_ms != 0 && options->unit_ms != unit;
        if (unit == 0 || other_unit || i + 1 == call->argc) {
            return false;
        }
        options->unit_ms = unit;
        options->amount = call->args[++i];
    }
    return true;
}

void kv_run_set(kv_call *call) {
    set_options options = {0};
    if (call->argc > 3 && !read_set_options(call, &options)) {
        kv_put_error(call->out, KV_SYNTAX);
        return;
    }
    int64_t deadline = KV_NO_DEADLINE;
    if (options.unit_ms != 0) {
        int64_t amount;
        if (!kv_parse_integer(options.amount, &amount)) {
            kv_put_error(call->out, KV_NOT_INTEGER);
            return;
        }
        if (amount <= 0 || !kv_deadline(call, amount, options.unit_ms, &deadline)) {
            kv_put_expire_error(call);
            return;
        }
    }
    if (options.only_new || options.only_old) {
        bool there = kv_store_find(call->store, call->args[1]) != NULL;
        if (there != options.only_old) {
            kv_put_null(call->out);
            return;
        }
    }
    kv_put_done(call, kv_store_set(call->store, call->args[1], call->args[2], deadline));
}

static void put_value(kv_call *call, kv_slice key) {
    const kv_entry *entry = kv_store_find(call->store, key);
    if (entry == NULL) {
        kv_put_null(call->out);
    } else {
        kv_put_bulk(call->out, kv_entry_value(entry));
    }
}

void kv_run_get(kv_call *call) {
    put_value(call, call->args[1]);
}

void kv_run_mget(kv_call *call) {
    kv_put_array(call->out, call->argc - 1);
    for (size_t i = 1; i < call->argc && !call->out->failed; i++) {
        put_value(call, call->args[i]);
    }
}

void kv_run_mset(kv_call *call) {
    if (call->argc % 2 == 0) {
        kv_put_arity_error(call);
        return;
    }
    kv_put_done(call, kv_store_set_many(call->store, call->args + 1, (call->argc - 1) / 2));
}

void kv_run_append(kv_call *call) {
    kv_entry *entry = kv_store_find(call->store, call->args[1]);
    kv_slice more = call->args[2];
    size_t len = entry != NULL ? entry->value_len : 0;
    if (more.len > KV_VALUE_MAX - len) {
        kv_put_error(call->out, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return;
    }
    int result = entry != NULL ? kv_store_append(call->store, entry, more)
                               : kv_store_set(call->store, call->args[1], more, KV_NO_DEADLINE);
    if (result != 0) {
        kv_put_error(call->out, KV_OOM);
        return;
    }
    kv_put_integer(call->out, (int64_t)(len + more.len));
}

static void add(kv_call *call, int64_t by) {
    kv_entry *entry = kv_store_find(call->store, call->args[1]);
    int64_t value = 0;
    if (entry != NULL && !kv_parse_integer(kv_entry_value(entry), &value)) {
        kv_put_error(call->out, KV_NOT_INTEGER);
        return;
    }
    if ((by > 0 && value > INT64_MAX - by) || (by < 0 && value < INT64_MIN - by)) {
        kv_put_error(call->out, "ERR increment or decrement would overflow");
        return;
    }
    value += by;
    char digits[KV_INTEGER_MAX];
    kv_slice text = {(const uint8_t *)digits, kv_format_integer(digits, value)};
    int result = entry != NULL ? kv_store_replace(call->store, entry, text)
                               : kv_store_set(call->store, call->args[1], text, KV_NO_DEADLINE);
    if (result != 0) {
        kv_put_error(call->out, KV_OOM);
        return;
    }
    kv_put_integer(call->out, value);
}

void kv_run_incr(kv_call *call) {
    add(call, 1);
}

void kv_run_decr(kv_call *call) {
    add(call, -1);
}

void kv_run_incrby(kv_call *call) {
    int64_t by;
    if (!kv_parse_integer(call->args[2], &by)) {
        kv_put_error(call->out, KV_NOT_INTEGER);
        return;
    }
    add(call, by);
}
