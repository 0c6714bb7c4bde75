#!/usr/bin/env bash
# CVE-2026-33298 (GHSA-96jg-mvhq-q7q7, llama.cpp): ggml_nbytes multiplied dimensions without a check, so a tensor of exabytes
# got a few megabytes of memory. Here dimensions are bounded, products are checked, and a tensor's shape and bytes must be
# those of the configuration. Usage: test_cve_2026_33298.sh BUILD_DIR
. "$(dirname "$0")/forge.sh"
refused "a product that is 0 in 64 bits" '"hidden_dim":96,"ffn_dim":192' '"hidden_dim":4294967296,"ffn_dim":4294967296' dim
refused "a product that wraps around" '"rows":832' '"rows":4611686018427388736' rows
refused "a tensor's dimensions that are not the configuration's" '"rows":832,"cols":96' '"rows":4294967296,"cols":4294967296' 'shape .* expected'
refused "no KV heads: a division by 0" '"n_kv_heads":3' '"n_kv_heads":0' n_kv_heads
refused "a rotation wider than a head" '"rope_dim":16' '"rope_dim":4096' rope_dim
exit $failed
