#!/usr/bin/env bash
# Sets up what the tests need and passes them all. CI runs this and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@"
    printf -- '-- %s: %d s\n' "$name" $((SECONDS - start))
}

step 'setup' ./scripts/setup.sh
step 'format' cargo fmt --all --check
step 'clippy' cargo clippy --locked --workspace --all-targets -- -D warnings
step 'clippy with the cuda feature' cargo clippy --locked --workspace --all-targets --features cuda -- -D warnings
step 'tests' cargo test --locked --workspace
step "memory of an emulated card" ./scripts/emulate-gpu.sh footprint
step "storage on Ceph's gateway" ./scripts/radosgw.sh --locked
step 'official SDKs and a browser' ./tests/sdk/run.sh
step 'document against server' ./tests/openapi/run.sh
step 'dependencies' env PATH="$PWD/.tools/deny/bin:$PATH" cargo deny --locked check bans licenses sources
step 'one CUDA linking mode' ./scripts/check-cudarc.sh
printf '\nall passed in %d s\n' "$SECONDS"
