#!/usr/bin/env bash
# Starts Atoll for the benchmark: on BENCH_PORT, with its data in BENCH_DIR, durable. ATOLL is the binary, ATOLL_FLAGS what else it is
# to be told (such as --storage).
set -euo pipefail
cd "$BENCH_DIR"

printf '%s\n' 'bench-admin,admin,admin,"system:masters"' 'bench-token,bench,bench' > tokens.csv
echo bench-token > bench-token
# The server writes the administrator's kubeconfig when it knows its keys; the link is there before.
ln -sf data/admin.kubeconfig kubeconfig
# shellcheck disable=SC2086
exec "$ATOLL" serve --listen "127.0.0.1:$BENCH_PORT" --data-dir data --token-auth-file tokens.csv ${ATOLL_FLAGS:-}
