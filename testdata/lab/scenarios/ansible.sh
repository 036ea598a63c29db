#!/usr/bin/env bash
# Ansible moves FLEET hosts of four kinds in over ssh (default 12): check mode is exact, a rerun changes nothing, only what is damaged is mended, a reboot is gone on after, one that fails stops no other, and no secret is in a log.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
WORK=$(mktemp -d "$HOSTLAB_WORK/ansible-XXXXXX")
trap 'clean "$WORK"' EXIT
. "$LAB/lib/fleet.sh"
SIZE=${1:-${FLEET_SIZE:-12}}
KINDS=(debian wsl fedora-like wsl-systemd)
declare -A NAME_OF=([debian]=debian [wsl]=wsl-workspace [fedora-like]=fedora [wsl-systemd]=wsl-workspace)
TOKEN=token-sesame SUDO=sudo-sesame VAULT=vault-sesame

# everything NAME: all that is on a host but what Ansible and the logs leave.
everything() {
	as_root "$1" 'find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/log -o -path /nix/var/nix -o -path /var/lib/systemd -o -path "/home/*/.ansible" -o -path /root/.ansible -o -name ".#*" -o -name .sudo_as_admin_successful \) -prune -o ! -type d -printf "%p %y %m %U %G %s %T@ %l\n" -o -printf "%p %m %U %G\n" | LC_ALL=C sort'
}

# each COMMAND: COMMAND NAME, for every host.
each() {
	local name
	for name in "${FLEET[@]}"; do "$@" "$name" || die "of $name: $*"; done
}

# ended KEY VALUE [NAME]...: the recap has KEY=VALUE for the hosts, or all of them.
ended() {
	local key=$1 value=$2 name
	shift 2
	(($#)) || set -- "${FLEET[@]}"
	for name; do
		[[ $(recap "$name" "$key") == "$value" ]] || {
			printf '%s\n' "$OUT" | tail -n 40 >&2
			echo "$name: $key=$(recap "$name" "$key"), expected $value" >&2
			return 1
		}
	done
}

# restarted NAME: starts a host again once it has gone down.
restarted() {
	until [[ $(lab list | awk -v n="$SCENARIO-$1" '$1 == n { print $3 }') == stopped ]]; do sleep 0.2; done
	# Whoever on this machine began a mount namespace of its own meanwhile may hold the disk.
	for _ in {1..20}; do boot "$1" && break; done
}

# spied NAME: remembers every command line of a host that has a secret in it, until it is stopped.
spy() {
	as_root "$1" "setsid sh -c 'while [ ! -e /tmp/stop ]; do grep -al sesame /proc/[0-9]*/cmdline 2>/dev/null | while read -r f; do tr \"\\0\" \" \" <\$f >>/tmp/seen; done; done' sesame-spy >/dev/null 2>&1 </dev/null &"
}
unseen() { as_root "$1" 'touch /tmp/stop; ! grep -v sesame-spy /tmp/seen 2>/dev/null'; }

fleet_setup "${KINDS[@]}"
mkdir "$WORK/standin"
cp "$LAB/lib/standin" "$WORK/standin/movein-linux-amd64"
(cd "$WORK/standin" && sha256sum movein-linux-amd64 >SHA256SUMS)
for ((i = 0; i < SIZE; i++)); do
	kind=${KINDS[i % 4]}
	vars="movein_host=${NAME_OF[$kind]}"
	case $i in
	0) vars+=" movein_reboot=true movein_release=$WORK/standin movein_configuration=reboot" ;;
	2) vars+=" movein_release=$WORK/standin movein_configuration=password movein_password=$VAULT" ;;
	esac
	member "h$i" "$kind" "$vars"
	# WSL as it was before it had systemd, and no Python.
	[[ $kind != wsl ]] || as_root "h$i" 'rm -rf /usr/bin/python3* /usr/lib/python3*; printf "\n[boot]\nsystemd=false\n" >>/etc/wsl.conf'
done
# Of the last one sudo wants a password.
last=h$((SIZE - 1))
as_root "$last" "rm /etc/sudoers.d/mitsio && echo 'mitsio ALL=(ALL) ALL' >/etc/sudoers.d/asks && echo mitsio:$SUDO | chpasswd"
FLEET_VARS[$last]+=" ansible_become_password=$SUDO"
inventory
cp "$LAB/lib/steps.yml" "$WORK/"
repo=(-e "movein_home_repo=http://me:$TOKEN@github.com/mitsio/home-manager.git")

