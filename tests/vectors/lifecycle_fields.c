/* SPDX-License-Identifier: MIT */
/*
 * The fields of an operation: texts, numbers, times, payloads. A field that is missing and has no
 * default, or is of another type, is trouble that names it; nothing is guessed.
 */
#include "lifecycle.h"

#include <math.h>

const char *op_text(const context *ctx, const json_t *args, const char *key,
                    const char *otherwise) {
    const json_t *value = json_object_get(args, key);
    if (value == NULL || json_is_null(value)) {
        if (otherwise == NULL) {
            side_trouble(ctx->s, "an operation lacks the text \"%s\"", key);
            return "";
        }
        return otherwise;
    }
    if (!json_is_string(value)) {
        side_trouble(ctx->s, "\"%s\" of an operation is not a text", key);
        return "";
    }
    return json_string_value(value);
}

/* NAN as `otherwise`: there must be one. */
double op_number(const context *ctx, const json_t *args, const char *key, double otherwise) {
    const json_t *value = json_object_get(args, key);
    if (value == NULL || json_is_null(value)) {
        if (isnan(otherwise)) {
            side_trouble(ctx->s, "the operation \"%s\" lacks the number \"%s\"",
                         op_text(ctx, args, "op", ""), key);
            return 0;
        }
        return otherwise;
    }
    if (!json_is_number(value)) {
        side_trouble(ctx->s, "\"%s\" of an operation is not a number", key);
        return 0;
    }
    return json_number_value(value);
}

bool op_flag(const json_t *args, const char *key) {
    const json_t *value = json_object_get(args, key);
    return json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0);
}

dw_time op_time(const context *ctx, const json_t *args) {
    double seconds = op_number(ctx, args, "s", NAN);
    if (!(seconds > -1e9 && seconds < 1e9)) {
        side_trouble(ctx->s, "\"s\" of an operation is out of range");
        return 0;
    }
    return (dw_time)llround(seconds * 1e9);
}

static bytes filled(const context *ctx, const json_t *args) {
    bytes one = {NULL, 0};
    double n = op_number(ctx, args, "n", NAN);
    if (!hex_decode(op_text(ctx, args, "fill", NULL), &one) || one.len != 1 || n < 0 || n > 1e8) {
        side_trouble(ctx->s, "bad \"fill\" or \"n\"");
        bytes_free(&one);
        return (bytes){NULL, 0};
    }
    bytes b = {malloc((size_t)n + 1), (size_t)n};
    if (b.data != NULL) {
        memset(b.data, one.data[0], b.len);
    } else {
        side_trouble(ctx->s, "out of memory");
        b.len = 0;
    }
    bytes_free(&one);
    return b;
}

bytes op_bytes(const context *ctx, const json_t *args) {
    bytes b = {NULL, 0};
    const json_t *hex = json_object_get(args, "hex");
    if (hex == NULL && json_object_get(args, "fill") != NULL) {
        return filled(ctx, args);
    }
    if (hex == NULL || !json_is_string(hex) || !hex_decode(json_string_value(hex), &b)) {
        side_trouble(ctx->s, "the operation \"%s\" has a bad \"hex\"",
                     op_text(ctx, args, "op", ""));
    }
    return b;
}

/* A list of hex; or, as of `write`, one piece. */
bytes *op_pieces(const context *ctx, const json_t *args, size_t *count) {
    const json_t *list = json_object_get(args, "hex");
    size_t at;
    json_t *hex;
    *count = json_is_array(list) ? json_array_size(list) : 1;
    bytes *pieces = calloc(*count + 1, sizeof(*pieces));
    if (pieces == NULL) {
        side_trouble(ctx->s, "out of memory");
        *count = 0;
        return NULL;
    }
    if (!json_is_array(list)) {
        pieces[0] = op_bytes(ctx, args);
        return pieces;
    }
    json_array_foreach((json_t *)(uintptr_t)list, at, hex) {
        if (!json_is_string(hex) || !hex_decode(json_string_value(hex), &pieces[at])) {
            side_trouble(ctx->s, "bad \"hex\" of writeSequence");
        }
    }
    return pieces;
}

void op_pieces_free(bytes *pieces, size_t count) {
    for (size_t i = 0; i < count; i++) {
        bytes_free(&pieces[i]);
    }
    free(pieces);
}
