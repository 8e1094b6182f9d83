#!/usr/bin/env bash
# cudarc must stay on `dynamic-loading`: a linked CUDA library would keep the binary from starting without a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$(cargo tree --locked --features cuda -e features -i cudarc)
if grep -q 'cudarc feature "dynamic-linking"' <<<"$tree"; then
    echo "cudarc is built with dynamic-linking" >&2
    exit 1
fi
