/* SPDX-License-Identifier: MIT */
/*
 * The table of commands, and how a request finds its place in it. Invariant: a request that names
 * no command, or has too few or too many words, changes nothing and gets one error line. See
 * commands.h.
 */
#include "commands.h"

#include <string.h>

/* Bytes of a client's words that an error line repeats, as in Redis. */
#define ERROR_QUOTE_MAX 128

/* The longest name in the table is shorter. */
#define NAME_MAX_LEN 32

/* The most used first: they are found first. */
static const kv_command table[] = {
    {"get", kv_run_get, 2, "readonly fast", 1, 1, 1, "Returns the value of a key."},
    {"set", kv_run_set, -3, "write denyoom", 1, 1, 1, "Sets the value of a key."},
    {"ping", kv_run_ping, -1, "fast", 0, 0, 0, "Answers PONG, or its argument."},
    {"incr", kv_run_incr, 2, "write denyoom fast", 1, 1, 1, "Adds one to a number."},
    {"mset", kv_run_mset, -3, "write denyoom", 1, -1, 2, "Sets the values of keys, all or none."},
    {"mget", kv_run_mget, -2, "readonly fast", 1, -1, 1, "Returns the values of keys."},
    {"del", kv_run_del, -2, "write", 1, -1, 1, "Deletes keys."},
    {"exists", kv_run_exists, -2, "readonly fast", 1, -1, 1, "Counts which of the keys exist."},
    {"decr", kv_run_decr, 2, "write denyoom fast", 1, 1, 1, "Takes one off a number."},
    {"incrby", kv_run_incrby, 3, "write denyoom fast", 1, 1, 1, "Adds to a number."},
    {"append", kv_run_append, 3, "write denyoom fast", 1, 1, 1, "Lengthens a value."},
    {"expire", kv_run_expire, -3, "write fast", 1, 1, 1, "Lets a key go after some seconds."},
    {"ttl", kv_run_ttl, 2, "readonly fast", 1, 1, 1, "Returns the seconds a key has left."},
    {"persist", kv_run_persist, 2, "write fast", 1, 1, 1, "Lets a key stay."},
    {"keys", kv_run_keys, 2, "readonly", 0, 0, 0, "Returns the keys that match a pattern."},
    {"dbsize", kv_run_dbsize, 1, "readonly fast", 0, 0, 0, "Returns the number of keys."},
    {"flushall", kv_run_flushall, -1, "write", 0, 0, 0, "Deletes all keys."},
    {"echo", kv_run_echo, 2, "fast", 0, 0, 0, "Returns its argument."},
    {"select", kv_run_select, 2, "fast", 0, 0, 0, "Chooses the database; there is one, 0."},
    {"quit", kv_run_quit, -1, "fast", 0, 0, 0, "Closes the connection."},
    {"client", kv_run_help, -2, "", 0, 0, 0, "Commands about the connection."},
    {"client|id", kv_run_client_id, 2, "", 0, 0, 0, "Returns the connection's number."},
    {"client|getname", kv_run_client_getname, 2, "", 0, 0, 0, "Returns the connection's name."},
    {"client|setname", kv_run_client_setname, 3, "", 0, 0, 0, "Names the connection."},
    {"client|setinfo", kv_run_client_setinfo, 4, "", 0, 0, 0, "Tells the client's library."},
    {"client|help", kv_run_help, 2, "", 0, 0, 0, "Lists the subcommands."},
    {"command", kv_run_command, -1, "", 0, 0, 0, "Describes all commands."},
    {"command|count", kv_run_command_count, 2, "", 0, 0, 0, "Counts the commands."},
    {"command|docs", kv_run_command_docs, -2, "", 0, 0, 0, "Documents commands."},
    {"command|info", kv_run_command_info, -2, "", 0, 0, 0, "Describes commands."},
    {"command|list", kv_run_command_list, 2, "", 0, 0, 0, "Lists the commands' names."},
    {"command|help", kv_run_help, 2, "", 0, 0, 0, "Lists the subcommands."},
    {"config", kv_run_help, -2, "admin", 0, 0, 0, "Commands about the configuration."},
    {"config|get", kv_run_config_get, -3, "admin", 0, 0, 0, "Returns settings."},
    {"config|help", kv_run_help, 2, "admin", 0, 0, 0, "Lists the subcommands."},
};

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

