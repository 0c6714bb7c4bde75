// OpenBLAS, which only some work needs (--matmul sgemm, calibration, the benchmark's yardstick), so it is loaded when
// that begins: it starts its threads and takes its memory as it is loaded, and under a limit of memory it may never
// come back from that. Each call runs in the calling thread.
#ifndef QINS_KERNELS_BLAS_H
#define QINS_KERNELS_BLAS_H

#include "engine/base/error.h"

#include <cblas.h>
#include <stddef.h>

typedef struct qins_blas {
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(cblas_strsm) *strsm;
    __typeof__(openblas_get_config) *get_config;
} qins_blas;

// Load it, once, from the main thread, for calls by so many threads. QINS_FAILED if there is none, it keeps threads of
// its own, or there is no room for its buffers, for which it would wait forever.
qins_status qins_blas_open(size_t n_threads, qins_error *error);

// Its functions, once qins_blas_open has succeeded. Calls of sgemm and strsm stand between enter and leave, which let
// in as many threads as the library has buffers for: it ends the program for one that finds none.
const qins_blas *qins_blas_get(void);
const qins_blas *qins_blas_enter(void);
void qins_blas_leave(void);

#endif
