// Yardsticks of the machine; see machine.h. Measures the bare BLAS.
#include "engine/measure/machine.h"

#include "engine/base/clock.h"
#include "engine/base/map.h"
#include "engine/base/memory.h"
#include "engine/kernels/blas.h"
#include "engine/kernels/linear.h"

#include <stdatomic.h>

static const double SHORTEST = 0.02; // seconds of one measurement

// Run a job again and again for at least SHORTEST; returns the seconds of one.
static double seconds_of(qins_pool *pool, size_t n_items, qins_pool_job *job, void *context) {
    const double start = qins_clock();
    for (size_t n = 1;; n++) {
        qins_pool_run(pool, n_items, job, context);
        double elapsed = qins_clock() - start;
        if (elapsed >= SHORTEST) return elapsed / (double)n;
    }
}

// A piece of memory is read as `streams` runs side by side; bytes `ahead` are asked for early (0: left to the
// processor). Items go to the threads in order, so the threads' pieces lie side by side too.
struct read_pattern {
    size_t piece, streams, ahead; // piece: bytes of an item, 0: one item a thread
};

// The best one differs between machines, and on a shared machine with the load of its neighbours.
static const struct read_pattern patterns[QINS_READ_PATTERNS] = {
    {0, 1, 0},          {64 << 10, 1, 1024}, {256 << 10, 2, 512}, {2 << 20, 4, 0},
    {2 << 20, 4, 1024}, {16 << 20, 4, 512},  {16 << 20, 4, 1024},
};

enum { LINE_WORDS = 8 }; // uint64_t of a cache line

struct read_job {
    const uint64_t *words;
    size_t n_words, item_words;
    struct read_pattern pattern;
    atomic_uint_fast64_t sum; // keeps the reads from being optimized away
};

static void read_item(void *context, size_t item, size_t worker) {
    (void)worker;
    struct read_job *job = context;
    const size_t first = item * job->item_words, left = job->n_words - first;
    const size_t n_words = left < job->item_words ? left : job->item_words;
    const size_t streams = job->pattern.streams, run = n_words / streams / LINE_WORDS * LINE_WORDS;
    uint64_t sums[LINE_WORDS] = {0};
    for (size_t at = 0; at < run; at += LINE_WORDS) {
        for (size_t stream = 0; stream < streams; stream++) {
            const uint64_t *line = job->words + first + stream * run + at;
            if (job->pattern.ahead > 0) __builtin_prefetch((const char *)line + job->pattern.ahead);
            for (size_t i = 0; i < LINE_WORDS; i++) sums[i] += line[i];
        }
    }
    for (size_t i = 1; i < LINE_WORDS; i++) sums[0] += sums[i];
    atomic_fetch_add(&job->sum, sums[0]);
}

void qins_machine_read(qins_pool *pool, const void *data, size_t bytes, double rates[QINS_READ_PATTERNS]) {
    for (size_t i = 0; i < QINS_READ_PATTERNS; i++) {
        struct read_job job = {.words = data, .n_words = bytes / sizeof(uint64_t), .pattern = patterns[i]};
        const size_t n_threads = qins_pool_threads(pool);
        job.item_words = patterns[i].piece / sizeof(uint64_t);
        if (job.item_words == 0) job.item_words = (job.n_words + n_threads - 1) / n_threads;
        const size_t n_items = (job.n_words + job.item_words - 1) / job.item_words;
        rates[i] = (double)bytes / seconds_of(pool, n_items, read_item, &job);
    }
}

// Rows of an item: a thread's whole share, or less, for BLAS libraries that do better on blocks.
static const size_t split_rows[QINS_SGEMM_SPLITS] = {0, 512, 256};

struct sgemm_job {
    const qins_sgemm_gauge *gauge;
    qins_sgemm_shape shape;
    size_t item_rows;
};

