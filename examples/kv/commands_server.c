/* SPDX-License-Identifier: MIT */
/*
 * Commands about the connection and the server: PING ECHO SELECT QUIT, and as much of CLIENT,
 * COMMAND and CONFIG as redis-cli, redis-benchmark and client libraries ask for. Run by kv_execute.
 */
#include "commands.h"
#include "glob.h"
#include "resp.h"

#include <stdio.h>
#include <string.h>

/* The longest name of a connection. */
#define PEER_NAME_MAX 256

void kv_run_ping(kv_call *call) {
    if (call->argc > 2) {
        kv_put_arity_error(call);
    } else if (call->argc == 2) {
        kv_put_bulk(call->out, call->args[1]);
    } else {
        kv_put_status(call->out, "PONG");
    }
}

void kv_run_echo(kv_call *call) {
    kv_put_bulk(call->out, call->args[1]);
}

void kv_run_select(kv_call *call) {
    int64_t index;
    if (!kv_parse_integer(call->args[1], &index)) {
        kv_put_error(call->out, KV_NOT_INTEGER);
    } else if (index < INT32_MIN || index > INT32_MAX) {
        kv_put_error(call->out, "ERR value is out of range, value must between -2147483648 and "
                                "2147483647");
    } else if (index != 0) {
        kv_put_error(call->out, "ERR DB index is out of range");
    } else {
        kv_put_status(call->out, "OK");
    }
}

void kv_run_quit(kv_call *call) {
    call->peer->quit = true;
    kv_put_status(call->out, "OK");
}

/* ---- CLIENT ---- */

void kv_run_client_id(kv_call *call) {
    kv_put_integer(call->out, (int64_t)call->peer->id);
}

void kv_run_client_getname(kv_call *call) {
    if (call->peer->name == NULL) {
        kv_put_null(call->out);
    } else {
        kv_put_bulk(call->out, (kv_slice){call->peer->name, call->peer->name_len});
    }
}

void kv_peer_fini(kv_peer *peer) {
    dw_free(peer->reactor, peer->name);
    peer->name = NULL;
    peer->name_len = 0;
}

static bool is_printable(kv_slice name) {
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < '!' || name.data[i] > '~') {
            return false;
        }
    }
    return true;
}

void kv_run_client_setname(kv_call *call) {
    kv_slice name = call->args[2];
    if (!is_printable(name) || name.len > PEER_NAME_MAX) {
        kv_put_error(call->out, "ERR Client names cannot contain spaces, newlines or special "
                                "characters.");
        return;
    }
    uint8_t *copy = NULL;
    if (name.len > 0) { /* an empty name takes the name away */
        copy = dw_alloc(call->peer->reactor, name.len);
        if (copy == NULL) {
            kv_put_error(call->out, KV_OOM);
            return;
        }
        memcpy(copy, name.data, name.len);
    }
    kv_peer_fini(call->peer);
    call->peer->name = copy;
    call->peer->name_len = name.len;
    kv_put_status(call->out, "OK");
}

/* Client libraries introduce themselves; nobody asks for it later. */
void kv_run_client_setinfo(kv_call *call) {
    if (!kv_slice_is(call->args[2], "lib-name") && !kv_slice_is(call->args[2], "lib-ver")) {
        kv_put_error_begin(call->out, "ERR Unrecognized option '");
        kv_put_error_some(call->out, call->args[2], 128);
        kv_put_error_end(call->out, "'");
        return;
    }
    kv_put_status(call->out, "OK");
}

/* ---- COMMAND ---- */

static bool is_subcommand(const kv_command *command) {
    return strchr(command->name, '|') != NULL;
}

static size_t count_commands(void) {
    size_t count = 0;
    for (size_t i = 0; kv_command_at(i) != NULL; i++) {
        count += is_subcommand(kv_command_at(i)) ? 0 : 1;
    }
    return count;
}

static void put_text(kv_call *call, const char *text) {
    kv_put_bulk(call->out, kv_text(text));
}

static void put_flags(kv_call *call, const char *flags) {
    size_t count = *flags != '\0' ? 1 : 0;
    for (const char *c = flags; *c != '\0'; c++) {
        count += *c == ' ' ? 1 : 0;
    }
    kv_put_array(call->out, count);
    for (; count > 0; count--) {
        size_t len = strcspn(flags, " ");
        kv_buffer_append(call->out, "+", 1);
        kv_buffer_append(call->out, flags, len);
        kv_buffer_append(call->out, "\r\n", 2);
        flags += len + 1;
    }
}

static void put_info(kv_call *call, const kv_command *command) {
    kv_put_array(call->out, 6);
    put_text(call, command->name);
    kv_put_integer(call->out, command->arity);
    put_flags(call, command->flags);
    kv_put_integer(call->out, command->first);
    kv_put_integer(call->out, command->last);
    kv_put_integer(call->out, command->step);
}

