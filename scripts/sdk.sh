#!/usr/bin/env bash
# The official SDKs, unmodified, against a server started for them on free ports with a fresh data folder.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --locked --quiet
folder=$(mktemp -d)
target/debug/wanserve serve --data-dir "$folder/data" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 \
    >"$folder/out" 2>"$folder/log" &
server=$!
finish() {
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || true
    rm -rf "$folder"
}
trap finish EXIT

# The key is printed last; the server is listening by then.
for _ in $(seq 300); do
    grep -q '^api key: ' "$folder/out" && break
    kill -0 "$server" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
BASE=$(sed -n 's/^listening on //p' "$folder/out")/v1
KEY=$(sed -n 's/^api key: //p' "$folder/out")
export BASE KEY

run() {
    printf '   %s\n' "$1"
    "${@:2}" || { tail -n 40 "$folder/log" >&2; exit 1; }
}
for version in 3.3.1 3.54.0; do
    run "openai-python $version" ".tools/openai-python-$version/bin/python" -W ignore::DeprecationWarning tests/sdk/videos.py
done
for version in 6.49.0 7.57.0; do
    # The script resolves the package from the working directory.
    run "openai-node $version" env -C ".tools/openai-node-$version" node "$PWD/tests/sdk/videos.mjs"
done
