#!/usr/bin/env bash
# scenario.sh WORKDIR: moves into a host that enforces SELinux's reference policy; a rerun, units that a
# build brought, wrong labels, a run that systemd starts, a restart. What the policy denied before movein
# came is the policy's own; anything else that it denies is movein's doing, and an error.
#
# Environment: MOVEIN (the program), HOSTLAB_WORK (the releases and the mirror).
set -euo pipefail
# shellcheck disable=SC2016 # for the host's shell
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
WORK=$1 CHECKS=0
: "${MOVEIN:?the binary to test: run this by .ci/selinux}" "${HOSTLAB_WORK:?}"
TMP=$(mktemp -d)
end() {
	local status=$?
	rm -rf "$TMP"
	((status == 0)) || host console | tail -n 40 >&2
	host kill || true
	exit "$status"
}
trap end EXIT

host() { "$HERE/../kinoite/vm.sh" "$WORK" "$@"; }
root() { host run "$@"; }
user() { host run -u mitsio "$@"; }
die() { echo "selinux: FAILED: $*" >&2 && exit 1; }
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

NIX=$(find "$HOSTLAB_WORK/releases/nix" -maxdepth 1 -name 'nix-2.*' | sort -V | tail -n1)
VERSION=${NIX##*/nix-}
SETTINGS="MOVEIN_NIX_VERSION=$VERSION MOVEIN_NIX_SHA256=$(<"$NIX/nix-$VERSION-x86_64-linux.tar.xz.sha256")"
APPLY="$SETTINGS /var/tmp/movein apply"

# denials: each kind of denial so far, once: how often, program, domain, type of the object, class, permissions.
# The kernel's and systemd's are in the audit log, those of a user's systemd in the journal.
denials() {
	root '{ ausearch --input-logs --message AVC,USER_AVC,SELINUX_ERR --raw 2>/dev/null; journalctl --quiet --output cat --grep "^selinux: avc" || true; }' | awk '
		function field(name) { return match($0, name "=[^ ]*") ? substr($0, RSTART + length(name) + 1, RLENGTH - length(name) - 1) : "-" }
		/denied/ {
			comm = field("comm"); gsub(/"/, "", comm)
			split(field("scontext"), s, ":"); split(field("tcontext"), t, ":")
			perms = $0; sub(/.*denied +\{ /, "", perms); sub(/ \}.*/, "", perms)
			print comm, s[3], t[3], field("tclass"), perms
			next
		}
		/type=SELINUX_ERR/ { print "-", field("op"), field("scontext"), field("tcontext"), field("tclass") }' | sort | uniq -c | sed 's/^ *//'
}
kinds() { cut -d' ' -f2- <<<"$1" | sort -u; }

# labelled WHAT: Nix's own files, the daemon's, and those around them are as the policy has them.
labelled() {
	ok "$1: labels are as matchpathcon says" root '
		n=/nix/var/nix/profiles/default
		wrong=$(find $($n/bin/nix-store --query --requisites "$(readlink -f $n)") /nix/var /etc/nix /etc/profile.d/movein-nix.sh /etc/systemd/system/nix-daemon.* | xargs matchpathcon -V 2>&1 | grep -v " verified.$")
		wrong+=$(matchpathcon -V /nix /nix/store | grep -v " verified.$")
		echo "$wrong"; [ -z "$wrong" ]'
	ok "$1: they are those of our policy" root '
		nix=$(readlink -f /nix/var/nix/profiles/default/bin/nix)
		stat -c %C /nix "$nix" /nix/var/nix/daemon-socket | cut -d: -f3 | tr "\n" " " | grep -x "usr_t bin_t var_run_t "'
}

# works WHAT: a build through a daemon that systemd started, in the domain of services.
works() {
	ok "$1: a build through the daemon" user "/nix/var/nix/profiles/default/bin/nix --extra-experimental-features 'nix-command flakes' build --no-link --offline --impure --expr 'derivation { name = \"check-$RANDOM\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \"echo >\$out\" ]; }'"
	ok "$1: the daemon runs as services do" root '[ "$(cut -d: -f3 /proc/$(systemctl show --property MainPID --value nix-daemon.service)/attr/current)" = initrc_t ]'
	ok "$1: the home is there" user '.local/bin/hello-movein | grep -q moved'
}

# summary WORD: what the summary of the last output (which was --json) says.
summary() { grep '"event":"summary"' <<<"$OUT" | tail -n1 | grep -F "$1" || { printf '%s\n' "$OUT" && false; }; }

unchanged() {
	exits 0 user "$APPLY --json"
	ok "$1: the rerun changes nothing" summary '"changed":false'
}

mkdir -p "$TMP/lab/tree/releases.nixos.org/nix"
cp -r "$NIX" "$TMP/lab/tree/releases.nixos.org/nix/"
cp "$HOSTLAB_WORK/bin/mirror" "$TMP/lab/"

note "a fresh host"
host kill
host start --cold
ok "the kernel enforces the reference policy" root '[ "$(getenforce)" = Enforcing ] && sestatus | grep -q "Loaded policy name: *default"'
# What a host downloads it has from itself: there is no network.
host put "$TMP/lab" /var/lab
host put "$MOVEIN" /var/tmp/movein
root 'set -e
	chmod 755 /var/tmp/movein
	install -m 755 /var/lab/mirror /usr/local/bin/lab-mirror
	printf "[Unit]\nBefore=network-online.target\n[Service]\nExecStartPre=/bin/rm -f /var/lab/state/ready\nExecStart=/usr/local/bin/lab-mirror serve --root /var/lab/tree --state /var/lab/state\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/lab-mirror.service
	systemctl --quiet enable --now lab-mirror.service
	for i in $(seq 300); do [ -e /var/lab/state/ready ] && break; sleep 0.2; done
	printf "127.0.0.1 localhost\n127.0.0.1 lab-mirror %s\n" "$(cat /var/lab/state/names)" >>/etc/hosts
	cat /var/lab/state/ca.pem >>/etc/ssl/certs/ca-certificates.crt'
note "what Debian's policy denies Debian, with a restart, a semodule and a login of its own"
host reboot
user 'sudo true && systemctl --user daemon-reload'
# Twice: the second finds the files of the first, with its labels.
root 'systemctl daemon-reload; systemd-run --quiet --wait true; { semodule --build && semodule --build; } 2>/dev/null'
BEFORE=$(denials)
printf '%s\n' "$BEFORE" | sed 's/^/#   /'

note "apply"
exits 0 user "$APPLY starter"
printf '%s\n' "$OUT"
ok "the module is loaded" root 'semodule -lfull | grep -x "400 movein-nix *cil *"'
labelled "after the run"
works "after the run"
unchanged "after the run"
exits 0 user '/var/tmp/movein doctor --offline'
ok "the doctor finds no denial" eval '! grep -i selinux.denies <<<"$OUT"'

note "units that a build brought"
user 'set -e
	out=$(/nix/var/nix/profiles/default/bin/nix --extra-experimental-features "nix-command flakes" build --no-link --offline --print-out-paths --impure --expr '\''derivation { name = "units"; system = "x86_64-linux"; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; args = [ "-c" "mkdir -p $out/bin; echo \"#!/bin/sh\" >$out/bin/x; chmod 755 $out/bin/x; printf \"[Service]\nType=oneshot\nExecStart=$out/bin/x\n\" >$out/x.service" ]; }'\'')
	mkdir -p ~/.config/systemd/user
	ln -s $out/x.service ~/.config/systemd/user/x.service
	sudo ln -s $out/x.service /etc/systemd/system/x.service
	systemctl --user daemon-reload
	sudo systemctl daemon-reload'
ok "systemd starts one of the user's" user 'systemctl --user start x.service'
ok "systemd starts one of the system's" user 'sudo systemctl start x.service'

note "wrong labels"
root 'chcon -R -t default_t $(readlink -f /nix/var/nix/profiles/default/bin/nix | xargs dirname) /nix/var/nix/daemon-socket; chcon -t default_t /nix; systemctl stop nix-daemon.socket nix-daemon.service'
exits 0 user "$APPLY --json"
ok "a run repairs them" summary '"changed":true'
labelled "after the repair"
works "after the repair"
unchanged "after the repair"

note "a run that systemd starts, as after a restart, which loads the module again"
root "echo '; mine' >>/var/lib/movein/selinux/movein-nix.cil && install -m 755 /var/tmp/movein /var/lib/movein/copy &&
	systemd-run --quiet --wait --pipe --setenv=${SETTINGS// / --setenv=} /bin/sh -c 'exec /var/lib/movein/copy apply --user mitsio' && rm /var/lib/movein/copy" >"$TMP/run" 2>&1 || { cat "$TMP/run" >&2 && die "a run that systemd starts"; }
ok "the module is the shipped one again" root 'semodule -lfull | grep -x "400 movein-nix *cil *" && ! grep -x "; mine" /var/lib/movein/selinux/movein-nix.cil'
labelled "after the service"
works "after the service"

note "a restart"
host reboot
works "after the restart"
labelled "after the restart"
unchanged "after the restart"

AFTER=$(denials)
note "every denial of this host, how often: program, domain, type, class, permissions"
printf '%s\n' "$AFTER" | sed 's/^/#   /'
NEW=$(comm -13 <(kinds "$BEFORE") <(kinds "$AFTER"))
ok "none that Debian's policy did not have before movein" eval '[[ -z $NEW ]] || { printf "%s\n" "$NEW"; false; }'
echo "selinux $CHECKS checks"
