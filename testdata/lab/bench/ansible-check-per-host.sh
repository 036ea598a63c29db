#!/usr/bin/env bash
# A check that finds nothing to do, for each of 1, 5 and 12 hosts: beside Ansible's ping, and beside a role of ten tasks.
. "$(dirname "$0")/../scenarios/lib.sh"
WORK=$(mktemp -d "$HOSTLAB_WORK/bench-ansible-XXXXXX")
trap 'clean "$WORK"' EXIT
. "$LAB/lib/fleet.sh"
. "$LAB/lib/bench.sh"
SIZES=${SIZES:-1 5 12} ROUNDS=${ROUNDS:-3}
fleet_setup debian
printf -- '- hosts: all\n  gather_facts: false\n  tasks:\n    - name: Nothing\n      ansible.builtin.meta: noop\n' >"$WORK/empty.yml"
printf -- '- hosts: all\n  gather_facts: false\n  become: true\n  tasks:\n    - name: Ping\n      ansible.builtin.ping:\n' >"$WORK/ping.yml"
printf -- '- hosts: all\n  gather_facts: false\n  become: true\n  roles:\n    - %s\n' "$LAB/lib/role10" >"$WORK/role.yml"
for ((i = 0; i < ${SIZES##* }; i++)); do member "h$i" debian movein_host=debian; done
inventory
play movein.home.bootstrap -e "movein_home_repo=$HOME_REPO"
((CODE == 0)) || { printf '%s\n' "$OUT" >&2 && die "moving in"; }
play role.yml
((CODE == 0)) || { printf '%s\n' "$OUT" >&2 && die "the role"; }

# timed NAME PLAY...: its milliseconds, to $WORK/NAME; it must change nothing.
timed() {
	local began=$EPOCHREALTIME ended
	play "${@:2}"
	ended=$EPOCHREALTIME
	((CODE == 0)) && ! grep -q 'changed=[1-9]' <<<"$OUT" || { printf '%s\n' "$OUT" >&2 && die "$1"; }
	echo $(((${ended/./} - ${began/./}) / 1000)) >>"$WORK/$1"
}
for n in $SIZES; do
	inventory "${FLEET[@]:0:n}"
	rm -f "$WORK"/{empty,ping,check,role}
	for ((i = 0; i < ROUNDS; i++)); do
		timed empty empty.yml
		timed ping ping.yml
		timed check movein.home.bootstrap --check
		timed role role.yml
	done
	# Of each host, without what an empty play takes.
	per_host() { awk -v a="$(median "$WORK/$1")" -v e="$(median "$WORK/empty")" -v n="$n" 'BEGIN { printf "%.0f", (a - e) / n }'; }
	check=$(per_host check) ping=$(per_host ping) role=$(per_host role)
	figure ansible-check-per-host "$check" ms "at $n hosts ratio" "$(ratio "$check" "$ping")" "vs ping ($ping ms), $(ratio "$check" "$role") vs a role of ten tasks ($role ms)"
done