/* redis-cli shows these as hints while a person types. */
static void put_docs(kv_call *call, const kv_command *command) {
    put_text(call, command->name);
    kv_put_array(call->out, 6);
    put_text(call, "summary");
    put_text(call, command->summary);
    put_text(call, "since");
    put_text(call, "1.0.0");
    put_text(call, "group");
    put_text(call, command->first != 0 ? "string" : "server");
}

static void put_name(kv_call *call, const kv_command *command) {
    put_text(call, command->name);
}

/* One entry for each command; subcommands are not listed by themselves. */
static void put_all(kv_call *call, size_t items, void (*put)(kv_call *, const kv_command *)) {
    kv_put_array(call->out, count_commands() * items);
    for (size_t i = 0; kv_command_at(i) != NULL; i++) {
        if (!is_subcommand(kv_command_at(i))) {
            put(call, kv_command_at(i));
        }
    }
}

void kv_run_command(kv_call *call) {
    put_all(call, 1, put_info);
}

void kv_run_command_count(kv_call *call) {
    kv_put_integer(call->out, (int64_t)count_commands());
}

void kv_run_command_list(kv_call *call) {
    put_all(call, 1, put_name);
}

void kv_run_command_info(kv_call *call) {
    if (call->argc == 2) {
        put_all(call, 1, put_info);
        return;
    }
    kv_put_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        const kv_command *command = kv_command_find(call->args[i]);
        if (command != NULL) {
            put_info(call, command);
        } else {
            kv_buffer_append(call->out, "*-1\r\n", 5);
        }
    }
}

void kv_run_command_docs(kv_call *call) {
    if (call->argc == 2) {
        put_all(call, 2, put_docs);
        return;
    }
    size_t known = 0;
    for (size_t i = 2; i < call->argc; i++) {
        known += kv_command_find(call->args[i]) != NULL ? 1 : 0;
    }
    kv_put_array(call->out, known * 2);
    for (size_t i = 2; i < call->argc; i++) {
        const kv_command *command = kv_command_find(call->args[i]);
        if (command != NULL) {
            put_docs(call, command);
        }
    }
}

/* ---- CONFIG ---- */

#define SETTINGS 6

typedef struct setting {
    const char *name;
    char value[24];
} setting;

static void list_settings(const kv_facts *facts, setting out[SETTINGS]) {
    const setting all[SETTINGS] = {{"save", ""},      {"appendonly", "no"}, {"databases", "1"},
                                   {"maxmemory", ""}, {"timeout", ""},      {"maxclients", ""}};
    memcpy(out, all, sizeof(all));
    snprintf(out[3].value, sizeof(out[3].value), "%lld", (long long)facts->memory_max);
    snprintf(out[4].value, sizeof(out[4].value), "%lld", (long long)facts->idle_s);
    snprintf(out[5].value, sizeof(out[5].value), "%lld", (long long)facts->clients_max);
}

/* Whether the setting is asked for. *as is what to call it in the reply: the very word that named
 * it, as in Redis, or its name when a pattern did. */
static bool is_asked(const kv_call *call, const char *name, kv_slice *as) {
    for (size_t i = 2; i < call->argc; i++) {
        if (kv_slice_is(call->args[i], name)) {
            *as = call->args[i];
            return true;
        }
        if (kv_glob(call->args[i], kv_text(name))) {
            *as = kv_text(name);
            return true;
        }
    }
    return false;
}

void kv_run_config_get(kv_call *call) {
    setting settings[SETTINGS];
    kv_slice as;
    list_settings(call->facts, settings);
    size_t count = 0;
    for (int i = 0; i < SETTINGS; i++) {
        count += is_asked(call, settings[i].name, &as) ? 1 : 0;
    }
    kv_put_array(call->out, count * 2);
    for (int i = 0; i < SETTINGS; i++) {
        if (is_asked(call, settings[i].name, &as)) {
            kv_put_bulk(call->out, as);
            put_text(call, settings[i].value);
        }
    }
}

/* ---- HELP of the commands with subcommands ---- */

void kv_run_help(kv_call *call) {
    size_t len = strcspn(call->command->name, "|") + 1;
    size_t count = 0;
    for (size_t i = 0; kv_command_at(i) != NULL; i++) {
        count += strncmp(kv_command_at(i)->name, call->command->name, len) == 0 ? 1 : 0;
    }
    kv_put_array(call->out, count);
    for (size_t i = 0; kv_command_at(i) != NULL; i++) {
        const kv_command *command = kv_command_at(i);
        if (strncmp(command->name, call->command->name, len) == 0) {
            char line[128];
            snprintf(line, sizeof(line), "%s: %s", command->name + len, command->summary);
            kv_put_status(call->out, line);
        }
    }
}
