#!/usr/bin/env bash
# Runs the storage contract against Ceph's S3 gateway: one monitor, one OSD that keeps everything in memory, one gateway,
# on free ports of this machine and a folder that goes with them. Needs Debian's packages:
#   apt-get install --no-install-recommends radosgw ceph-mon ceph-osd
# Everything after the script's name is passed to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in ceph-mon ceph-osd radosgw; do
    command -v "$program" >/dev/null || { echo "$program is not installed" >&2; exit 2; }
done

dir=$(mktemp -d)
pids=()
finish() {
    kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
monitor=$(free_port)
gateway=$(free_port)
mkdir -p "$dir/mon" "$dir/osd"
fsid=$(cat /proc/sys/kernel/random/uuid)
cat > "$dir/ceph.conf" <<CONF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$monitor
auth cluster required = none
auth service required = none
auth client required = none
keyring = $dir/keyring
run dir = $dir
admin socket = $dir/\$name.asok
log file = $dir/\$name.log
ms bind ipv6 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
[mon.a]
mon data = $dir/mon
[osd.0]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd class load list = *
osd class default list = *
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$gateway
rgw rados pool pg num min = 1
CONF
conf=(--conf "$dir/ceph.conf")

monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$monitor]" "$dir/monmap" >"$dir/setup.log"
ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *' >>"$dir/setup.log"
ceph-mon "${conf[@]}" -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring"
ceph-mon "${conf[@]}" -i a -f >"$dir/mon.out" 2>&1 & pids+=($!)
osd=$(cat /proc/sys/kernel/random/uuid)
timeout 60 ceph "${conf[@]}" osd new "$osd" 0 >>"$dir/setup.log"
ceph-osd "${conf[@]}" -i 0 --mkfs --osd-uuid "$osd" >"$dir/mkfs.out" 2>&1
ceph-osd "${conf[@]}" -i 0 -f >"$dir/osd.out" 2>&1 & pids+=($!)
timeout 60 ceph "${conf[@]}" osd crush add osd.0 1.0 host=here root=default >>"$dir/setup.log" 2>&1
# The gateway insists on encrypted monitors unless told otherwise on its command line.
radosgw "${conf[@]}" -n client.rgw -f --auth-client-required=none --ms-mon-client-mode='crc secure' >"$dir/rgw.out" 2>&1 & pids+=($!)
timeout 120 radosgw-admin "${conf[@]}" -n client.rgw user create --uid=tests --display-name=tests \
    --access-key=AKIDOFTHETESTS000001 --secret-key=secret-of-the-tests-0123456789 >>"$dir/setup.log" 2>&1
timeout 120 bash -c "until curl -s -o /dev/null http://127.0.0.1:$gateway; do sleep 0.2; done"

export RADOSGW_ENDPOINT="http://127.0.0.1:$gateway"
cargo test --lib storage::s3::tests::radosgw "$@" -- --ignored --test-threads 2
