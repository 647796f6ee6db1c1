/* SPDX-License-Identifier: MIT */
/*
 * What a client can ask, in one table: names, arities, functions. Running a request writes exactly
 * one reply behind `out`; errors are in Redis's words. Called by the server for each request.
 */
#ifndef KV_COMMANDS_H
#define KV_COMMANDS_H

#include "put.h"
#include "store.h"

/* What commands know of the connection they came from. */
typedef struct kv_peer {
    dw_reactor *reactor;
    uint64_t id;
    uint8_t *name; /* set by CLIENT SETNAME, or NULL */
    size_t name_len;
    bool quit; /* close when the replies are out */
} kv_peer;

/* What CONFIG GET tells. */
typedef struct kv_facts {
    int64_t memory_max;
    int64_t idle_s;
    int64_t clients_max;
} kv_facts;

typedef struct kv_command kv_command;

/* One request being run. */
typedef struct kv_call {
    kv_store *store;
    kv_peer *peer;
    const kv_facts *facts;
    kv_buffer *out;
    const kv_slice *args; /* args[0] is the command's name */
    size_t argc;
    const kv_command *command;
} kv_call;

struct kv_command {
    const char *name; /* "get"; "client|id" is a subcommand of "client" */
    void (*run)(kv_call *call);
    int arity;          /* words with the name; negative: at least so many */
    const char *flags;  /* as COMMAND shows them, separated by spaces */
    int8_t first, last; /* where the keys are, as COMMAND shows it; 0: none */
    int8_t step;
    const char *summary;
};

/* Runs the request in `call`, whose `command` is filled in here; argc > 0. */
void kv_execute(kv_call *call);

/* The table, in order; NULL behind the end. */
const kv_command *kv_command_at(size_t index);

/* The command of that name, or NULL; names of subcommands are "client|id". */
const kv_command *kv_command_find(kv_slice name);

/* Frees what commands keep in a peer. */
void kv_peer_fini(kv_peer *peer);

/* ---- Between the files of commands ---- */

#define KV_NOT_INTEGER "ERR value is not an integer or out of range"
#define KV_SYNTAX      "ERR syntax error"
#define KV_OOM         "OOM command not allowed when used memory > 'maxmemory'."

/* "-ERR wrong number of arguments for 'get' command". */
void kv_put_arity_error(kv_call *call);
/* "-ERR invalid expire time in 'set' command". */
void kv_put_expire_error(kv_call *call);
/* +OK, or -OOM when `result` is an error. */
void kv_put_done(kv_call *call, int result);
/* The deadline `amount` units of `unit_ms` from now. False: it does not fit. */
bool kv_deadline(const kv_call *call, int64_t amount, int64_t unit_ms, int64_t *deadline_ms);

/* commands_string.c */
void kv_run_set(kv_call *call);
void kv_run_get(kv_call *call);
void kv_run_mset(kv_call *call);
void kv_run_mget(kv_call *call);
void kv_run_append(kv_call *call);
void kv_run_incr(kv_call *call);
void kv_run_decr(kv_call *call);
void kv_run_incrby(kv_call *call);

/* commands_key.c */
void kv_run_del(kv_call *call);
void kv_run_exists(kv_call *call);
void kv_run_expire(kv_call *call);
void kv_run_ttl(kv_call *call);
void kv_run_persist(kv_call *call);
void kv_run_keys(kv_call *call);
void kv_run_dbsize(kv_call *call);
void kv_run_flushall(kv_call *call);

/* commands_server.c */
void kv_run_ping(kv_call *call);
void kv_run_echo(kv_call *call);
void kv_run_select(kv_call *call);
void kv_run_quit(kv_call *call);
void kv_run_client_id(kv_call *call);
void kv_run_client_getname(kv_call *call);
void kv_run_client_setname(kv_call *call);
void kv_run_client_setinfo(kv_call *call);
void kv_run_command(kv_call *call);
void kv_run_command_count(kv_call *call);
void kv_run_command_docs(kv_call *call);
void kv_run_command_info(kv_call *call);
void kv_run_command_list(kv_call *call);
void kv_run_config_get(kv_call *call);
void kv_run_help(kv_call *call);

#endif
