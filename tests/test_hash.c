// SipHash-1-3 against Python 3.11, whose hash of bytes it is: PYTHONHASHSEED=0 makes the key 0, 77 the other one here.
#include "engine/base/hash.h"
#include "tests/support.h"

#include <string.h>

Test(hash, is_siphash_as_python_has_it) {
    static const size_t sizes[] = {1, 7, 8, 9, 15, 16, 63};
    static const struct {
        qins_hash_key key;
        uint64_t hashes[7];
    } cases[] = {
        {{{0, 0}},
         {0x68a914128e01e473, 0x2f098ab0c751325a, 0xead411e67ebe2eea, 0x75927f9d95124362, 0xf30eb725bb91c9ea,
          0x8972188433a5c5b7, 0x385d3e39e5f37359}},
        {{{0xa5d82b05502b1222, 0x2a36ec6c04605b32}},
         {0x3273dbc18ce43bfb, 0x294d9fa889ebfd76, 0xf55af4419e8ffa31, 0xc2c541e0d3bcf924, 0x79b282be2fea5222,
          0x0b177ec36ea3ff07, 0x439043a26165d713}},
    };
    uint8_t bytes[64];
    for (uint8_t i = 0; i < 64; i++) bytes[i] = i;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            cr_expect_eq(qins_hash(&cases[c].key, bytes, sizes[i]), cases[c].hashes[i], "%zu bytes", sizes[i]);
}

Test(hash, keys_differ) {
    qins_error error = {0};
    qins_hash_key a, b;
    qins_hash_key_draw(&a, &error);
    qins_hash_key_draw(&b, &error);
    expect_ok(&error);
    cr_expect(memcmp(&a, &b, sizeof a) != 0);
}
