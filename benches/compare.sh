#!/usr/bin/env bash
# Measures kube-apiserver with etcd, and Atoll, one after the other on this machine and on loopback, with the same TLS, bearer token and
# RBAC, and prints a table of medians and ratios.
#
#   KUBE_APISERVER=… ETCD=… benches/compare.sh            # three runs of everything
#   SHORT=1 KUBE_APISERVER=… ETCD=… benches/compare.sh    # one run of less, in ten minutes or so
#
# RUNS says how many runs, OUT where raw results and the table go (default target/benchmarks), BUILD=0 that what is built is used,
# ATOLL_ETCD=1 that Atoll is measured over the same kind of etcd, too, LIMITS=1 that kube-apiserver is also measured with raised limits.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${KUBE_APISERVER:?the path of a kube-apiserver}" "${ETCD:?the path of an etcd}"
KUBE_APISERVER=$(realpath "$KUBE_APISERVER") ETCD=$(realpath "$ETCD")
export KUBE_APISERVER ETCD
out=$(realpath -m "${OUT:-target/benchmarks}")
mkdir -p "$out"

if [ "${BUILD:-1}" = 1 ]; then cargo bench --no-run --bench load; fi
# LOAD names a driver that was built elsewhere.
load=${LOAD:-$(find "${CARGO_TARGET_DIR:-target}/release/deps" -maxdepth 1 -name 'load-*' -type f -executable -printf '%T@ %p\n' |
  sort -rn | head -n 1 | cut -d' ' -f2)}

flags=(--seconds 5)
runs=${RUNS:-3}
if [ "${SHORT:-0}" = 1 ]; then
  runs=${RUNS:-1}
  flags=(--short --seconds 4 --lists 10000 --watchers 1,100,1000 --deliveries 60000 --definitions 100 --tenants 1000)
fi

rm -f "$out"/*.json
measure() { # NAME FILE SERVER [FLAG...]
  local name=$1 file=$2 server=$3
  shift 3
  # A phase that fails ends a run; what was measured until then counts.
  "$load" --name "$name" --serve "benches/servers/$server.sh" --out "$out/$file.json" "${flags[@]}" "$@" \
    > "$out/$file.log" 2>&1 || echo "$file did not finish: $(tail -n 1 "$out/$file.log")" >&2
}

for run in $(seq "$runs"); do
  measure Atoll "atoll-$run" atoll
  measure "kube-apiserver + etcd" "kube-$run" kube-apiserver
  if [ "${LIMITS:-0}" = 1 ]; then
    KUBE_FLAGS="--max-requests-inflight 4000 --max-mutating-requests-inflight 2000" \
      measure "kube-apiserver, raised limits" "kube-raised-$run" kube-apiserver
  fi
  if [ "${ATOLL_ETCD:-0}" = 1 ]; then
    measure "Atoll + etcd" "atoll-etcd-$run" atoll-etcd
  fi
done

{
  printf '%s runs on %s, %s processors (%s), kernel %s, load average %s\n' "$runs" "$(date -u +%F)" "$(nproc)" \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(uname -r)" "$(cut -d' ' -f1-3 /proc/loadavg)"
  printf '%s, %s, Atoll %s\n\n' "$("$KUBE_APISERVER" --version)" "$("$ETCD" --version | head -n 1)" "$(git describe --always)"
  "$load" --compare "$out"/atoll-[0-9]*.json "$out"/kube-*.json $(ls "$out"/atoll-etcd-*.json 2>/dev/null || true)
} | tee "$out/comparison.md"
