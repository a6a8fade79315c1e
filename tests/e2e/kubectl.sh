#!/usr/bin/env bash
# kubectl against the API server that KUBECONFIG names: every command an ordinary user types, each with what it must print.
#
# usage: KUBECONFIG=FILE kubectl.sh        prints a line for each check; fails if one of them does
#
# Works in the namespace default with names of its own, and leaves nothing behind.
set -u
kubectl=${KUBECTL:-kubectl}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export KUBECACHEDIR=$scratch/cache
passed=0
failed=0

# check WHAT PATTERN COMMAND...: the command succeeds, and its output has the pattern.
check() {
  local what=$1 pattern=$2 out
  shift 2
  if out=$(timeout 60 "$@" 2>&1) && grep -qE -- "$pattern" <<<"$out"; then
    passed=$((passed + 1))
    echo "ok    $what"
  else
    failed=$((failed + 1))
    echo "FAIL  $what: expected /$pattern/ of: $*"
    sed 's/^/      /' <<<"$out" | head -n 20
  fi
}

# refused WHAT PATTERN COMMAND...: the command fails, and says why with the pattern.
refused() {
  local what=$1 pattern=$2 out
  shift 2
  if ! out=$(timeout 60 "$@" 2>&1) && grep -qE -- "$pattern" <<<"$out"; then
    passed=$((passed + 1))
    echo "ok    $what"
  else
    failed=$((failed + 1))
    echo "FAIL  $what: expected a refusal with /$pattern/ of: $*"
    sed 's/^/      /' <<<"$out" | head -n 20
  fi
}

k() { "$kubectl" "$@"; }
export -f k
export kubectl
sh=(bash -euo pipefail -c)

cat >"$scratch/deployment.yaml" <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: reef, labels: {app: reef}}
spec:
  replicas: 2
  selector: {matchLabels: {app: reef}}
  template:
    metadata: {labels: {app: reef}}
    spec:
      containers:
      - {name: main, image: "example.com/reef:1", ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: reef}
