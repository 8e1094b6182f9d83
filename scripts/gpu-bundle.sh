#!/usr/bin/env bash
# Packs what a GPU machine without Rust and without a network needs: the server, the operators' tests, the tests of whole
# networks and the parity runner, stripped, with a script that runs them all. The machine needs a driver of 580 or newer
# and cuBLASLt 13.
#
#   scripts/gpu-bundle.sh [release|dev]     writes target/gpu-bundle.tar.gz
#   tar xzf gpu-bundle.tar.gz && ./gpu-bundle/run.sh [CASE…]     CASE: a folder of a parity case
#
# Run in a folder that has the repository's `models/`, it also holds the bundled model's clips against the CPU's.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-release}
bundle=target/gpu-bundle
rm -rf "$bundle"
mkdir -p "$bundle"

# Cargo's messages name the executables it made; a test of the server makes the server too, so the crate picks the one.
build() {
    local name=$1 crate=$2
    shift 2
    local made
    made=$(cargo "$@" --profile "$profile" --locked --features cuda --message-format=json |
        grep -o '"executable":"[^"]*"' | cut -d '"' -f 4 | grep -E "/$crate(-[0-9a-f]+)?\$" | tail -n 1)
    strip -o "$bundle/$name" "$made"
}
build operators kernels test --no-run --package kernels --lib
build networks gpu test --no-run --test gpu
build parity parity build --example parity
build wanserve wanserve build --bin wanserve

cat >"$bundle/run.sh" <<'RUN'
#!/usr/bin/env bash
# A process a test: after an illegal access nothing else in the same process can be believed.
bundle=$(cd "$(dirname "$0")" && pwd) || exit
failed=()
check() {
    "$@" || failed+=("$*")
}
for test in $("$bundle"/operators --list 2>/dev/null | sed -n 's/^\(.*::test::.*\): test$/\1/p'); do
    "$bundle"/operators --exact "$test" --nocapture --quiet 2>&1 | grep -E '^\||panicked|error|FAILED'
    [ "${PIPESTATUS[0]}" = 0 ] || failed+=("$test")
done
for test in $("$bundle"/networks --list 2>/dev/null | sed -n 's/^\(.*\): test$/\1/p'); do
    "$bundle"/networks --exact "$test" --nocapture --quiet 2>&1 | grep -E '^\||panicked|error|FAILED|skipped'
    [ "${PIPESTATUS[0]}" = 0 ] || failed+=("$test")
done
[ $# = 0 ] || check "$bundle"/parity "$@" --device cuda:0
printf 'failed: %s\n' "${failed[*]:-nothing}"
[ ${#failed[@]} = 0 ]
RUN
chmod +x "$bundle/run.sh"
tar -C target -czf target/gpu-bundle.tar.gz gpu-bundle
du -h target/gpu-bundle.tar.gz
# What is sent to a lent machine beside a clone has to stay small.
most=$((35 * 1000 * 1000))
[ "$(stat -c %s target/gpu-bundle.tar.gz)" -le "$most" ] || {
    echo "the archive is larger than $most bytes" >&2
    exit 1
}
