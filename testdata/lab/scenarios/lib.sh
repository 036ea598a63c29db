# Shared by the scenarios: real hosts with the movein that was just built.
# shellcheck shell=bash
set -euo pipefail
LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export HOSTLAB_WORK=${HOSTLAB_WORK:-$HOME/.cache/hostlab}
: "${MOVEIN:?the binary to test: run scenarios by .ci/lab}"
SCENARIO=$(basename "$0" .sh)
HOSTS=()
CHECKS=0

# The fixture release of the newest Nix, and how movein is told to take it.
NIX_VERSION=$(basename "$(find "$HOSTLAB_WORK/releases/nix" -maxdepth 1 -name 'nix-2.*' | sort -V | tail -n1)")
NIX_VERSION=${NIX_VERSION#nix-}
NIX_SHA256=$(<"$HOSTLAB_WORK/releases/nix/nix-$NIX_VERSION/nix-$NIX_VERSION-x86_64-linux.tar.xz.sha256")
HOME_REPO=http://github.com/mitsio/home-manager.git

lab() { "$LAB/hosts/lab-run" "$@"; }

# host NAME KIND [option of lab-run start]...: a fresh host, running. Its real name has
# the scenario's in it, so that scenarios can run beside each other.
host() {
	local name=$SCENARIO-$1 kind=$2
	shift 2
	lab rm "$name" 2>/dev/null || true
	lab create "$name" "$kind"
	HOSTS+=("$name")
	lab start "$name" --mirror "$HOSTLAB_WORK/mirror" --ro "$MOVEIN:/run/lab/movein" "$@"
}

# boot NAME: start a host again that was cut or stopped.
boot() { lab start "$SCENARIO-$1" --mirror "$HOSTLAB_WORK/mirror" --ro "$MOVEIN:/run/lab/movein"; }

# on NAME COMMAND...: as the user mitsio, in a login session. Options of lab-run exec
# (--user root, --cut-when PATH, …) come before COMMAND.
on() {
	local name=$SCENARIO-$1
	shift
	lab exec "$name" --env "MOVEIN_NIX_VERSION=$NIX_VERSION" --env "MOVEIN_NIX_SHA256=$NIX_SHA256" --env LANG=C.UTF-8 "$@"
}

# as_root NAME COMMAND...
as_root() { on "$1" --user root "${@:2}"; }

fault() { lab fault "$SCENARIO-$1" "${@:2}"; }

clean() {
	local status=$? name
	for name in "${HOSTS[@]}"; do lab rm "$name" >/dev/null 2>&1 || true; done
	exit "$status"
}
trap clean EXIT

die() {
	echo "$SCENARIO: FAILED: $*" >&2
	exit 1
}

# ok WHAT COMMAND...: COMMAND must succeed; counted.
ok() {
	local what=$1
	shift
	"$@" || die "$what"
	CHECKS=$((CHECKS + 1))
	echo "ok  $what"
}

# exits CODE COMMAND...: COMMAND must end with that exit code. Its output is in $OUT.
exits() {
	local want=$1 got=0
	shift
	OUT=$("$@" 2>&1) || got=$?
	((got == want)) || {
		printf '%s\n' "$OUT" >&2
		die "exit code $got, expected $want: $*"
	}
}

# says TEXT: the last output has TEXT in it.
says() {
	[[ $OUT == *"$1"* ]] || {
		printf '%s\n' "$OUT" >&2
		die "nothing says: $1"
	}
}

# summary KEY: a value of the summary in the last output (which was --json).
summary() { printf '%s\n' "$OUT" | grep '"event":"summary"' | tail -n1 | grep -oP "\"$1\":\K(\"[^\"]*\"|\[[^]]*\]|[^,}]*)"; }

# figure NAME VALUE UNIT [ratio R vs RIVAL]: the last line of a scenario.
figure() { echo "$*"; }