spec: {selector: {app: reef}, ports: [{port: 80}]}
Y
cat >"$scratch/crd.yaml" <<'Y'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: corals.e2e.example.com}
spec:
  group: e2e.example.com
  scope: Namespaced
  names: {plural: corals, singular: coral, kind: Coral, shortNames: [co], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.polyps, statusReplicasPath: .status.polyps}}
    additionalPrinterColumns: [{name: Colour, type: string, jsonPath: .spec.colour}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [colour]
            properties:
              colour: {type: string, description: What divers see., enum: [red, blue]}
              polyps: {type: integer, minimum: 0, default: 1}
          status: {type: object, properties: {polyps: {type: integer}}}
Y
cat >"$scratch/coral.yaml" <<'Y'
apiVersion: e2e.example.com/v1
kind: Coral
metadata: {name: fan}
spec: {colour: red}
Y

# === what is served ===
check "api-resources lists kinds" 'deployments +deploy +apps/v1 +true +Deployment' "$kubectl" api-resources
check "api-resources with verbs and categories" 'configmaps .*create,delete,deletecollection' "$kubectl" api-resources -o wide
check "api-versions lists versions" '^apps/v1$' "$kubectl" api-versions
check "version of the server" 'Server Version: v1\.' "$kubectl" version
check "get --raw" '"gitVersion"' "$kubectl" get --raw /version
check "get --raw readyz" '^ok' "$kubectl" get --raw /readyz

# === objects of built-in kinds ===
check "create configmap" 'configmap/e2e created' "$kubectl" create configmap e2e --from-literal=greeting=hello
check "create secret" 'secret/e2e created' "$kubectl" create secret generic e2e --from-literal=password=coral
check "create serviceaccount" 'serviceaccount/e2e created' "$kubectl" create serviceaccount e2e
check "create --dry-run=server" 'server dry run' "$kubectl" create configmap e2e-dry --from-literal=a=b --dry-run=server
refused "a dry run leaves nothing" 'NotFound' "$kubectl" get configmap e2e-dry
refused "create twice" 'already exists' "$kubectl" create configmap e2e
check "get as a table" 'NAME +DATA +AGE' "$kubectl" get configmap e2e
check "get -o wide of several kinds" 'secret/e2e +Opaque' "$kubectl" get configmaps,secrets -o wide
check "get -o yaml" 'greeting: hello' "$kubectl" get configmap e2e -o yaml
check "get -o jsonpath" '^hello$' "$kubectl" get configmap e2e -o 'jsonpath={.data.greeting}'
check "get -o name" '^configmap/e2e$' "$kubectl" get configmap e2e -o name
check "describe" 'greeting:' "$kubectl" describe configmap e2e
check "label" 'configmap/e2e labeled' "$kubectl" label configmap e2e tier=reef
check "get -l" '^configmap/e2e$' "$kubectl" get configmaps -l tier=reef -o name
check "get -l of what is not there" 'No resources found' "$kubectl" get configmaps -l tier=desert
check "get --field-selector" '^configmap/e2e$' "$kubectl" get configmaps --field-selector metadata.name=e2e -o name
check "label --overwrite and remove" 'unlabeled' "$kubectl" label configmap e2e tier-
check "annotate" 'configmap/e2e annotated' "$kubectl" annotate configmap e2e note=seen
check "patch, merge" 'configmap/e2e patched' "$kubectl" patch configmap e2e --type merge -p '{"data":{"a":"b"}}'
check "patch, JSON" 'configmap/e2e patched' "$kubectl" patch configmap e2e --type json -p '[{"op":"remove","path":"/data/a"}]'
check "patch, strategic" 'patched' "$kubectl" patch configmap e2e -p '{"data":{"greeting":"bye"}}'
check "edit" 'configmap/e2e edited' env EDITOR="sed -i s/bye/again/" "$kubectl" edit configmap e2e
check "edit was stored" '^again$' "$kubectl" get configmap e2e -o 'jsonpath={.data.greeting}'
check "replace" 'configmap/e2e replaced' "${sh[@]}" 'k get configmap e2e -o yaml | sed s/again/replaced/ | k replace -f -'
refused "replace with a stale version" 'Conflict|has been modified' "${sh[@]}" \
  'k get configmap e2e -o json | sed "s/\"resourceVersion\": \"[0-9]*\"/\"resourceVersion\": \"1\"/" | k replace -f -'
check "get --chunk-size" '^configmap/e2e$' "$kubectl" get configmaps --chunk-size=1 -o name
check "get -A" 'default +e2e' "$kubectl" get configmaps -A

# === apply ===
check "apply" 'deployment.apps/reef created' "$kubectl" apply -f "$scratch/deployment.yaml"
check "apply again" 'deployment.apps/reef unchanged' "$kubectl" apply -f "$scratch/deployment.yaml"
check "diff without a difference" '^$' "${sh[@]}" "k diff -f '$scratch/deployment.yaml'; echo"
sed -i s/reef:1/reef:2/ "$scratch/deployment.yaml"
refused "diff with a difference" 'image: example.com/reef:2' "$kubectl" diff -f "$scratch/deployment.yaml"
check "apply a change" 'deployment.apps/reef configured' "$kubectl" apply -f "$scratch/deployment.yaml"
check "apply --dry-run=server" 'server dry run' "$kubectl" apply -f "$scratch/deployment.yaml" --dry-run=server
check "apply --server-side" 'serverside-applied' \
  "$kubectl" apply --server-side --force-conflicts --field-manager e2e -f "$scratch/deployment.yaml"
refused "apply --server-side meets another owner" 'conflict' "${sh[@]}" \
  "sed s/reef:2/reef:3/ '$scratch/deployment.yaml' | k apply --server-side --field-manager other -f -"
check "deployments in a table" 'NAME +READY +UP-TO-DATE +AVAILABLE' "$kubectl" get deployment reef
check "scale" 'deployment.apps/reef scaled' "$kubectl" scale deployment reef --replicas 5
check "scale was stored" '^5$' "$kubectl" get deployment reef -o 'jsonpath={.spec.replicas}'
check "set image" 'image updated' "$kubectl" set image deployment/reef main=example.com/reef:4
check "describe deployment" 'Image: +example.com/reef:4' "$kubectl" describe deployment reef
check "rollout history" 'deployment.apps/reef' "$kubectl" rollout history deployment/reef
check "status of a deployment" 'patched' \
  "$kubectl" patch deployment reef --subresource status --type merge -p '{"status":{"conditions":[{"type":"Available","status":"True"}]}}'
check "wait for a condition" 'condition met' "$kubectl" wait deployment/reef --for condition=Available --timeout 20s
check "delete -f" 'service "reef" deleted' "$kubectl" delete -f "$scratch/deployment.yaml"

# === watches ===
check "get -w tells what happens" 'e2e-watched' "${sh[@]}" \
  'k get configmaps -w --request-timeout 6s 2>/dev/null & sleep 1; k create configmap e2e-watched >/dev/null; wait $! || true'
check "wait --for=delete" 'condition met|deleted' "${sh[@]}" \
  'k wait configmap/e2e-watched --for=delete --timeout 20s & sleep 0.5; k delete configmap e2e-watched; wait'

# === custom kinds ===
check "create a definition" 'created' "$kubectl" create -f "$scratch/crd.yaml"
check "wait for the definition" 'condition met' \
  "$kubectl" wait crd/corals.e2e.example.com --for condition=Established --timeout 20s
check "a custom kind is discovered" 'corals +co +e2e.example.com/v1 +true +Coral' "$kubectl" api-resources --api-group e2e.example.com
check "apply a custom object" 'coral.e2e.example.com/fan created' "$kubectl" apply -f "$scratch/coral.yaml"
check "printer columns" 'NAME +COLOUR' "$kubectl" get co
check "defaults" '^1$' "$kubectl" get coral fan -o 'jsonpath={.spec.polyps}'
refused "validation" 'Unsupported value|supported values' "$kubectl" patch coral fan --type merge -p '{"spec":{"colour":"green"}}'
check "scale a custom object" 'scaled' "$kubectl" scale coral fan --replicas 7
check "a category" 'coral.e2e.example.com/fan' "$kubectl" get all -o name
check "explain a custom kind" 'What divers see' "$kubectl" explain coral.spec.colour
check "explain what every custom object has" "Standard object's metadata" "$kubectl" explain coral.metadata
check "explain a built-in kind" 'replicas' "$kubectl" explain deployment.spec
refused "an unknown field" 'unknown field' "${sh[@]}" "sed 's/colour: red/colour: red, size: 5/' '$scratch/coral.yaml' | k apply -f -"
check "delete the definition" 'deleted' "$kubectl" delete crd corals.e2e.example.com --timeout 30s

# === who may ===
check "auth whoami" 'Username' "$kubectl" auth whoami
check "auth can-i" '^yes$' "$kubectl" auth can-i create deployments
refused "auth can-i as somebody else" '^no$' "$kubectl" auth can-i create deployments --as nobody
check "auth can-i --list" 'selfsubjectaccessreviews' "$kubectl" auth can-i --list --as nobody
check "create role and rolebinding" 'rolebinding.rbac.authorization.k8s.io/e2e created' "${sh[@]}" \
  'k create role e2e --verb get,list --resource configmaps; k create rolebinding e2e --role e2e --serviceaccount default:e2e'
check "create token" '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$' "$kubectl" create token e2e
# Without a user of its own in the file, the token alone says who asks.
sed '/client-certificate-data\|client-key-data/d' "$KUBECONFIG" >"$scratch/tokens.yaml"
token=$("$kubectl" create token e2e 2>/dev/null)
check "a token says who asks" 'system:serviceaccount:default:e2e' \
  "$kubectl" --kubeconfig "$scratch/tokens.yaml" --token "$token" auth whoami
check "a token's rights" 'configmap/e2e' "$kubectl" --kubeconfig "$scratch/tokens.yaml" --token "$token" get configmaps -o name
refused "a token's limits" 'Forbidden' "$kubectl" --kubeconfig "$scratch/tokens.yaml" --token "$token" get secrets

# === the end ===
check "create namespace" 'namespace/e2e created' "$kubectl" create namespace e2e
check "fill a namespace" 'created' "$kubectl" -n e2e create configmap inside
check "delete namespace" 'deleted' "$kubectl" delete namespace e2e --timeout 60s
refused "its content is gone" 'NotFound' "$kubectl" -n e2e get configmap inside
check "delete by kind and name" 'deleted' "${sh[@]}" \
  'k delete configmap/e2e secret/e2e serviceaccount/e2e role/e2e rolebinding/e2e'
refused "what is deleted is gone" 'NotFound' "$kubectl" get configmap e2e

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
