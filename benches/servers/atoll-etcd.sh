#!/usr/bin/env bash
# Starts Atoll over an etcd of its own, as benches/servers/atoll.sh starts it over its embedded store. ETCD is the binary.
set -euo pipefail

peer=$((BENCH_PORT > 40000 ? BENCH_PORT - 20001 : BENCH_PORT + 20001))
store=$((peer + 1))
"$ETCD" --data-dir "$BENCH_DIR/etcd" --log-level error --listen-client-urls "http://127.0.0.1:$store" \
  --advertise-client-urls "http://127.0.0.1:$store" --listen-peer-urls "http://127.0.0.1:$peer" \
  --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
  > "$BENCH_DIR/etcd.log" 2>&1 &
until (exec 3<> "/dev/tcp/127.0.0.1/$store") 2>/dev/null; do sleep 0.05; done
# The driver may ask it what it does by itself.
echo "etcd://127.0.0.1:$store" > "$BENCH_DIR/etcd-url"
export ATOLL_FLAGS="--storage etcd://127.0.0.1:$store"
exec "$(dirname "$0")/atoll.sh"
