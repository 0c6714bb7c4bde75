// OpenBLAS; see blas.h.
#define _POSIX_C_SOURCE 200809L // setenv
#include "engine/kernels/blas.h"

#include "engine/base/memory.h"

#include <cblas.h>
#include <dlfcn.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct functions {
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(cblas_strsm) *strsm;
    __typeof__(openblas_get_config) *get_config;
} functions;
static sem_t free_buffers;

// The names that distributions give it; "so" comes with its development files.
static const char *const names[] = {"libopenblas.so.0", "libopenblas.so.3", "libopenblasp.so.0", "libopenblas.so"};

// Its code, and the buffer that it maps for each thread that calls it.
static const size_t LIBRARY_BYTES = (size_t)48 << 20, BUFFER_BYTES = (size_t)128 << 20;

static void check_room(size_t n_threads, qins_error *error) {
    const size_t needed = LIBRARY_BYTES + n_threads * BUFFER_BYTES, mappable = qins_memory_mappable();
    if (needed > mappable)
        qins_fail(
            error, QINS_FAILED,
            "OpenBLAS maps up to %zu MiB with %zu threads, ulimit -v leaves %zu MiB; fewer threads (-t) need less",
            needed >> 20, n_threads, mappable >> 20);
}

static void *load_library(qins_error *error) {
    // Workers call it by themselves, so it must not start threads of its own; an OpenMP build asks OpenMP's variable.
    if (setenv("OPENBLAS_NUM_THREADS", "1", true) != 0 || setenv("OMP_NUM_THREADS", "1", true) != 0) {
        qins_fail_errno(error, QINS_FAILED, "cannot prepare to load OpenBLAS");
        return NULL;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library != NULL) return library;
    }
    qins_fail(error, QINS_FAILED,
              "this needs OpenBLAS, which cannot be loaded (%s); install it (Debian: libopenblas0-pthread)", dlerror());
    return NULL;
}

// A function of the library as an integer, from which it is cast to its type.
static uintptr_t function(void *library, const char *name, qins_error *error) {
    void *address = dlsym(library, name);
    if (address == NULL) qins_fail(error, QINS_FAILED, "this OpenBLAS has no function %s", name);
    return (uintptr_t)address;
}

static void limit_threads(void *library, qins_error *error) {
    const uintptr_t set = function(library, "openblas_set_num_threads", error);
    const uintptr_t get = function(library, "openblas_get_num_threads", error);
    if (error->status != QINS_OK) return;
    ((__typeof__(openblas_set_num_threads) *)set)(1);
    if (((__typeof__(openblas_get_num_threads) *)get)() != 1)
        qins_fail(error, QINS_FAILED,
                  "this OpenBLAS keeps threads of its own; install its pthread build (Debian: libopenblas0-pthread)");
}

// Calls at a time for which the library has buffers (OpenBLAS's common.h: NUM_BUFFERS).
static unsigned count_buffers(const char *config) {
    static const char key[] = "MAX_THREADS=";
    const char *place = strstr(config, key);
    unsigned n_threads = 0;
    const unsigned least = 50;
    if (place != NULL && sscanf(place + strlen(key), "%u", &n_threads) != 1) n_threads = 0;
    return 2 * n_threads > least ? 2 * n_threads : least;
}

qins_status qins_blas_open(size_t n_threads, qins_error *error) {
    if (functions.sgemm != NULL) return QINS_OK;
    check_room(n_threads, error);
    void *library = error->status == QINS_OK ? load_library(error) : NULL;
    if (library == NULL) return error->status;
    limit_threads(library, error);
    const struct functions found = {(__typeof__(cblas_sgemm) *)function(library, "cblas_sgemm", error),
                                    (__typeof__(cblas_strsm) *)function(library, "cblas_strsm", error),
                                    (__typeof__(openblas_get_config) *)function(library, "openblas_get_config", error)};
    if (error->status == QINS_OK && sem_init(&free_buffers, 0, count_buffers(found.get_config())) != 0)
        qins_fail_errno(error, QINS_FAILED, "cannot prepare for calls of OpenBLAS");
    if (error->status == QINS_OK) functions = found; // the library stays loaded
    return error->status;
}

const char *qins_blas_config(void) {
    return functions.get_config();
}

// --- calls, at most as many as the library has buffers: it ends the program for a thread that finds none ---

static const struct functions *enter(void) {
    while (sem_wait(&free_buffers) != 0) { // a signal came
    }
    return &functions;
}

static void leave(void) {
    sem_post(&free_buffers);
}

void qins_blas_sgemm(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                     size_t m, size_t n, size_t k, qins_blas_form form) {
    const struct functions *blas = enter();
    blas->sgemm(CblasRowMajor, form.a_is_transposed ? CblasTrans : CblasNoTrans,
                form.b_is_transposed ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, form.alpha, a,
                (blasint)a_stride, b, (blasint)b_stride, form.beta, c, (blasint)c_stride);
    leave();
}

void qins_blas_cholesky_solve(float *y, size_t n, const float *factor, size_t cols) {
    const CBLAS_TRANSPOSE order[] = {CblasTrans, CblasNoTrans}; // y = y L^-T, then y = y L^-1
    const struct functions *blas = enter();
    for (int i = 0; i < 2; i++)
        blas->strsm(CblasRowMajor, CblasRight, CblasLower, order[i], CblasNonUnit, (blasint)n, (blasint)cols, 1.0f,
                    factor, (blasint)cols, y, (blasint)cols);
    leave();
}
