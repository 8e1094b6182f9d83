#!/usr/bin/env bash
# The operators on `cuda:0` where there is no GPU; see tests/gpu/emulator/README.md.
#
#   scripts/emulate-gpu.sh test [FILTER]     every operator, cuda against cpu
#   scripts/emulate-gpu.sh parity CASE…      networks against cases of the reference implementation
#   scripts/emulate-gpu.sh footprint         what networks take of a card's memory against what is foreseen
#   scripts/emulate-gpu.sh memory BENCH…     what `wanserve bench --device cuda:0 BENCH…` takes of a large card; it computes
#                                            nothing, so that sizes are real and quick, and times mean nothing
set -euo pipefail
cd "$(dirname "$0")/.."

emulator=$PWD/tests/gpu/emulator libraries=$PWD/target/emulator
mkdir -p "$libraries"
g++ -shared -fPIC -O2 -std=c++17 -Wl,-soname,libcuda.so -o "$libraries/libcuda.so" "$emulator/driver.cpp" -ldl
g++ -shared -fPIC -O3 -std=c++17 -o "$libraries/libcublasLt.so" "$emulator/cublaslt.cpp"
export NVCC=$emulator/nvcc WANSERVE_CUDA_ARCH=emulated LD_LIBRARY_PATH=$libraries

what=${1:-test}
shift || true
case $what in
# The timed tests are of real sizes, hours on a CPU; the emulator is for one thread.
test)
    cargo test --locked --package kernels --features cuda --lib -- \
        "${1:-::test::}" --skip rates --nocapture --test-threads 1
    ;;
footprint | memory)
    export EMULATED_MEMORY=141000000000
    # Nothing looks into the images, so that those of an ordinary build serve.
    unset NVCC WANSERVE_CUDA_ARCH
    if [ "$what" = footprint ]; then
        cargo test --locked --features cuda --lib -- leaves_a_gpu --nocapture --test-threads 1
        cargo test --locked --features cuda --test gpu -- foreseen --nocapture --test-threads 1
    else
        cargo run --quiet --locked --features cuda -- bench --device cuda:0 --warm-ups 0 --repeats 1 "$@"
    fi
    ;;
parity) cargo run --locked --features cuda --example parity -- "$@" --device cuda:0 ;;
*) echo "unknown: $what" >&2 && exit 2 ;;
esac
