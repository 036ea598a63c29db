#!/usr/bin/env bash
# One value for a script, from a vault (Argon2d, 64 MiB, 14 passes) that was opened once, beside keepassxc-cli, which opens it each time.
# Needs keepassxc and python3-pykeepass.
set -euo pipefail
. "$(dirname "$0")/../lib/bench.sh"
data=$(cd "$(dirname "$0")/../../.." && pwd)/bootstrap/host/kdbx/testdata
TIMES=${TIMES:-20}
command -v keepassxc-cli >/dev/null || { echo "secret-get: keepassxc-cli is not installed" >&2 && exit 1; }
export QT_QPA_PLATFORM=offscreen LC_ALL=C.UTF-8
dir=$(mktemp -d)
trap '"$MOVEIN" secret lock; rm -rf "$dir"' EXIT
mkdir -m 700 "$dir/run"
export XDG_RUNTIME_DIR=$dir/run XDG_CONFIG_HOME=$dir XDG_STATE_HOME=$dir XDG_CACHE_HOME=$dir XDG_DATA_HOME=$dir DBUS_SESSION_BUS_ADDRESS=
/usr/bin/python3 "$data/vault.py" large "$dir/my.kdbx" "$data/any.key" 0 0
mkdir "$dir/movein"
cat >"$dir/movein/movein.toml" <<TOML
vault = "$dir/my.kdbx"
key-file = "$data/any.key"
no-password = true
[secrets]
anthropic = { entry = "/API Keys/Anthropic" }
TOML

# one WHO COMMAND...: adds the milliseconds of one run; its output must be the password.
one() {
	local who=$1 start=$EPOCHREALTIME
	shift
	[[ $("$@") == 'sk-ant-123' ]]
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print (b - a) * 1000 }' >>"$dir/$who.ms"
}
one first "$MOVEIN" secret get anthropic
for ((i = 0; i < TIMES; i++)); do
	one ours "$MOVEIN" secret get anthropic
	one rival keepassxc-cli show -q -s -a Password --no-password -k "$data/any.key" "$dir/my.kdbx" '/API Keys/Anthropic'
done
ours=$(median "$dir/ours.ms") rival=$(median "$dir/rival.ms")
echo "secret-get $ours ms ratio $(ratio "$ours" "$rival") vs keepassxc-cli ($rival ms); the first, which opens the vault: $(median "$dir/first.ms") ms"
