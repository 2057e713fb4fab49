#!/usr/bin/env bash
# The main job on real input: this machine and the sample hosts, summarized, and an HTML report; then the sample cluster of
# three nodes: what it is judged, three questions about it, and its drawing; at last a copy of a sample host is repaired, judged
# again and taken back.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=./bin/castellan
mkdir -p dist
echo
echo "== this machine and the sample hosts of examples/"
"$bin" scan local examples/pve8-blog-recipe examples/pve9-cluster-node examples/estate --fail-on none --format text,html,json -o dist/demo
# The overview and the head of each host; the whole is in dist/demo.txt.
awk 'NR <= 8 {print; next} /^(local|examples\/).*UTC$/ {n = 8} n > 0 {print; if (--n == 0) print ""}' dist/demo.txt
echo "The whole text report:  dist/demo.txt"
echo "The HTML report:        $PWD/dist/demo.html"
echo "Evidence and fixes:     $bin scan -v examples/pve8-blog-recipe"

# ask TITLE LINES COMMAND...: the first lines of an answer about the sample cluster.
ask() {
  local title=$1 lines=$2
  shift 2
  echo
  echo "== $title"
  echo "\$ castellan $*"
  "$bin" "$@" >dist/answer.txt 2>/dev/null || true
  head -n "$lines" dist/answer.txt
  if [ "$(wc -l <dist/answer.txt)" -gt "$lines" ]; then echo "..."; fi
  rm -f dist/answer.txt
}
ask "the sample cluster: who may hand out permissions?" 14 pve who-can Permissions.Modify / --root examples/estate
ask "who reaches the web interface of pve1?" 14 pve reach --to host:8006 --node pve1 --root examples/estate
ask "which guests are not backed up?" 40 pve backups --root examples/estate
echo
echo "== the network, drawn"
echo "\$ castellan pve map --root examples/estate -o dist/estate.svg"
"$bin" pve map --root examples/estate -o dist/estate.svg
echo "The drawing:            $PWD/dist/estate.svg"
echo "What is planted in it:  examples/estate/FAULTS.yaml"

echo
echo "== a copy of the blog recipe: planned, repaired, judged, taken back"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R examples/pve8-blog-recipe "$work/host"
listing() { (cd "$work/host" && find . -type f -exec sha256sum {} + | sort -k 2); }
listing >"$work/before"
"$bin" plan "$work/host" -o "$work/plan.json" >"$work/plan.txt" || true
tail -n 4 "$work/plan.txt"
"$bin" scan "$work/host" --fail-on none --format text -q | sed -n '/Score/,+1p'
"$bin" apply "$work/plan.json" --yes --state "$work/state" 2>/dev/null | head -n 1
"$bin" scan "$work/host" --fail-on none --format text -q | sed -n '/Score/,+1p'
"$bin" revert --yes --state "$work/state" 2>/dev/null
listing >"$work/after"
cmp "$work/before" "$work/after" && echo "Every file is as it was, byte for byte."
echo "Read the plan yourself: $bin plan examples/pve8-blog-recipe"
