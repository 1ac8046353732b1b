#!/bin/sh
# Runs the load of this folder and prints what all its pods have measured as one result:
#
#     ./run.sh [NAMESPACE]
#
# The namespace is that of the server, kecho-pool by default. Needs kubectl and npx here. In the cluster nothing else than
# the Job: no volume that several nodes could write to, and no pod that may read the logs of others. What it makes is gone
# at the end; with KEEP=FOLDER the results stay, one file for each pod.
set -eu
cd "$(dirname "$0")"
job=kecho-pool-bench
# Time for the nodes to pull the image and to start the pods.
start_s=60
in="--namespace ${1:-kecho-pool}"

results=${KEEP:-$(mktemp -d)}
# shellcheck disable=SC2086 # two words
cleanup() {
  kubectl delete $in --ignore-not-found "job/$job" "configmap/$job" >/dev/null
  [ -n "${KEEP:-}" ] || rm -r "$results"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# shellcheck disable=SC2086
{
  kubectl create configmap "$job" $in --from-literal=start-at="@$(($(date +%s) + start_s))" >/dev/null
  kubectl apply $in --kustomize . >/dev/null
  kubectl wait $in --for=condition=complete --timeout=5m "job/$job" >/dev/null
  # Beside its result, a line of JSON, a generator writes lines to read.
  for pod in $(kubectl get pods $in --selector "job-name=$job" --output name); do
    kubectl logs $in "$pod" | grep '^{' >"$results/$(basename "$pod").json"
  done
}
npx --no-install kecho-pool merge "$results"/*.json
