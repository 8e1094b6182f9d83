#!/bin/sh
# Starts a server with the bundled model on free ports and drives it with every SDK version under test and a browser.
# Needs python3, node, npm, both registries and chromium-headless-shell. The first argument is the program (default: target/debug/wanserve).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "${1:-$here/../../target/debug/wanserve}")
work=$(mktemp -d)

stop() {
    [ -z "${server:-}" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT

# Polling and listing of four clients would use the default limits up.
export WANSERVE_LIMITS_READS_PER_MINUTE=0 WANSERVE_LIMITS_CREATES_PER_MINUTE=0 WANSERVE_LIMITS_ACTIVE_JOBS=0
# The scripts receive webhooks there.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
HOOK_PORT=$(free_port)
# Where the browser's page comes from.
PAGE_PORT=$(free_port)
export HOOK_PORT PAGE_PORT WANSERVE_CORS_ALLOWED_ORIGINS=http://127.0.0.1:$PAGE_PORT
export WANSERVE_OUTGOING_ALLOW_CIDRS=127.0.0.1 WANSERVE_OUTGOING_WEBHOOK_HTTP=true WANSERVE_OUTGOING_EXTRA_PORTS=$HOOK_PORT
"$program" --data-dir "$work/data" --models-dir "$here/../../models" \
    --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 >"$work/out" 2>"$work/log" &
server=$!

tries=0
until grep -q '^api key: ' "$work/out"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 600 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$work/log" >&2
        exit 1
    fi
    sleep 0.1
done
BASE=$(sed -n 's/^listening on //p' "$work/out")/v1
OPERATOR_BASE=$(sed -n 's/^admin listening on //p' "$work/out")
KEY=$(sed -n 's/^api key: //p' "$work/out")
new_key() {
    "$program" keys create --kind "$1" --json --data-dir "$work/data" | sed 's/.*"value":"\([^"]*\)".*/\1/'
}
ADMIN=$(new_key admin)
OPERATOR=$(new_key operator)
export BASE KEY ADMIN OPERATOR_BASE OPERATOR

for version in 3.3.1 3.54.0; do
    python3 -m venv "$work/python-$version"
    "$work/python-$version/bin/pip" install --quiet --disable-pip-version-check "openai==$version"
    "$work/python-$version/bin/python" "$here/videos.py"
    "$work/python-$version/bin/python" "$here/outside.py"
    "$work/python-$version/bin/python" "$here/admin.py"
    "$work/python-$version/bin/python" "$here/retries.py"
done
for version in 6.49.0 7.57.0; do
    mkdir "$work/node-$version"
    cd "$work/node-$version"
    npm install --silent --no-audit --no-fund "openai@$version"
    echo "openai-node $version"
    node "$here/videos.mjs"
    node "$here/outside.mjs"
    node "$here/retries.mjs"
done

echo browser
node "$here/browser.mjs"

# The newest of each runs the examples of the documentation.
docs=$here/../../docs
PATH=$(dirname "$program"):$PATH
WANSERVE_DATA_DIR=$work/data
export PATH WANSERVE_DATA_DIR
"$work/python-3.54.0/bin/python" "$here/docs.py" "$docs/tenants.md" "$docs/limits.md" "$docs/errors.md"
