#!/usr/bin/env bash
# Runs those specs of Kubernetes' own end-to-end suite that need no node, no pod and no kube-controller-manager, against one logical
# cluster of a server of its own. E2E_TEST names the suite's binary, built from the source of Kubernetes 1.36 with
# `go test -c -vet=off ./test/e2e`; ATOLL the server's. It takes about ten minutes; with arguments, they say which specs
# (--ginkgo.focus …). What it leaves out, and why, is told in docs/controllers.md.
set -euo pipefail

if [ -z "${E2E_TEST:-}" ]; then
  echo "SKIPPED: E2E_TEST names no binary of Kubernetes' end-to-end suite"
  exit 0
fi
root=$(cd "$(dirname "$0")/../.." && pwd)
atoll=${ATOLL:-$root/target/debug/atoll}
home=$(mktemp -d)
"$atoll" serve --data-dir "$home" --listen 127.0.0.1:0 --storage memory:// --service-cluster-ip-range 10.96.0.0/16 \
  >"$home/said" 2>"$home/log" &
server=$!
trap 'kill $server; wait $server || true; rm -rf "$home"' EXIT
until grep -q ready "$home/said"; do kill -0 $server; sleep 0.1; done
"$atoll" cluster create suite --kubeconfig "$home/admin.kubeconfig" >/dev/null
"$atoll" kubeconfig suite --kubeconfig "$home/admin.kubeconfig" >"$home/suite.kubeconfig"

# What is about the API alone, in all areas.
focus=(
  sig-api-machinery 'API operations' ServiceCIDR IPAddress 'master service' 'pointing to API Server' 'service from listing all'
  PodTemplates 'Lease API' PriorityClass 'LimitRange should (create|list)' CSINode CSIStorageCapacity
  VolumeAttributesClass StorageClasses 'Events should' 'Events API' SelfSubject SubjectReview
  'ServiceAccounts should (run|update|guarantee)' 'ConfigMap should (run|update|fail)' 'Secrets should (patch|fail)'
  'lifecycle of an Endpoint' runtimeclass
)
# What needs pods that run, controllers that make them, features that are off by default, or hours.
skip=(
  Slow Flaky Feature: Windows DRA OrderedNamespaceDeletion SchedulerPreemption 'lifecycle of a VolumeAttributesClass' 'sent by kubelets'
  AdmissionWebhook 'onversion webhook' CustomResourceConversion CustomResourceFieldSelectors
  Aggregat StorageVersion 'Garbage collector' 'etcd failure' 'should create pods, set' 'Namespaces.*pods' 'pods are removed'
  'capture the life of a (replication controller|replica set)' 'return pod details' 'RuntimeClass.*(chedul|Overhead|reject|nconfigured)'
  'life of a persistent volume claim' 'volume attributes class scope' 'metadata details across all namespaces for nodes'
  NodeLease ControllerRevision Deployment ReplicaSet StatefulSet DaemonSet CronJob 'Job '
)
join() { local IFS='|'; echo "$*"; }
if [ $# -eq 0 ]; then
  set -- --ginkgo.focus "$(join "${focus[@]}")" --ginkgo.skip "$(join "${skip[@]}")" \
    --ginkgo.skip-file 'windows|dra/|gcp|drivers|testsuites|csimock|common/storage|netpol/network_policy.go'
fi
"$E2E_TEST" --kubeconfig "$home/suite.kubeconfig" --provider skeleton --num-nodes 0 --allowed-not-ready-nodes -1 --minStartupPods -1 \
  --kubectl-path "$(command -v kubectl)" --ginkgo.no-color --ginkgo.silence-skips "$@"
