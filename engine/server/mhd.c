// Loading libmicrohttpd; see mhd.h.
#include "engine/server/mhd.h"

#include <dlfcn.h>
#include <stdint.h>

// A function of the library as an integer, from which it is cast to its type.
static uintptr_t function(void *library, const char *name, qins_error *error) {
    void *address = dlsym(library, name);
    if (address == NULL) qins_fail(error, QINS_FAILED, "this libmicrohttpd has no function %s", name);
    return (uintptr_t)address;
}

#define FUNCTION(name) .name = (__typeof__(MHD_##name) *)function(library, "MHD_" #name, error)

const qins_mhd *qins_mhd_open(qins_error *error) {
    static qins_mhd mhd;
    if (mhd.start_daemon != NULL) return &mhd;
    void *library = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        qins_fail(error, QINS_FAILED,
                  "a server needs libmicrohttpd, which cannot be loaded (%s); install it (Debian: libmicrohttpd12)",
                  dlerror());
        return NULL;
    }
    const qins_mhd found = {FUNCTION(start_daemon),
                            FUNCTION(stop_daemon),
                            FUNCTION(quiesce_daemon),
                            FUNCTION(get_daemon_info),
                            FUNCTION(get_timeout),
                            FUNCTION(run),
                            FUNCTION(suspend_connection),
                            FUNCTION(resume_connection),
                            FUNCTION(get_connection_info),
                            FUNCTION(lookup_connection_value),
                            FUNCTION(get_connection_values),
                            FUNCTION(create_response_from_buffer),
                            FUNCTION(create_response_from_callback),
                            FUNCTION(add_response_header),
                            FUNCTION(queue_response),
                            FUNCTION(destroy_response)};
    if (error->status != QINS_OK) return NULL;
    mhd = found; // the library stays loaded
    return &mhd;
}
