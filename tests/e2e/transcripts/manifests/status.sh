# What the Deployment controller tells of a rollout, for the generation there is.
# usage: status.sh DEPLOYMENT UPDATED AVAILABLE
generation=$(k get deployment "$1" -o jsonpath='{.metadata.generation}')
available=$([ "$3" -eq 2 ] && echo True || echo False)
k patch deployment "$1" --subresource=status --type=merge -p '{"status":{"observedGeneration":'"$generation"',"replicas":2,
  "updatedReplicas":'"$2"',"readyReplicas":'"$3"',"availableReplicas":'"$3"',"unavailableReplicas":'"$((2 - $3))"',
  "conditions":[{"type":"Available","status":"'"$available"'","reason":"MinimumReplicasAvailable","message":"enough"}]}}'
