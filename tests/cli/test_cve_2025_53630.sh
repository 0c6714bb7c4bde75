#!/usr/bin/env bash
# CVE-2025-53630 (GHSA-vgg9-87g3-85w8, llama.cpp): gguf_init_from_file_impl added up the sizes of tensors without a check,
# so the sum wrapped around and the buffer was too small for the data read into it. Here each offset and size must be the
# one that the configuration gives. Usage: test_cve_2025_53630.sh BUILD_DIR
. "$(dirname "$0")/forge.sh"
refused "a tensor's bytes near 2^53" '"bytes":159744' '"bytes":9007199254740992' bytes
refused "a tensor's bytes beyond 2^64" '"bytes":159744' '"bytes":18446744073709711360' bytes
refused "an offset that wraps around" '"offset":20736' '"offset":18446744073709551552' offset
refused "an offset in another tensor" '"offset":180480' '"offset":20736' 'at 20736 found'
refused "a negative size" '"bytes":159744' '"bytes":-64' bytes
refused "a size that is no integer" '"bytes":159744' '"bytes":1.5' bytes
refused "the tokenizer beyond the end" '"offset":9216,"bytes":11462' '"offset":9216,"bytes":60000000' 'at 20736 found'
exit $failed
