#!/usr/bin/env bash
# Fetches the CUDA compiler (five wheels from PyPI, about 270 MB unpacked) into ./.cuda, which git ignores.
# The build finds it there by itself; nothing outside the folder is touched and no GPU is needed.
#
#   scripts/cuda-toolkit.sh && cargo check --features cuda
#
# 13.0 is the first release whose wheels hold a whole nvcc; later ones need a newer driver than 580.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-"$root/.cuda"}
home="$target/nvidia/cu13"

if [ -x "$home/bin/nvcc" ]; then
    echo "found $("$home/bin/nvcc" --version | tail -n 1) in $home"
    exit 0
fi
python3 -m pip install --quiet --no-deps --root-user-action=ignore --target "$target" \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
"$home/bin/nvcc" --version | tail -n 1
echo "installed in $home"
echo "the build looks there after \$NVCC, \$CUDA_HOME and PATH; elsewhere say: export CUDA_HOME=$home"
