#!/usr/bin/env bash
# Unlocking a vault and showing one password, beside keepassxc-cli, in turn: a small vault and
# one with 5,000 entries and 500 attachments, both with Argon2d (64 MiB, 14 passes, 2 lanes).
# Needs keepassxc, python3-pykeepass and time.
set -euo pipefail
. "$(dirname "$0")/../lib/bench.sh"
top=$(cd "$(dirname "$0")/../../.." && pwd)
data=$top/bootstrap/host/kdbx/testdata
PAIRS=${PAIRS:-10}
for program in keepassxc-cli /usr/bin/time; do
	command -v "$program" >/dev/null || { echo "vault-5000: $program is not installed" >&2 && exit 1; }
done
export QT_QPA_PLATFORM=offscreen LC_ALL=C.UTF-8
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$top" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$dir/unlock" ./bootstrap/host/kdbx/testdata/unlock)

# one WHO COMMAND...: adds the milliseconds and the KiB of one run; its output must be the password.
one() {
	local who=$1 start end
	shift
	start=$EPOCHREALTIME
	[[ $(/usr/bin/time -o "$dir/rss" -f %M "$@") == 'sk-ant-123' ]]
	end=$EPOCHREALTIME
	awk -v a="$start" -v b="$end" 'BEGIN { print (b - a) * 1000 }' >>"$dir/$who.ms"
	cat "$dir/rss" >>"$dir/$who.kib"
}
for kind in small 5000; do
	sizes=(0 0)
	[[ $kind == small ]] || sizes=(5000 500)
	/usr/bin/python3 "$data/vault.py" large "$dir/$kind.kdbx" "$data/any.key" "${sizes[@]}"
	rm -f "$dir"/*.ms "$dir"/*.kib
	for ((i = 0; i < PAIRS; i++)); do
		one ours "$dir/unlock" "$data/any.key" "$dir/$kind.kdbx" '/API Keys/Anthropic'
		one rival keepassxc-cli show -q -s -a Password --no-password -k "$data/any.key" "$dir/$kind.kdbx" '/API Keys/Anthropic'
	done
	ours=$(median "$dir/ours.ms") rival=$(median "$dir/rival.ms")
	echo "vault-$kind $ours ms ratio $(ratio "$ours" "$rival") vs keepassxc-cli ($rival ms)"
	ours=$(median "$dir/ours.kib") rival=$(median "$dir/rival.kib")
	echo "vault-${kind}-memory $ours KiB ratio $(ratio "$ours" "$rival") vs keepassxc-cli ($rival KiB)"
done
