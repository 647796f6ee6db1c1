/* SPDX-License-Identifier: MIT */
/*
 * Names and texts of errors, from the one table in drywire/error.h.
 */
#include "drywire/error.h"

#include <stdio.h>
#include <string.h>

const char *dw_strerror(int error) {
    switch (error) {
    case DW_OK:
        return "no error";
#define DW_ERROR_TEXT_(name, value, text) \
    case name:                            \
        return text;
        DW_ERROR_TABLE(DW_ERROR_TEXT_)
    default:
        return "unknown error";
    }
}

const char *dw_error_name(int error) {
    switch (error) {
    case DW_OK:
        return "DW_OK";
#define DW_ERROR_NAME_(name, value, text) \
    case name:                            \
        return #name;
        DW_ERROR_TABLE(DW_ERROR_NAME_)
    default:
        return "DW_UNKNOWN";
    }
}

const char *dw_reason_format(const dw_reason *reason, char *buffer, size_t size) {
    const char *text = reason->text;
    const char *system = reason->sys_errno != 0 ? strerror(reason->sys_errno) : NULL;
    snprintf(buffer, size, "%s%s%s%s%s", dw_strerror((int)reason->kind), text ? ": " : "",
             text ? text : "", system ? ": " : "", system ? system : "");
    return buffer;
}
