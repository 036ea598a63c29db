#!/usr/bin/env bash
# How long "movein version" takes, beside a program that does nothing.
set -euo pipefail
. "$(dirname "$0")/../lib/bench.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# one FILE COMMAND...: the milliseconds of one run.
one() {
	local file=$1 start=$EPOCHREALTIME
	shift
	"$@" >/dev/null
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print (b - a) * 1000 }' >>"$file"
}
for ((i = 0; i < 50; i++)); do
	one "$dir/ours" "$MOVEIN" version
	one "$dir/true" /bin/true
done
echo "start $(median "$dir/ours") ms ratio $(ratio "$(median "$dir/ours")" "$(median "$dir/true")") vs /bin/true"
