#!/usr/bin/env bash
# Runs every fuzz target of the tree for a set time, one after the other. The corpus is kept: new inputs that find
# something stay in testdata/fuzz, the others in Go's build cache.
set -euo pipefail
cd "$(dirname "$0")/.."
each=${1:-20s}
found=0
while IFS=: read -r file target; do
  found=$((found + 1))
  printf '%-60s %s\n' "./$(dirname "$file")" "$target"
  go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$each" >fuzz.log 2>&1 || { cat fuzz.log; exit 1; }
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -oE '^func Fuzz[A-Za-z0-9_]+' | sed 's/func //')
rm -f fuzz.log
echo "$found fuzz targets, $each each, nothing found"
[ "$found" -gt 0 ]
