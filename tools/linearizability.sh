#!/usr/bin/env bash
# Checks for a long time that what concurrent clients see is linearizable while servers and members of etcd are killed, one engine
# after the other.
#
#   tools/linearizability.sh [MINUTES [ENGINE...]]     # 30 minutes for each of: memory embedded sqlite etcd
#
# An etcd is looked for in ATOLL_ETCD, in the PATH, and in target/tools (.ci/run puts one there).
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-30}
shift || true
engines=("$@")
[ ${#engines[@]} -gt 0 ] || engines=(memory embedded sqlite etcd)

export ATOLL_LINEAR_SECONDS=$((minutes * 60))
for engine in "${engines[@]}"; do
  case $engine in
    memory) test=histories_over_the_memory_engine ;;
    embedded) test=histories_over_the_embedded_engine ;;
    sqlite) test=histories_over_sqlite ;;
    etcd) test=histories_over_two_servers_and_three_etcd_members ;;
    *) echo "$engine is no engine; take some of: memory embedded sqlite etcd" >&2; exit 2 ;;
  esac
  printf '\n== %s, %s minutes\n' "$engine" "$minutes"
  cargo test --test it "linearizable::$test" -- --nocapture
done
