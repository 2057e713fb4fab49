#!/usr/bin/env bash
# The main job on real input: this machine and the sample hosts, summarized, and an HTML report.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=./bin/castellan
mkdir -p dist
echo
echo "== this machine and the sample hosts of examples/"
"$bin" scan local examples/pve8-blog-recipe examples/pve9-cluster-node --fail-on none --format text,html,json -o dist/demo
cat dist/demo.txt
echo
echo "The HTML report: $PWD/dist/demo.html"
echo "Next: $bin scan -v examples/pve8-blog-recipe   (evidence and fixes)"
