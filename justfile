# The words that people and CI use. `just` lists them.

_list:
    @just --list

# Build and run the server on this machine's CPU.
run:
    cargo run --release

# Everything that CI checks.
check:
    ./scripts/check.sh

# The tests alone.
test *filter:
    cargo test --workspace {{filter}}

# Build, test and time one operator.
kernel name:
    cargo test -p kernels {{name}}
    cargo bench --bench kernels -- {{name}}

# One bench: kernels, stages or api.
bench name:
    cargo bench --bench {{name}}

# Renew the committed OpenAPI documents.
openapi:
    cargo run -- openapi > openapi/openapi.json
    cargo run -- openapi --operator > openapi/operator.json

# The CUDA compiler from PyPI into `.cuda/`.
cuda-toolkit:
    ./scripts/cuda-toolkit.sh

# One archive with the release binary, kernel tests and benches for a GPU machine without Rust.
gpu-bundle:
    ./scripts/gpu-bundle.sh
