#!/usr/bin/env bash
# Replays the recorded behaviours of kube-apiserver 1.36 against a fresh logical cluster for each case, and compares what
# passes with tests/conformance/passing.txt: that list may only grow.
#
# usage: run.sh            replay and compare
#        run.sh --record   replay and add what newly passes to the list
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
recordings=${CONFORMANCE:-$root/../shared/conformance}
if [ ! -f "$recordings/conform.py" ]; then
  echo "SKIPPED: no recorded behaviours at ${recordings}; nothing was compared"
  exit 0
fi

profile=${PROFILE:-debug}
if [ "$profile" = release ]; then cargo build --release; else cargo build; fi
atoll=$root/target/$profile/atoll
scratch=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  rm -rf "$scratch"
}
trap finish EXIT

cat >"$scratch/tokens.csv" <<'T'
admin-token,admin,admin,"system:masters"
alice-token,alice,alice,"devs"
bob-token,bob,bob,
T
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$atoll" serve --data-dir "$scratch/data" --listen "127.0.0.1:$port" --token-auth-file "$scratch/tokens.csv" \
  >"$scratch/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do
  python3 - "$port" <<'P' && break
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
try:
    urllib.request.urlopen(f"https://127.0.0.1:{sys.argv[1]}/readyz", context=context, timeout=2)
except Exception:
    sys.exit(1)
P
  sleep 0.2
done

cat >"$scratch/fresh" <<F
#!/usr/bin/env bash
exec "$atoll" cluster create "\$1" -o url --kubeconfig "$scratch/data/admin.kubeconfig"
F
chmod +x "$scratch/fresh"

replay() { # OUT [FILTER]
  timeout 1500 python3 "$recordings/conform.py" replay --server "https://127.0.0.1:$port" --insecure --jobs 3 \
    --case-timeout 60 --request-timeout 20 --fresh-cluster-cmd "$scratch/fresh {name}" --json "$1" \
    ${2:+--filter "$2"} >"$scratch/replay.log" 2>&1 || true
  [ -s "$1" ] || { tail -n 40 "$scratch/replay.log" "$scratch/server.log"; echo "the replay did not finish"; exit 1; }
}
replay "$scratch/first.json"
python3 tests/conformance/compare.py missing "$scratch/first.json" >"$scratch/again"
if [ -s "$scratch/again" ]; then
  # A case that fails once may have met a busy machine; one that fails twice is a regression.
  sleep 2
  replay "$scratch/second.json" "^($(paste -sd'|' "$scratch/again"))\$"
fi
python3 tests/conformance/compare.py check "$scratch/first.json" "$scratch/second.json" ${1:+"$1"}
