#!/usr/bin/env bash
# Speed and size as whole processes, beside lynis and OpenSCAP on the same machine in the same run. Quote the ratios:
# the absolute figures are this machine's. Needs root, installs lynis, openscap-scanner and ssg-debian from Debian.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-5}
bin=$PWD/bin/castellan
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ "$(id -u)" = 0 ]; then
  need=()
  command -v lynis >/dev/null || need+=(lynis)
  command -v oscap >/dev/null || need+=(openscap-scanner)
  [ -e /usr/share/xml/scap/ssg/content ] || need+=(ssg-debian)
  [ -x /usr/bin/time ] || need+=(time)
  if [ ${#need[@]} -gt 0 ]; then
    echo "installing ${need[*]}"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
  fi
fi

# measure NAME RUNS COMMAND...: the median of wall seconds, CPU seconds (children included) and peak memory of the
# largest process.
measure() {
  local name=$1 n=$2; shift 2
  for _ in $(seq "$n"); do
    /usr/bin/time -q -f '%e %U %S %M' -a -o "$work/t" "$@" >/dev/null 2>"$work/err" || true
  done
  awk -v name="$name" '{w[NR]=$1; c[NR]=$2+$3; m[NR]=$4}
    function med(a,n,  i,j,t) {for(i=1;i<=n;i++)for(j=i+1;j<=n;j++)if(a[j]<a[i]){t=a[i];a[i]=a[j];a[j]=t} return a[int((n+1)/2)]}
    END {printf "%-44s %8.3f s %8.3f s %8.1f MB\n", name, med(w,NR), med(c,NR), med(m,NR)/1024}' "$work/t" | tee -a "$work/table"
  rm -f "$work/t"
}

printf '%-44s %10s %10s %11s\n' "whole process, median" "wall" "CPU" "peak memory"
measure "castellan scan (strict, this machine)" "$runs" "$bin" scan local --profile strict --fail-on none -q
"$bin" collect local -o "$work/one.facts.zst" 2>/dev/null
measure "castellan scan of one saved bundle" "$runs" "$bin" scan "$work/one.facts.zst" --profile strict --fail-on none -q
mkdir "$work/many"
for i in $(seq 1000); do ln "$work/one.facts.zst" "$work/many/$i.facts.zst"; done
ls "$work"/many/*.zst >"$work/list"
measure "castellan scan of 1,000 bundles" 1 "$bin" scan --targets "$work/list" --profile strict --format json -o "$work/out.json" --fail-on none -q
head -100 "$work/list" >"$work/list100"
measure "castellan scan of 100 bundles (memory)" 1 "$bin" scan --targets "$work/list100" --profile strict --format json -o "$work/out.json" --fail-on none -q
if command -v lynis >/dev/null; then
  measure "lynis audit system --quick" "${PEER_RUNS:-1}" lynis audit system --quick --no-colors
fi
content=$(ls /usr/share/xml/scap/ssg/content/ssg-debian1[1-9]-ds.xml 2>/dev/null | tail -1 || true)
if command -v oscap >/dev/null && [ -n "$content" ]; then
  sed 's#<[A-Za-z0-9_.-]*:platform [^>]*/>##g' "$content" >"$work/ds.xml"
  profile=$(oscap info --profiles "$work/ds.xml" | cut -d: -f1 | grep -m1 anssi.*high || true)
  measure "oscap xccdf eval (${profile##*_})" "${PEER_RUNS:-1}" oscap xccdf eval --profile "$profile" "$work/ds.xml"
fi
awk '/scan \(strict/ {c=$(NF-3)} /lynis/ {printf "lynis takes %.0f times the CPU\n", $(NF-3)/c} /oscap/ {printf "OpenSCAP takes %.1f times the CPU\n", $(NF-3)/c}' "$work/table"
