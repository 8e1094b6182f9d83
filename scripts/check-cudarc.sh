#!/usr/bin/env bash
# cudarc must stay on `dynamic-loading`: a linked CUDA library would keep the binary from starting without a GPU. And what it
# loads is of one major version, which the image has to bring and the README to name.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$(cargo tree --locked --features cuda -e features -i cudarc)
if grep -q 'cudarc feature "dynamic-linking"' <<<"$tree"; then
    echo "cudarc is built with dynamic-linking" >&2
    exit 1
fi
major=$(sed -n 's/.*cudarc feature "cuda-\([0-9]*\)0[0-9]0".*/\1/p' <<<"$tree" | head -n 1)
for place in "docker/Dockerfile:nvidia/cuda:$major\\." "README.md:nvidia-cublas==$major\\." "scripts/cuda-toolkit.sh:nvidia-cuda-nvcc==$major\\."; do
    if ! grep -q "${place#*:}" "${place%%:*}"; then
        echo "${place%%:*} has no CUDA $major, which cudarc loads" >&2
        exit 1
    fi
done
