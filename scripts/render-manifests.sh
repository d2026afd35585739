#!/bin/bash
# Renders deploy/k8s from the chart, for whoever does without Helm: one file for each file of its examples. With --check
# nothing is written: fails where the chart is wrong or a file is not what it says. With --validate the schemas of
# Kubernetes judge those files; what they do not know is an error, and so is a kind without a schema.
set -euo pipefail

cd "$(dirname -- "$0")/.."
PATH=$PWD/.venv/bin:$PATH

# As in scripts/install-tools.sh.
KUBERNETES=1.34.0
chart=deploy/helm/holdfast

render() {
  echo "# Rendered from $chart with examples/$1.yaml by scripts/render-manifests.sh: change those, not this."
  echo '# For a namespace of the name locks: kubectl apply --namespace locks --filename THIS'
  helm template locks $chart --namespace locks --kube-version $KUBERNETES --values "$chart/examples/$1.yaml"
}

case ${1:-} in
  --validate)
    kubeconform -strict -summary -kubernetes-version $KUBERNETES \
      -schema-location "$PWD/.venv/share/kubernetes-$KUBERNETES/{{ .ResourceKind }}{{ .KindSuffix }}.json" deploy/k8s/*.yaml
    ;;
  --check)
    for file in "$chart"/examples/*.yaml; do
      helm lint $chart --strict --kube-version $KUBERNETES --values "$file"
      name=$(basename "$file" .yaml)
      render "$name" | diff -u "deploy/k8s/$name.yaml" -
    done
    ;;
  *)
    for file in "$chart"/examples/*.yaml; do
      name=$(basename "$file" .yaml)
      render "$name" >"deploy/k8s/$name.yaml"
    done
    ;;
esac
