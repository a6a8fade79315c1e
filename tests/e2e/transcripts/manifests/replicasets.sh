# What the Deployment controller does of a rollout: a ReplicaSet for the template as it is now, with the next revision.
# usage: replicasets.sh DEPLOYMENT REVISION CHANGE-CAUSE
hash=hash$2
k get deployment "$1" -o json | python3 -c '
import json, sys
deployment, name, revision = json.load(sys.stdin), sys.argv[1], sys.argv[2]
template = deployment["spec"]["template"]
labels = dict(template["metadata"]["labels"], **{"pod-template-hash": name})
template["metadata"] = {"labels": labels}
notes = {"deployment.kubernetes.io/revision": revision, "deployment.kubernetes.io/desired-replicas": "2"}
if sys.argv[3]:
    notes["kubernetes.io/change-cause"] = sys.argv[3]
owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"],
         "uid": deployment["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}
metadata = {"name": deployment["metadata"]["name"] + "-" + name, "labels": labels, "annotations": notes, "ownerReferences": [owner]}
print(json.dumps({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata,
                  "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}}))
' "$hash" "$2" "${3:-}" | k apply -f - >/dev/null
k annotate deployment "$1" --overwrite deployment.kubernetes.io/revision="$2" >/dev/null