const kv_command *kv_command_at(size_t index) {
    return index < TABLE_COUNT ? &table[index] : NULL;
}

const kv_command *kv_command_find(kv_slice name) {
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (kv_slice_is(name, table[i].name)) {
            return &table[i];
        }
    }
    return NULL;
}

/* A command with subcommands but none of its own, or with both. */
static bool has_subcommands(const kv_command *command) {
    return command->run == kv_run_help || command->run == kv_run_command;
}

static const kv_command *find_subcommand(const kv_command *parent, kv_slice name) {
    uint8_t full[NAME_MAX_LEN];
    size_t len = strlen(parent->name);
    if (name.len > sizeof(full) - len - 1) {
        return NULL;
    }
    memcpy(full, parent->name, len);
    full[len] = '|';
    memcpy(full + len + 1, name.data, name.len);
    return kv_command_find((kv_slice){full, len + 1 + name.len});
}

static void put_unknown(kv_call *call) {
    kv_put_error_begin(call->out, "ERR unknown command '");
    kv_put_error_some(call->out, call->args[0], ERROR_QUOTE_MAX);
    kv_buffer_append(call->out, "', with args beginning with: ", 29);
    size_t shown = 0;
    for (size_t i = 1; i < call->argc && shown < ERROR_QUOTE_MAX; i++) {
        kv_buffer_append(call->out, "'", 1);
        shown += kv_put_error_some(call->out, call->args[i], ERROR_QUOTE_MAX - shown) + 3;
        kv_buffer_append(call->out, "' ", 2);
    }
    kv_put_error_end(call->out, "");
}

static void put_unknown_subcommand(kv_call *call) {
    uint8_t upper[NAME_MAX_LEN];
    size_t len = call->args[0].len;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = call->args[0].data[i];
        upper[i] = c >= 'a' && c <= 'z' ? (uint8_t)(c - ('a' - 'A')) : c;
    }
    kv_put_error_begin(call->out, "ERR unknown subcommand '");
    kv_put_error_some(call->out, call->args[1], ERROR_QUOTE_MAX);
    kv_buffer_append(call->out, "'. Try ", 7);
    kv_buffer_append(call->out, upper, len);
    kv_put_error_end(call->out, " HELP.");
}

void kv_put_arity_error(kv_call *call) {
    kv_put_error_begin(call->out, "ERR wrong number of arguments for '");
    kv_put_error_some(call->out, kv_text(call->command->name), NAME_MAX_LEN);
    kv_put_error_end(call->out, "' command");
}

void kv_put_expire_error(kv_call *call) {
    kv_put_error_begin(call->out, "ERR invalid expire time in '");
    kv_put_error_some(call->out, kv_text(call->command->name), NAME_MAX_LEN);
    kv_put_error_end(call->out, "' command");
}

void kv_put_done(kv_call *call, int result) {
    if (result == 0) {
        kv_put_status(call->out, "OK");
    } else {
        kv_put_error(call->out, KV_OOM);
    }
}

bool kv_deadline(const kv_call *call, int64_t amount, int64_t unit_ms, int64_t *deadline_ms) {
    int64_t now = kv_store_now(call->store);
    if (amount > INT64_MAX / unit_ms || amount < INT64_MIN / unit_ms) {
        return false;
    }
    amount *= unit_ms;
    if (amount >= INT64_MAX - now) { /* INT64_MAX itself means: none */
        return false;
    }
    *deadline_ms = now + amount;
    return true;
}

void kv_execute(kv_call *call) {
    call->command = kv_command_find(call->args[0]);
    /* No name of a client's has a '|' in it. */
    if (call->command == NULL || memchr(call->args[0].data, '|', call->args[0].len) != NULL) {
        put_unknown(call);
        return;
    }
    if (call->argc > 1 && has_subcommands(call->command)) {
        call->command = find_subcommand(call->command, call->args[1]);
        if (call->command == NULL) {
            put_unknown_subcommand(call);
            return;
        }
    }
    int arity = call->command->arity;
    bool fits = arity >= 0 ? call->argc == (size_t)arity : call->argc >= (size_t)-arity;
    if (!fits) {
        kv_put_arity_error(call);
        return;
    }
    call->command->run(call);
}
