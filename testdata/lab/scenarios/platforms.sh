#!/usr/bin/env bash
# Each kind of host: apply, rerun, repair, doctor; WSL with and without systemd, started again and cut at random.
# Of aarch64 by name only (bash .ci/lab aarch64): its programs are run by qemu-user, which takes minutes.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
KINDS=${KINDS:-debian ubuntu-like fedora-like wsl-systemd wsl wsl-init alpine-like nixos-like}
images=()
for kind in $KINDS; do images+=("${kind/wsl-init/wsl}"); done
"$LAB/hosts/make-host" "${images[@]}" >"$HOSTLAB_WORK/hosts.log" 2>&1 || die "building hosts: see $HOSTLAB_WORK/hosts.log"
RUN='/run/lab/movein apply'
ANSWERS='NIX_REMOTE=daemon $(command -v /nix/var/nix/profiles/default/bin/nix-store || command -v nix-store) --check-validity --print-invalid /nix/store/00000000000000000000000000000000-none >/dev/null'

# until_ok COMMAND...: COMMAND becomes true, soon.
until_ok() { for _ in {1..200}; do "$@" >/dev/null 2>&1 && return; done; "$@"; }

# by NAME COMMAND: as who starts movein there; alpine-like has no sudo.
by() { if [[ $1 == alpine-like ]]; then as_root "$1" "${2/apply/apply --user mitsio}"; else on "$@"; fi; }

# settled KIND: nothing is left to do, and nothing is wrong.
settled() {
	exits 0 by "$1" "$RUN --json"
	ok "$1: the rerun changes nothing" [ "$(summary changed)" = false ]
	exits 0 on "$1" '/run/lab/movein doctor --offline'
	ok "$1: the doctor finds nothing that stops a run" [ "$(grep -c '^FAIL' <<<"$OUT")" = 0 ]
}

# life KIND: from the first run to a repair.
life() {
	exits 0 by "$1" "$RUN starter --json"
	ok "$1: the run changed the host" [ "$(summary changed)" = true ]
	ok "$1: the home is there" on "$1" '~/.local/bin/hello-movein | grep -q moved'
	ok "$1: the daemon answers to the user" on "$1" "$ANSWERS"
	settled "$1"
	damage "$1"
	exits 0 by "$1" "$RUN --json"
	ok "$1: what was damaged is repaired" on "$1" "[ -L ~/.local/bin/hello-movein ] && $ANSWERS"
	settled "$1"
}

damage() {
	on "$1" 'rm ~/.local/bin/hello-movein'
	case $1 in
	nixos-like) ;; # its daemon is the system's
	alpine-like) as_root "$1" 'rc-service nix-daemon stop; rm -f /etc/runlevels/default/nix-daemon' ;;
	wsl-init) as_root "$1" 'kill $(pgrep -f "[/]var/lib/movein/nix-daemon keep") $(pgrep -x nix-daemon); rm -f /nix/var/nix/daemon-socket/socket' ;;
	*) as_root "$1" 'systemctl kill --signal KILL nix-daemon.service 2>/dev/null; systemctl stop nix-daemon.socket nix-daemon.service; rm -f /etc/systemd/system/nix-daemon.service' ;;
	esac
}

# daemons KIND: how many keepers and daemons run that serve all.
daemons() { as_root "$1" 'echo $(pgrep -fc "[/]var/lib/movein/nix-daemon keep") $(pgrep -fc "^[^ ]*nix-daemon --daemon")'; }

