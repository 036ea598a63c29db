#!/usr/bin/env bash
# Killed at random moments (KILLS, default 40) and cut from power (CUTS, default 10) in a fresh run: the next run makes the host as an undisturbed one does, the one after changes nothing.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
KILLS=${1:-${KILLS:-40}} CUTS=${2:-${CUTS:-10}} JOBS=${JOBS:-2}
RANDOM=${SEED:=$RANDOM}
echo "seed $SEED"
declare -A START=([user]='/run/lab/movein apply' [root]='/run/lab/movein apply --user mitsio')
declare -A AS=([user]=on [root]=as_root)
WORK=$(mktemp -d "$HOSTLAB_WORK/kill-XXXXXX")
trap 'clean "$WORK"' EXIT

# undisturbed WHO: a whole run, for its tree and for how long it takes, in $WORK/D.
undisturbed() {
	host "$1" debian
	exits 0 "${AS[$1]}" "$1" "${START[$1]} $HOME_REPO --json"
	summary duration_ms >>"$WORK/D"
	tree "$1" >"$WORK/tree.$1"
}

# hit MS WHO WHOM: a fresh run that WHO starts; after MS milliseconds SIGKILL for its
# main process, for the other half, or for all of its processes at once.
hit() {
	local kill
	case $3 in
	main) kill='kill -KILL $pid' ;;
	other) kill='sudo pkill -KILL --full "^/run/lab/movein _half"' ;;
	all) kill='sudo pkill -KILL --full "^/run/lab/movein"' ;;
	esac
	"${AS[$2]}" try "${START[$2]} $HOME_REPO --json >/var/tmp/first 2>&1 & pid=\$!
		sleep $(($1 / 1000)).$(printf %03d $(($1 % 1000))); $kill; code=0; wait \$pid || code=\$?; exit \$code" >/dev/null 2>&1 || CODE=$?
}

# mended: what holds after a run that was cut short.
mended() {
	exits 0 on try "/run/lab/movein apply $HOME_REPO --json"
	diff "$WORK/tree.user" <(tree try) >&2 || die "the host is not as an undisturbed run leaves it"
	[[ -z $(left try) ]] || die "a movein still runs: $(left try)"
	exits 0 on try '/run/lab/movein apply --json'
	[[ $(summary changed) == false ]] || die "the run after it changes something: $(printf '%s\n' "$OUT" | grep '"status":"changed"')"
	diff "$WORK/tree.user" <(tree try) >&2 || die "a run that changes nothing changed something"
}

# try_ N MS HOW [WHO WHOM]: one try, on a host of its own. A run that had ended before
# its moment came is tried again at an earlier one.
try_() {
	local CODE=0 ms=$2 times=0
	SCENARIO=$SCENARIO-$1
	while :; do
		host try debian
		case $3 in
		kill) hit "$ms" "$4" "$5" ;;
		cut)
			on try --cut-after "$((ms / 1000)).$(printf %03d $((ms % 1000)))" "/run/lab/movein apply $HOME_REPO --json >/var/tmp/first 2>&1" >/dev/null 2>&1 || CODE=$?
			((CODE != 137)) || boot try
			;;
		esac
		echo "at $ms ms: $3 ${5:-} of a run by ${4:-user}: exit code $CODE"
		((CODE == 0 && ++times < 4)) || break
		ms=$((ms * 3 / 4))
	done
	as_root try 'cat /var/tmp/first 2>/dev/null' || true # for whoever reads the log of a try that failed
	((CODE == 0)) || echo hit >>"$WORK/hits"
	mended
}

# one N MS HOW…: a try in a process of its own. One that fails is told at once and counted.
one() {
	if (trap clean EXIT && try_ "$@") >"$WORK/log.$1" 2>&1; then
		echo "ok  $1 $(grep --text "^at " "$WORK/log.$1" | tail -n1)"
	else
		echo "$1" >>"$WORK/failed"
		sed "s/^/    /" "$WORK/log.$1"
	fi
}

(trap clean EXIT && undisturbed user) &
(trap clean EXIT && undisturbed root) &
wait %1 && wait %2
ok "it is all the same who starts an undisturbed run" diff "$WORK/tree.user" "$WORK/tree.root"
D=$(sort -n "$WORK/D" | tail -n1)
echo "a run takes $D ms, and leaves $(wc -l <"$WORK/tree.user") things"

who=(user user user root root root) whom=(main all other)
for ((i = 0; i < KILLS + CUTS; i++)); do
	ms=$(((RANDOM * 32768 + RANDOM) % D))
	while (($(jobs -rp | wc -l) >= JOBS)); do wait -n || true; done
	if ((i < KILLS)); then
		one "$i" "$ms" kill "${who[i % 6]}" "${whom[i % 3]}" &
	else
		one "$i" "$ms" cut &
	fi
done
wait
[[ ! -f $WORK/failed ]] || while read -r n; do tail -n 4 "$WORK/log.$n"; done <"$WORK/failed"
[[ ! -f $WORK/failed ]] || die "seed $SEED: $(wc -l <"$WORK/failed") of $((KILLS + CUTS)) tries failed: $(sort -n "$WORK/failed" | xargs)"
figure kill "$(wc -l <"$WORK/hits")" "of $((KILLS + CUTS)) runs cut short"