for name in "${FLEET[@]}"; do everything "$name" >"$WORK/fresh.$name"; done
play steps.yml --check --diff -e extension=plan "${repo[@]}"
ok "check mode: $SIZE fresh hosts would change" ended changed 1
same() { diff "$WORK/fresh.$1" <(everything "$1") >&2; }
ok "check mode changes nothing, and leaves nothing" each same

# One with a configuration that there is not.
FLEET_VARS["h1"]+=" movein_configuration=nobody@nowhere"
inventory
others=()
for name in "${FLEET[@]}"; do [[ $name == h1 ]] || others+=("$name"); done
for name in h2 "$last"; do spy "$name"; done
(trap - EXIT && restarted h0) &
began=$SECONDS
play steps.yml -vvv -e extension=apply "${repo[@]}"
took=$((SECONDS - began))
wait $!
ok "one fails" ended failed 1 h1
ok "it says why, and what to do" grep -q 'nobody@nowhere' <<<"$OUT"
ok "fresh: the others are applied, $took s" ended changed 1 "${others[@]}"
ok "and do not fail" ended failed 0 "${others[@]}"
ok "one was rebooted on the way" grep -q '"rebooted": true' <<<"$OUT"
ok "the password came through" as_root h2 "[ \"\$(cut -c1-64 /var/lib/standin)\" = $(sha256sum <<<"$VAULT" | cut -c1-64) ]"
secret() { ! grep -n "$TOKEN\|$SUDO\|$VAULT" <<<"$OUT" >&2; }
ok "no secret is in the log, at -vvv" secret
ok "nor on a command line of a host" unseen h2
ok "nor of another, where sudo asks" unseen "$last"
# Where all is new there is something to verify; that it holds changes nothing.
exact() { [[ $1 == h[012] ]] || diff <(grep -v '^verify$' "$WORK/$1.plan") "$WORK/$1.apply" >&2; }
ok "check mode named exactly the steps that changed" each exact
own() { on "$1" '[ -z "$(find ~ -uid 0 -print -quit)" ]'; }
ok "nothing in a home is root's" each own

FLEET_VARS["h0"]=${FLEET_VARS["h0"]/movein_configuration=reboot/}
FLEET_VARS["h1"]=${FLEET_VARS["h1"]/movein_configuration=nobody@nowhere/}
FLEET_VARS["h2"]=${FLEET_VARS["h2"]/movein_configuration=password movein_password=$VAULT/}
inventory
play movein.home.bootstrap
ok "the one that failed is applied" ended changed 1 h1
ok "again: nothing is changed" ended changed 0 "${others[@]}"
play movein.home.bootstrap
ok "again: nothing is changed anywhere" ended changed 0

on h2 'rm ~/.config/hostlab/host'
for name in "${FLEET[@]}"; do everything "$name" >"$WORK/fresh.$name"; done
# The last one is not to be reached.
FLEET_VARS[$last]+=" ansible_user=stranger"
inventory
play movein.home.check -e "movein_local=$MOVEIN" -e "movein_report=$WORK/report"
ok "the report: one drifted" ended changed 1 h2
ok "one is unreachable" ended unreachable 1 "$last"
ok "and the table says so" grep -q "$SIZE homes: 1 failed, 1 drifted, $((SIZE - 2)) in sync" <<<"$OUT"
ok "and the page" grep -q "<title>movein: $SIZE homes: 1 failed, 1 drifted, $((SIZE - 2)) in sync" "$WORK/report/index.html"
ok "a report changes nothing" each same
FLEET_VARS[$last]=${FLEET_VARS[$last]/ansible_user=stranger/}
inventory
play movein.home.bootstrap --check
ok "one is damaged: check mode says so" ended changed 1 h2
play movein.home.bootstrap
ok "only that one is changed" ended changed 1 h2
others=()
for name in "${FLEET[@]}"; do [[ $name == h2 ]] || others+=("$name"); done
ok "and no other" ended changed 0 "${others[@]}"

FLEET_VARS["h0"]+=" movein_configuration=nobody@nowhere"
inventory
play movein.home.update
ok "an update stops at a canary that fails" ended failed 1 h0
ok "before any other" [ -z "$(recap h1 ok)" ]
FLEET_VARS["h0"]=${FLEET_VARS["h0"]/movein_configuration=nobody@nowhere/}
inventory
play movein.home.update
ok "an update goes over all" ended changed 0
figure ansible "$CHECKS" checks
