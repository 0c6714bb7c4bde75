// A keyed hash for tables whose keys come from files: SipHash-1-3 (Aumasson and Bernstein; the variant of Rust and
// Python). Without the hash key, which each table draws for itself, nobody can choose table keys that fall into one
// slot. Nothing but the slots of a table may depend on it.
#ifndef QINS_BASE_HASH_H
#define QINS_BASE_HASH_H

#include "engine/base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct qins_hash_key {
    uint64_t words[2];
} qins_hash_key;

// A key from the operating system's random numbers.
qins_status qins_hash_key_draw(qins_hash_key *key, qins_error *error);

uint64_t qins_hash(const qins_hash_key *key, const void *data, size_t size);

#endif
