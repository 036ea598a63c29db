#!/usr/bin/env bash
# From starting a host again to an applied home: a run that goes on by itself, beside somebody who waits for the host and
# types the command again at once, in turn, on identical hosts. (WSL: a step of theirs needs the restart.)
. "$(dirname "$0")/../scenarios/lib.sh"
. "$(dirname "$0")/../lib/bench.sh"
WORK=$(mktemp -d "$HOSTLAB_WORK/$SCENARIO-XXXXXX")
trap 'clean "$WORK"' EXIT
"$LAB/hosts/make-host" wsl >"$HOSTLAB_WORK/hosts.log" 2>&1 || die "building hosts: see $HOSTLAB_WORK/hosts.log"

# again WHO: the host is started again; from now on it counts.
again() {
	lab stop "$SCENARIO-$1"
	began=$EPOCHREALTIME
	boot "$1"
}
took() { awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { print (b - a) * 1000 }' >>"$WORK/$1"; }
for ((i = 0; i < ${PAIRS:-3}; i++)); do
	for who in ours rival; do host $who wsl; done
	exits 75 on rival '/run/lab/movein apply starter'
	exits 75 on ours '/run/lab/movein apply starter --reboot'
	again ours
	as_root ours 'for _ in $(seq 600); do [ -e /var/lib/movein/resume.json ] || exit 0; sleep 0.05; done; exit 1' || die "the run does not go on"
	took ours
	again rival
	exits 0 on rival '/run/lab/movein apply starter'
	took rival
	exits 0 on ours '/run/lab/movein apply --json'
	[[ $(summary changed) == false ]] || die "the run that went on left something"
	for who in ours rival; do lab rm "$SCENARIO-$who"; done
done
ours=$(median "$WORK/ours") rival=$(median "$WORK/rival")
figure resume-after-reboot "$ours" ms ratio "$(ratio "$ours" "$rival")" vs "typing the command again ($rival ms)"
