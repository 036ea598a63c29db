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
# The real chezmoi, newest; its release is in the mirror where upstream's is.
CHEZMOI=$(find "$HOSTLAB_WORK/bin" -maxdepth 1 -name 'chezmoi-2.*' | sort -V | tail -n1)/chezmoi
CHEZMOI_VERSION=$(basename "${CHEZMOI%/chezmoi}")
CHEZMOI_VERSION=${CHEZMOI_VERSION#chezmoi-}
CHEZMOI_SHA256=$(cut -d' ' -f1 "$HOSTLAB_WORK/releases/chezmoi/v$CHEZMOI_VERSION/chezmoi_${CHEZMOI_VERSION}_checksums.txt")
HOME_REPO=http://github.com/mitsio/home-manager.git
DOTFILES=http://github.com/mitsio/dotfiles.git
MIRROR=$HOSTLAB_WORK/mirror # what the hosts are served

# Two runs of a scenario in one work directory would remove each other's hosts.
mkdir -p "$HOSTLAB_WORK/locks"
exec {SCENARIO_LOCK}>"$HOSTLAB_WORK/locks/scenario-$SCENARIO"
flock --nonblock "$SCENARIO_LOCK" || {
	echo "$SCENARIO: it runs already in $HOSTLAB_WORK: wait for it, or give this run a HOSTLAB_WORK of its own" >&2
	exit 1
}

lab() { "$LAB/hosts/lab-run" "$@"; }

# host NAME KIND [option of lab-run start]...: a fresh host, running. Its real name has
# the scenario's in it, so that scenarios can run beside each other.
host() {
	local name=$SCENARIO-$1 kind=$2
	shift 2
	lab rm "$name" 2>/dev/null || true
	lab create "$name" "$kind"
	HOSTS+=("$name")
	start "$name" --mirror "$MIRROR" --ro "$MOVEIN:/run/lab/movein" "$@"
}

# start NAME...: lab-run start, one host at a time, and once more for a host that dies
# while it boots: on a machine with too much to do, that happens.
start() {
	flock --close "$HOSTLAB_WORK/start.lock" "$LAB/hosts/lab-run" start "$@" ||
		flock --close "$HOSTLAB_WORK/start.lock" "$LAB/hosts/lab-run" start "$@"
}

# boot NAME: start a host again that was cut or stopped.
boot() { start "$SCENARIO-$1" --mirror "$MIRROR" --ro "$MOVEIN:/run/lab/movein"; }

# on NAME COMMAND...: as the user mitsio, in a login session. Options of lab-run exec
# (--user root, --cut-when PATH, …) come before COMMAND.
on() {
	local name=$SCENARIO-$1
	shift
	lab exec "$name" --env "MOVEIN_NIX_VERSION=$NIX_VERSION" --env "MOVEIN_NIX_SHA256=$NIX_SHA256" \
		--env "MOVEIN_CHEZMOI_VERSION=$CHEZMOI_VERSION" --env "MOVEIN_CHEZMOI_SHA256=$CHEZMOI_SHA256" --env LANG=C.UTF-8 "$@"
}

# as_root NAME COMMAND...
as_root() { on "$1" --user root "${@:2}"; }

fault() { lab fault "$SCENARIO-$1" "${@:2}"; }

# clean [DIR]: remove the hosts, and DIR, and end as it was going to.
clean() {
	local status=$? name
	[[ -z ${1:-} ]] || rm -rf "$1"
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

# tree NAME: what a run leaves on a host, one thing a line: names, types, modes, owners
# and link targets of Nix, /etc and the home, and the content of what is movein's or
# the user's, and what the store's database knows. Not in it: times, journals, caches,
# what Nix keeps for itself, the empty file by which sudo remembers that it was used, and
# the temporary files (etc/.#NAME) that a systemd-sysusers leaves which was cut short.
# shellcheck disable=SC2016 # it is for the shell of the host
tree() {
	as_root "$1" '
		cd /
		find nix etc var/lib/movein home/mitsio \( -path nix/var/log -o -path nix/var/nix/db -o -path nix/var/nix/temproots -o -path nix/var/nix/userpool\* \
			-o -path nix/var/nix/builds -o -path nix/var/nix/gc.lock -o -path nix/var/nix/daemon-socket -o -path "*/.git" -o -path home/mitsio/.cache -o -path var/lib/movein/backups \
			-o -path home/mitsio/.local/state/movein/backups -o -name "journal.json" -o -name lock -o -name .sudo_as_admin_successful \) -prune -o -not -path etc/machine-id -not -path "etc/.#*" -printf "%p %y %m %U %G %l\n"
		find etc/nix etc/systemd/system etc/profile.d etc/passwd etc/group etc/hosts home/mitsio \( -path "*/.git" -o -path home/mitsio/.cache -o -path home/mitsio/.local/state/movein/backups -o -name "journal.json" -o -name lock -o -name .sudo_as_admin_successful \) -prune -o -type f -exec sha256sum {} +
		find home/mitsio/.cache/movein -name "nix-*.xz" -exec sha256sum {} +
		cd home/mitsio/.config/home-manager/.git && cat HEAD config shallow && find refs packed-refs objects -type f 2>/dev/null
		for root in /nix/var/nix/profiles/default /home/mitsio/.local/state/nix/profiles/home-manager; do
			/nix/var/nix/profiles/default/bin/nix-store --query --requisites "$root" || echo "$root is not valid"
		done
		/nix/var/nix/profiles/default/bin/nix-store --dump-db
		find /nix/store -type f -exec sha256sum {} + | LC_ALL=C sort | sha256sum
		/nix/var/nix/profiles/default/bin/nix-store --verify --check-contents 2>&1 | grep -v "^reading the Nix store\|^checking" || true
		systemctl is-active nix-daemon.socket; systemctl is-enabled nix-daemon.socket
	' | LC_ALL=C sort
}

# left NAME: processes of movein that still run.
left() { as_root "$1" 'pgrep --list-full --full "^(sudo .*)?/run/lab/movein"' || true; }

# figure NAME VALUE UNIT [ratio R vs RIVAL]: the last line of a scenario.
figure() { echo "$*"; }
