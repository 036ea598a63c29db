#!/usr/bin/env bash
# scenario.sh DRIVER WORKDIR: moves into a fresh host by vm.sh or nspawn.sh, with a
# restart that it goes on from by itself; then an OS upgrade, a rollback, and CUTS power
# cuts at random points of the way (default 3): Nix and the home are there each time.
#
# Environment: MOVEIN (the program), HOSTLAB_WORK (the releases and the mirror), CUTS, SEED.
set -euo pipefail
# The functions of the scenarios, which run whole by names they do not know.
# shellcheck disable=SC2016 # for the host's shell
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
DRIVER=$HERE/$1 WORK=$2 CUTS=${CUTS:-3} CHECKS=0 WAIT=${LAB_TIMEOUT:-240}
: "${MOVEIN:?the binary to test: run this by .ci/kinoite}" "${HOSTLAB_WORK:?}"
RANDOM=${SEED:-$RANDOM}
NAME=kinoite-${1%.sh}
TMP=$(mktemp -d)
end() {
	local status=$?
	rm -rf "$TMP"
	((status == 0)) || host console | tail -n 40 >&2
	host kill || true
	exit "$status"
}
trap end EXIT

host() { "$DRIVER" "$WORK" "$@"; }
root() { host run "$@"; }
user() { host run -u mitsio "$@"; }
die() { echo "$NAME: FAILED: $*" >&2 && exit 1; }
note() { printf '# %s %s\n' "$(date +%T)" "$*"; }
ok() { # WHAT COMMAND...
	local what=$1
	shift
	"$@" >"$TMP/out" 2>&1 || { cat "$TMP/out" >&2 && die "$what"; }
	CHECKS=$((CHECKS + 1))
	echo "ok  $what"
}
exits() { # CODE COMMAND...: what it says is in $OUT
	local want=$1 got=0
	shift
	OUT=$("$@" 2>&1) || got=$?
	((got == want)) || { printf '%s\n' "$OUT" >&2 && die "exit code $got, expected $want: $*"; }
}
unchanged() { grep '"event":"summary"' <<<"$OUT" | grep '"changed":false' || { printf '%s\n' "$OUT" && false; }; } # text and JSON come in any order
says() { [[ $OUT == *"$1"* ]] || { printf '%s\n' "$OUT" >&2 && die "nothing says: $1"; }; }
until_ok() { # WHAT COMMAND...: within WAIT seconds
	local what=$1 end=$((SECONDS + WAIT))
	shift
	until "$@" >"$TMP/out" 2>&1; do
		((SECONDS < end)) || { cat "$TMP/out" >&2 && die "$what: not within $WAIT s"; }
		sleep 0.5
	done
	CHECKS=$((CHECKS + 1))
	echo "ok  $what"
}

