#!/usr/bin/env bash
# An independent look: lynis, ssh-audit and OpenSCAP on a stock node of the lab, and on the same node after castellan has made
# its whole baseline. Prints a table: release, what was counted, before, after. Debian only; root; some minutes, so no part of CI.
# Usage: look.sh [quick]        quick leaves OpenSCAP out, which takes most of the time.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "look.sh boots hosts and needs root" >&2; exit 3; }
if ! command -v ssh-audit >/dev/null; then
	apt-get -q update >&2
	DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install ssh-audit >&2
fi
./lab/setup.sh
printf '%-48s %14s %12s\n' "" stock hardened
CASTELLAN_LAB_LOOK=${1:-all} go test -tags lab,look -count=1 -timeout 30m -v -run '^TestLook$' ./lab | grep -E '^Debian|FAIL|_test.go'