static void sgemm_item(void *context, size_t item, size_t worker) {
    (void)worker;
    const struct sgemm_job *job = context;
    const qins_sgemm_gauge *gauge = job->gauge;
    const size_t row = item * job->item_rows, left = job->shape.rows - row, cols = job->shape.cols;
    const size_t n_rows = left < job->item_rows ? left : job->item_rows;
    const float *x = gauge->block, *w = x + gauge->x_floats;
    float *y = gauge->block + gauge->x_floats + gauge->w_floats;
    qins_blas_sgemm(y + row, job->shape.rows, x, cols, w + row * cols, cols, gauge->n, n_rows, cols,
                    (qins_blas_form){.b_is_transposed = true, .alpha = 1.0f});
}

void qins_sgemm_gauge_run(const qins_sgemm_gauge *gauge, double rates[QINS_SGEMM_SPLITS]) {
    const size_t n_threads = qins_pool_threads(gauge->pool);
    for (size_t split = 0; split < QINS_SGEMM_SPLITS; split++) {
        double flops = 0, seconds = 0;
        for (size_t i = 0; i < gauge->n_shapes; i++) {
            struct sgemm_job job = {gauge, gauge->shapes[i], split_rows[split]};
            if (job.item_rows == 0) job.item_rows = (job.shape.rows + n_threads - 1) / n_threads;
            const size_t n_items = (job.shape.rows + job.item_rows - 1) / job.item_rows;
            seconds += seconds_of(gauge->pool, n_items, sgemm_item, &job);
            flops += 2.0 * (double)gauge->n * (double)job.shape.rows * (double)job.shape.cols;
        }
        rates[split] = flops / seconds;
    }
}

size_t qins_sgemm_gauge_bytes(const qins_sgemm_gauge *gauge) {
    return (gauge->x_floats + gauge->w_floats + gauge->y_floats) * sizeof(float);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

qins_status qins_sgemm_gauge_init(qins_sgemm_gauge *gauge, qins_pool *pool, size_t n, const qins_sgemm_shape *shapes,
                                  size_t n_shapes, qins_error *error) {
    *gauge = (qins_sgemm_gauge){.pool = pool, .n = n, .n_shapes = n_shapes};
    if (qins_blas_open(qins_pool_threads(pool), error) != QINS_OK) return error->status;
    for (size_t i = 0; i < n_shapes; i++) {
        const size_t rows = shapes[i].rows < QINS_SGEMM_MAX_ROWS ? shapes[i].rows : QINS_SGEMM_MAX_ROWS;
        gauge->shapes[i] = (qins_sgemm_shape){rows, shapes[i].cols};
        gauge->x_floats = larger(gauge->x_floats, n * shapes[i].cols);
        gauge->w_floats = larger(gauge->w_floats, rows * shapes[i].cols);
        gauge->y_floats = larger(gauge->y_floats, n * rows);
    }
    gauge->block = qins_reserve(qins_sgemm_gauge_bytes(gauge), "operands of sgemm", error);
    if (gauge->block == NULL) return error->status;
    for (size_t i = 0; i < gauge->x_floats + gauge->w_floats; i++) // some hundred different values around zero
        gauge->block[i] = (float)((int)(i * 37 % 509) - 254) / 256.0f;
    return QINS_OK;
}

void qins_sgemm_gauge_free(qins_sgemm_gauge *gauge) {
    if (gauge->block != NULL) qins_unmap(gauge->block, qins_sgemm_gauge_bytes(gauge));
    *gauge = (qins_sgemm_gauge){0};
}

enum { INTEGER_ROUNDS = 1 << 15 }; // some hundred microseconds

static void integer_item(void *context, size_t item, size_t worker) {
    (void)item;
    (void)worker;
    const qins_kernels *kernels = context;
    kernels->integer_rounds(INTEGER_ROUNDS);
}

double qins_machine_integer(qins_pool *pool, const qins_kernels *kernels) {
    const size_t n_threads = qins_pool_threads(pool);
    const double operations = (double)n_threads * kernels->integer_rounds(INTEGER_ROUNDS);
    return operations / seconds_of(pool, n_threads, integer_item, (void *)(uintptr_t)kernels);
}

const char *qins_blas_name(void) {
    qins_error error = {0};
    return qins_blas_open(1, &error) == QINS_OK ? qins_blas_config() : "not available";
}