NIX=$(find "$HOSTLAB_WORK/releases/nix" -maxdepth 1 -name 'nix-2.*' | sort -V | tail -n1)
VERSION=${NIX##*/nix-}
SHA256=$(<"$NIX/nix-$VERSION-x86_64-linux.tar.xz.sha256")
APPLY="MOVEIN_NIX_VERSION=$VERSION MOVEIN_NIX_SHA256=$SHA256 /var/tmp/movein apply http://github.com/mitsio/home-manager.git --configuration mitsio@kinoite"

# What a host downloads it has from itself: there is no network.
fresh() {
	host kill
	host start
	host put "$TMP/lab" /var/lab
	host put "$MOVEIN" /var/tmp/movein
	root 'set -e
		chmod 755 /var/tmp/movein
		printf "[Unit]\nBefore=network-online.target\n[Service]\nExecStartPre=/bin/rm -f /var/lab/state/ready\nExecStart=/var/lab/mirror serve --root /var/lab/tree --state /var/lab/state\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/lab-mirror.service
		systemctl --quiet enable --now lab-mirror.service
		for i in $(seq 100); do [ -e /var/lab/state/ready ] && break; sleep 0.2; done
		printf "127.0.0.1 localhost\n127.0.0.1 lab-mirror %s\n" "$(cat /var/lab/state/names)" >>/etc/hosts
		cat /var/lab/state/ca.pem >>/etc/ssl/certs/ca-certificates.crt'
}

# whole WHAT: Nix works through its daemon, and the home is the generation's.
whole() {
	ok "$1: /nix is mounted from /var" root 'findmnt --noheadings --output SOURCE /nix | grep -q "/var/lib/nix\]"'
	until_ok "$1: a build through the daemon" user '
		nix=/nix/var/nix/profiles/default/bin/nix
		$nix --extra-experimental-features "nix-command flakes" build --no-link --option sandbox false --impure --expr "derivation { name = \"check-$(date +%N)\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \"echo > \$out\" ]; }"'
	ok "$1: the home is applied" user 'test -L ~/.config/hostlab/host && grep -q . ~/.config/hostlab/host'
	ok "$1: nothing failed" root '[ -z "$(systemctl --failed --no-legend | tee /dev/stderr)" ]'
}

# resumed: the run went on, came to its end, and left nothing behind.
resumed() {
	until_ok "the run went on by itself and removed itself" root 'test ! -e /var/lib/movein/resume.json && test ! -e /etc/systemd/system/movein-resume.service && ! systemctl is-active --quiet movein-resume.service'
	ok "nothing of it is left" root 'test ! -e /var/lib/movein/resume && test ! -L /etc/systemd/system/multi-user.target.wants/movein-resume.service'
}

mkdir -p "$TMP/lab/tree/releases.nixos.org/nix"
cp -r "$NIX" "$TMP/lab/tree/releases.nixos.org/nix/"
cp -r "$HOSTLAB_WORK/mirror/github.com" "$TMP/lab/tree/"
rm -rf "$TMP/lab/tree/github.com/twpayne"
cp "$HOSTLAB_WORK/bin/mirror" "$TMP/lab/"

note "a fresh host"
fresh
ok "/ is a composefs, read-only" root 'findmnt --noheadings --output SOURCE / | grep -q composefs && ! mkdir /nix'
exits 0 user "$APPLY --dry-run"
printf '%s\n' "$OUT"
exits 75 user "$APPLY"
says "Reboot, then run the same command again"
exits 75 user "$APPLY"
says "room for /nix"
ok "the deployment that runs is kept" root 'ostree admin status | grep -i pinned'

note "--reboot"
BOOT=$(root 'cat /proc/sys/kernel/random/boot_id; cut -d" " -f22 /proc/1/stat')
exits 75 user "$APPLY --reboot"
says "After the restart movein goes on by itself"
until_ok "the host was restarted" eval '[[ $(root "cat /proc/sys/kernel/random/boot_id; cut -d\" \" -f22 /proc/1/stat") != "$BOOT" ]]'
host wait
resumed
whole "after the restart"
ok "/ is read-only as before" root '! mkdir /other'
ok "the deployment from before is not kept for ever" root '! ostree admin status | grep -i pinned'
exits 0 user "$APPLY --json"
ok "the rerun changes nothing" unchanged

note "a newer OS"
root 'rpm-ostree upgrade' >/dev/null
host reboot
ok "it runs" root 'test -e /usr/share/lab-release'
whole "after the upgrade"
exits 0 user "$APPLY --json"
ok "the rerun changes nothing" unchanged

note "back to the older one"
root 'rpm-ostree rollback' >/dev/null
host reboot
ok "it runs" root 'test ! -e /usr/share/lab-release'
whole "after the rollback"

note "what is damaged is repaired"
root 'echo "# mine" >>/etc/systemd/system/nix.mount; systemctl disable --quiet --now nix-daemon.socket; rm -f /etc/systemd/system/movein-nix-directory.service'
exits 0 user "$APPLY"
host reboot
whole "after the repair"

for ((n = 1; n <= CUTS; n++)); do
	fresh
	after=$((RANDOM % 40))
	note "power cut $n, $after s after the run began"
	user "$APPLY --reboot" >/dev/null 2>&1 &
	run=$!
	sleep "$after"
	host kill
	wait "$run" || true
	host resume
	for again in 1 2 3; do
		until_ok "no run is under way" root '! systemctl is-active --quiet movein-resume.service && ! pgrep -x movein'
		code=0
		BOOT=$(root 'cut -d" " -f22 /proc/1/stat; cat /proc/sys/kernel/random/boot_id')
		user "$APPLY --reboot" >"$TMP/cut" 2>&1 || code=$?
		case $code in
		0) break ;;
		75 | 255) # 255: ssh's, for the run that went on by itself has asked for a restart already
			until_ok "the host was restarted" eval '[[ $(root "cut -d\" \" -f22 /proc/1/stat; cat /proc/sys/kernel/random/boot_id") != "$BOOT" ]]' && host wait
			;;
		*) cat "$TMP/cut" >&2 && die "exit code $code after a power cut" ;;
		esac
	done
	resumed
	whole "after power cut $n"
done
echo "$NAME $CHECKS checks"