# of_arm64: MOVEIN is arm64's, and so is the Nix that it is served: trixie's, since newer C
# libraries ask terminals by a call (TCGETS2) that qemu-user has not.
of_arm64() {
	local tarball
	{ "$LAB/hosts/make-nix-release" trixie-arm64 && "$LAB/hosts/make-mirror" --out "$HOSTLAB_WORK/mirror-aarch64"; } >"$HOSTLAB_WORK/arm64.log" 2>&1 || die "building a release: see $HOSTLAB_WORK/arm64.log"
	MIRROR=$HOSTLAB_WORK/mirror-aarch64
	tarball=$(find "$HOSTLAB_WORK/releases/nix" -name 'nix-*-aarch64-linux.tar.xz' | sort -V | tail -n1)
	NIX_SHA256=$(<"$tarball.sha256") NIX_VERSION=$(basename "${tarball%-aarch64-linux.tar.xz}")
	NIX_VERSION=${NIX_VERSION#nix-}
}

# again KIND: the host is started again, as by wsl.exe --shutdown.
again() {
	lab stop "$SCENARIO-$1"
	boot "$1"
	as_root "$1" '[ ! -d /run/systemd/system ] || timeout 60 systemctl is-system-running --wait || true' >/dev/null
}

system() { as_root "$1" 'cd /; find etc nix/var/nix/profiles/system* run/current-system -printf "%p %y %m %U %G %l %T@\n" 2>/dev/null | LC_ALL=C sort; sha256sum etc/nix/nix.conf'; }

# wsl_systemd KIND: systemd is turned on by the first run, which waits then.
wsl_systemd() {
	as_root "$1" 'printf "# of mine\r\n[user]\r\ndefault = mitsio\r\n\r\n[network]\r\nhostname = wsl-workspace\r\n" >/etc/wsl.conf; cp /etc/wsl.conf /root/was'
	exits 75 on "$1" "$RUN starter"
	says 'wsl.exe --shutdown'
	ok "$1: wsl.conf got one key, and lost nothing" as_root "$1" 'printf "\r\n[boot]\r\nsystemd=true\r\n" | cat /root/was - | cmp - /etc/wsl.conf'
	exits 75 on "$1" "$RUN starter --json"
	ok "$1: it waits until WSL was started again" [ "$(summary reboot_required)" = true ]
	again "$1"
	ok "$1: systemd runs after it" on "$1" '[ -d /run/systemd/system ]'
}

for kind in $KINDS; do
	case $kind in
	wsl) host wsl wsl && wsl_systemd wsl ;;
	wsl-init)
		host wsl-init wsl
		as_root wsl-init 'printf "\n[boot]\nsystemd=false\n" >>/etc/wsl.conf'
		ok "wsl-init: shells find Windows" on wsl-init 'case $PATH in */mnt/c/*) ;; *) exit 1 ;; esac'
		# A check of the user's own, which every run makes: what movein starts does not.
		on wsl-init 'mkdir -p ~/.config/movein; printf "[[verify]]\nname = \"no Windows\"\nrun = [\"sh\", \"-c\", \"case \$PATH in */mnt/*) exit 1;; esac\"]\n" >~/.config/movein/movein.toml'
		;;
	nixos-like) host "$kind" "$kind" && SYSTEM=$(system "$kind") ;;
	aarch64)
		of_arm64
		host aarch64 aarch64
		ok "aarch64: the host is one" [ "$(on aarch64 'uname -m')" = aarch64 ]
		;;
	*) host "$kind" "$kind" ;;
	esac
	life "$kind"
	case $kind in
	nixos-like) ok "$kind: nothing of the system was touched" diff <(echo "$SYSTEM") <(system "$kind") ;;
	wsl-init)
		as_root "$kind" '/bin/sh /var/lib/movein/nix-daemon; /bin/sh /var/lib/movein/nix-daemon'
		ok "$kind: there is one keeper and one daemon" [ "$(daemons "$kind")" = '1 1' ]
		as_root "$kind" 'kill -9 $(pgrep -fo "^[^ ]*nix-daemon --daemon")'
		ok "$kind: a daemon that was killed is started again" until_ok on "$kind" "$ANSWERS"
		again "$kind"
		ok "$kind: the daemon starts with WSL" until_ok on "$kind" "$ANSWERS"
		settled "$kind"
		;;
	alpine-like) again "$kind" && ok "$kind: the daemon starts with the host" until_ok on "$kind" "$ANSWERS" && settled "$kind" ;;
	esac
	lab rm "$SCENARIO-$kind"
done

# The power fails at ten moments of a life on WSL, and the same command goes on each time.
if [[ " $KINDS " == *' wsl '* ]]; then
	host cut wsl
	for ((n = 1; n <= ${CUTS:-10}; n++)); do
		lab exec "$SCENARIO-cut" --env "MOVEIN_NIX_VERSION=$NIX_VERSION" --env "MOVEIN_NIX_SHA256=$NIX_SHA256" --cut-after "$((RANDOM % 3)).$((RANDOM % 10))" "$RUN starter" >/dev/null 2>&1 || true
		lab cut "$SCENARIO-cut" 2>/dev/null || true
		boot cut
		as_root cut '[ ! -d /run/systemd/system ] || timeout 60 systemctl is-system-running --wait || true' >/dev/null
	done
	on cut "$RUN starter" >/dev/null 2>&1 || again cut
	exits 0 on cut "$RUN starter"
	ok "cut: systemd runs" on cut '[ -d /run/systemd/system ]'
	settled cut
fi
figure platforms "$CHECKS" checks
