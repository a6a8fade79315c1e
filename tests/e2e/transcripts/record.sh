#!/usr/bin/env bash
# Records the transcripts anew, by running them against a kube-apiserver 1.36 that is fresh and has no controllers.
#
# usage: KUBECONFIG=FILE record.sh
#
# The user of the kubeconfig is `admin` with uid 1 in the group system:masters (kube-apiserver --token-auth-file), services have
# addresses in 10.0.0.0/16 (--service-cluster-ip-range). Look at the difference before you keep it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/recorded"
for transcript in ${*:-*.txt}; do
  bash "$here/run.sh" "$transcript" >"$transcript.new"
  mv "$transcript.new" "$transcript"
done
kubectl version --client -o json | python3 -c 'import json, sys
print(".".join(json.load(sys.stdin)["clientVersion"]["gitVersion"].lstrip("v").split(".")[:2]))' >kubectl
