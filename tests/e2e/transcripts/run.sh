#!/usr/bin/env bash
# Runs the commands of a transcript against the API server that KUBECONFIG names, and prints the transcript anew.
#
# usage: KUBECONFIG=FILE run.sh TRANSCRIPT       run.sh recorded/objects.txt prints what record.sh keeps
#
# A line that begins with "$ " is a command, those before the first that begin with "#" are remarks; all other lines of a transcript are what was
# printed, and are not read. Commands work in a namespace with the transcript's name, beside the files of manifests/. What
# cannot be the same twice is replaced by words in capitals: see `plain`, which is the whole rule.
set -u
here=$(cd "$(dirname "$0")" && pwd)
transcript=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
name=$(basename "$transcript" .txt)
kubectl=${KUBECTL:-kubectl}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$here"/manifests/* "$scratch"
cp "$KUBECONFIG" "$scratch/kubeconfig"
cd "$scratch" || exit 1
export KUBECONFIG=$scratch/kubeconfig KUBECACHEDIR=$scratch/cache TZ=UTC LC_ALL=C
k() { "$kubectl" "$@"; }
export -f k
export kubectl

# What a controller would have made, and the reference has no controllers.
{
  k create namespace "$name"
  k config set-context --current --namespace="$name"
  k create serviceaccount default
  k create configmap kube-root-ca.crt --from-literal=ca.crt=none
} >"$scratch/log" 2>&1
server=$(k config view --minify -o 'jsonpath={.clusters[0].cluster.server}')
# What kubectl calls raw is the path at the host, whatever the server's URL has besides.
base=$(sed -E 's#https://[^/]*##' <<<"$server")
export base

# Servers, times, ages, unique and hashed values, versions, addresses and scratch files; and the width of columns, which
# follows from them.
plain() {
  sed -E \
    -e "s#$server#SERVER#g" \
    -e "s#$(sed -E 's#https://([^/]*).*#\1#' <<<"$server")#ADDRESS#g" \
    -e "s#$scratch#SCRATCH#g" \
    -e 's#/tmp/(LIVE|MERGED)-[0-9]+#/tmp/\1#g' \
    -e 's#(/tmp/(LIVE|MERGED)/\S+)\s.*#\1 TIME#' \
    -e 's#[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}#UID#g' \
    -e 's#[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z#TIME#g' \
    -e 's#[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} [+]0000 UTC#TIME#g' \
    -e 's#[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} [+-][0-9]{4}#TIME#g' \
    -e 's#([Rr]esource ?[Vv]ersion"?: +)"?[0-9]+"?#\1VERSION#g' \
    -e 's#kube-api-access-[a-z0-9]{5}#kube-api-access-RANDOM#g' \
    -e 's#^([EIW])[0-9]{4} [0-9:.]+ +[0-9]+ #\1TIME #' \
    -e 's#\beyJ[A-Za-z0-9_.-]+#TOKEN#g' \
    -e 's#\b10\.[0-9]+\.[0-9]+\.[0-9]+\b#ADDRESS#g' \
    -e 's#\b([1-9][0-9]*m)?[0-9]+(\.[0-9]+)?(s|ms)\b#AGE#g' \
    -e 's#(\S)  +#\1  #g' \
    -e 's# +$##'
}

began=no
while IFS= read -r line; do
  case $line in
    '#'*) [ "$began" = yes ] || printf '%s\n' "$line" ;;
    '$ '*)
      began=yes
      printf '\n%s\n' "$line"
      timeout 60 bash -c "shopt -s expand_aliases; ${line#\$ }" >"$scratch/out" 2>&1 </dev/null
      code=$?
      plain <"$scratch/out"
      [ "$code" -eq 0 ] || printf '[exit %s]\n' "$code"
      ;;
  esac
done <"$transcript"
