#!/usr/bin/env bash
# Starts kube-apiserver and its etcd for the benchmark: on BENCH_PORT, with their data in BENCH_DIR, durable. KUBE_APISERVER and ETCD are
# the binaries, KUBE_FLAGS what else kube-apiserver is to be told (such as raised limits of requests in flight).
set -euo pipefail
cd "$BENCH_DIR"

peer=$((BENCH_PORT > 40000 ? BENCH_PORT - 20001 : BENCH_PORT + 20001))
store=$((peer + 1))

if [ ! -e ca.crt ]; then
  # Certificates of the kind Atoll makes itself: ECDSA on P-256.
  key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>/dev/null; }
  key ca.key
  openssl req -x509 -new -key ca.key -subj /CN=bench -days 30 -out ca.crt 2>/dev/null
  key server.key
  openssl req -new -key server.key -subj /CN=kube-apiserver 2>/dev/null |
    openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out server.crt \
      -extfile <(echo subjectAltName=IP:127.0.0.1) 2>/dev/null
  key accounts.key
  printf '%s\n' 'bench-admin,admin,admin,"system:masters"' 'bench-token,bench,bench' > tokens.csv
  echo bench-token > bench-token
fi

"$ETCD" --data-dir etcd --log-level error --listen-client-urls "http://127.0.0.1:$store" \
  --advertise-client-urls "http://127.0.0.1:$store" --listen-peer-urls "http://127.0.0.1:$peer" \
  --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
  > etcd.log 2>&1 &
etcd=$!
# The driver may ask it what it does by itself.
echo "etcd://127.0.0.1:$store" > etcd-url

cat > kubeconfig <<EOF
apiVersion: v1
kind: Config
clusters: [{name: bench, cluster: {server: "https://127.0.0.1:$BENCH_PORT", certificate-authority: ca.crt}}]
users: [{name: admin, user: {token: bench-admin}}]
contexts: [{name: bench, context: {cluster: bench, user: admin}}]
current-context: bench
EOF

# shellcheck disable=SC2086
"$KUBE_APISERVER" --etcd-servers "http://127.0.0.1:$store" --bind-address 127.0.0.1 --secure-port "$BENCH_PORT" \
  --tls-cert-file server.crt --tls-private-key-file server.key --token-auth-file tokens.csv \
  --authorization-mode RBAC --service-cluster-ip-range 10.0.0.0/24 --service-account-issuer https://bench \
  --service-account-signing-key-file accounts.key --service-account-key-file accounts.key --cert-dir certs \
  --disable-admission-plugins ServiceAccount ${KUBE_FLAGS:-} > kube-apiserver.log 2>&1 &
server=$!

# First the one, then the other, as it waits for the other.
trap 'kill "$server"; wait "$server" || true; kill "$etcd"; wait "$etcd" || true; exit 0' TERM
wait "$server"
