// SipHash-1-3; see hash.h.
#include "engine/base/hash.h"

#include <string.h>
#include <sys/random.h>

qins_status qins_hash_key_draw(qins_hash_key *key, qins_error *error) {
    if (getrandom(key, sizeof *key, 0) == (ssize_t)sizeof *key) return QINS_OK;
    return qins_fail_errno(error, QINS_FAILED, "cannot get random numbers from the system");
}

static inline uint64_t rotate(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static inline void mix(uint64_t v[4]) {
    v[0] += v[1], v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void absorb(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    mix(v);
    v[0] ^= word;
}

uint64_t qins_hash(const qins_hash_key *key, const void *data, size_t size) {
    const unsigned char *bytes = data;
    const uint64_t k0 = key->words[0], k1 = key->words[1];
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    uint64_t last = (uint64_t)size << 56;
    size_t at = 0;
    for (uint64_t word; at + sizeof word <= size; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        absorb(v, word);
    }
    for (int shift = 0; at < size; at++, shift += 8) last |= (uint64_t)bytes[at] << shift;
    absorb(v, last);
    v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++) mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
