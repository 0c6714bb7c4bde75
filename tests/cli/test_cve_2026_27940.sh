#!/usr/bin/env bash
# CVE-2026-27940 (GHSA-3p4r-fq3f-q74v, llama.cpp): overlooked by the fix of CVE-2025-53630: the size of the tensors'
# descriptions plus that of their data wrapped around in the size of the one buffer for both. Here a count is bounded
# before it is multiplied or added to. Usage: test_cve_2026_27940.sh BUILD_DIR
. "$(dirname "$0")/forge.sh"
refused "so many layers that the list's size overflows" '"n_layers":5' '"n_layers":288230376151711744' n_layers
refused "as many layers as overflow with their tensors" '"n_layers":5' '"n_layers":1537228672809129302' n_layers
refused "a layer more than there are tensors" '"n_layers":5' '"n_layers":6' tensor
refused "a dimension near 2^63" '"vocab_size":832' '"vocab_size":9223372036854775807' vocab_size
refused "ids of stop tokens beyond the vocabulary" '"stop_ids":.775' '"stop_ids":[2147483647' stop_ids
exit $failed
