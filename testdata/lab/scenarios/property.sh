#!/usr/bin/env bash
# CASES changes of random homes to random generations and dotfiles (default 50): apply changes exactly what plan named, a second one nothing, and backups restore gives back what was there. What is refused says so in the plan, changes nothing and is no case.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"
CASES=${1:-${CASES:-50}}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "seed $SEED" # what seed N has found: SEED=N CASES=1

# reset: the home is again as before the first case.
reset() { as_root a 'rm -rf /home/mitsio && cp -a /var/saved /home/mitsio'; }

# want SEED: random generation and dotfiles, and settings for them, are what is wanted of the
# home, to which something has happened.
want() {
	rm -rf "$WORK/flake/files" "$WORK/dotfiles"
	mkdir -p "$WORK/flake/files" "$WORK/dotfiles"
	"$LAB/lib/random" "$1" wanted "$WORK/flake" "$WORK/dotfiles" >"$WORK/movein.toml"
	publish
	on a "/run/lab/random $1 home && mkdir -p ~/.config/movein && printf %s $(printf %q "$(<"$WORK/movein.toml")") >~/.config/movein/movein.toml && $APPLY --only home-build,dotfiles-repo --json"
}

# run COMMAND...: its exit code is in $CODE, its output in $OUT.
run() {
	CODE=0
	OUT=$("$@" 2>&1) || CODE=$?
}

# same WHAT TREE FILTER: home a is TREE, seen through FILTER.
same() {
	home a >"$WORK/now"
	nothing "$("$LAB/lib/snap" diff <("$3" "$2") <("$3" "$WORK/now"))" || fail "$1"
}
whole() { cat "$1"; }
timeless() { awk -F'\t' -v OFS='\t' '{ $6 = 0; print }' "$1"; }

fail() {
	printf '%s\n' "$OUT" | grep -v '^{' >&2
	printf -- '-- plan:\n%s\n-- settings:\n%s\n' "$(<"$WORK/plan")" "$(<"$WORK/movein.toml")" >&2
	die "seed $seed, $CHANGE change: $*"
}

# promise SEED: all of them, of one change. After it the home is changed, or as it was before
# if it is the second.
promise() {
	: >"$WORK/plan"
	run want "$1"
	((CODE == 0)) || fail "exit code $CODE of the build"
	home a >"$WORK/before"
	run on a '/run/lab/movein plan --json'
	local planned=$CODE
	printf '%s\n' "$OUT" | "$LAB/lib/snap" plan | sort >"$WORK/plan"
	same "plan changed something" "$WORK/before" whole
	run on a '/run/lab/movein apply --json'
	((CODE == planned)) || fail "exit code $CODE of apply, but $planned of plan"
	if ((CODE == 73)); then
		same "something was refused, and something changed" "$WORK/before" whole
		awk '/^  ✗/ && !n++ { getline; print }' <<<"$OUT" >>"$WORK/refused"
		return
	fi
	((CODE == 0)) || fail "exit code $CODE"
	wc -l <"$WORK/plan" >>"$WORK/changes"
	home a >"$WORK/applied"
	moved "$WORK/before" "$WORK/applied" >"$WORK/moved"
	covers "$WORK/plan" "$WORK/moved" || fail "apply changed something else than plan named"
	run on a '/run/lab/movein apply --json'
	[[ $CODE == 0 && $(summary changed) == false ]] || fail "a second apply changed something, exit code $CODE"
	same "a second apply changed something" "$WORK/applied" whole
	[[ -s $WORK/moved ]] || return 0
	run on a '/run/lab/movein backups restore'
	((CODE == 0)) || fail "exit code $CODE of the restore"
	same "restore did not give everything back" "$WORK/before" whole
	[[ $CHANGE == first ]] || return 0
	run on a '/run/lab/movein apply --json'
	((CODE == 0)) || fail "exit code $CODE of the apply after the restore"
	same "the apply after the restore is another" "$WORK/applied" timeless
}

hm .always always
cz dot_sometimes
publish
host a debian --ro "$CHEZMOI:/usr/local/bin/chezmoi" --ro "$LAB/lib/random:/run/lab/random"
exits 0 on a "$APPLY --only home-build,dotfiles-repo --json"
as_root a 'cp -a /home/mitsio /var/saved && sync'
failed=()
touch "$WORK/changes" "$WORK/refused"
for ((seed = SEED; seed < SEED + CASES + 10 && $(wc -l <"$WORK/changes") < CASES; seed++)); do
	reset
	set +e # a subshell that is tested would not stop at what fails
	(
		set -e
		CHANGE=first
		promise $((2 * seed))
		CHANGE=second # of the home that the first has left
		promise $((2 * seed + 1))
	)
	status=$?
	set -e
	((status == 0)) || failed+=("$seed")
	echo "seed $seed: exit code $status"
done
((${#failed[@]} == 0)) || die "these seeds failed: ${failed[*]}"
changes=$(wc -l <"$WORK/changes") refused=$(wc -l <"$WORK/refused")
sort "$WORK/refused" | uniq -c
((changes >= CASES)) || die "seed $SEED: $refused refused, $changes not"
[[ -z $(left a) ]] || die "a movein still runs"
figure property "$changes" "changes of $(awk '{ n += $1 } END { print n }' "$WORK/changes") paths, $refused more refused"
