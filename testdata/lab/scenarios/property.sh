#!/usr/bin/env bash
# CASES random homes, generations and dotfiles (default 50): apply changes exactly what plan named, a second one nothing, and backups restore gives back what was there; what is refused says so in the plan and changes nothing.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"
CASES=${1:-${CASES:-50}}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "seed $SEED" # case N alone: SEED=$((SEED + N)) CASES=1

# reset: the home is again as before the first case.
reset() { as_root a 'rm -rf /home/mitsio && cp -a /var/saved /home/mitsio'; }

# want SEED: random generation, dotfiles and settings are what is wanted now.
want() {
	rm -rf "$WORK/flake/files" "$WORK/dotfiles"
	mkdir -p "$WORK/flake/files" "$WORK/dotfiles"
	"$LAB/lib/random" "$1" wanted "$WORK/flake" "$WORK/dotfiles" >"$WORK/movein.toml"
	publish
	on a "mkdir -p ~/.config/movein; printf %s $(printf %q "$(<"$WORK/movein.toml")") >~/.config/movein/movein.toml"
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
	die "seed $((SEED + CASE)), $CHANGE change: $*"
}

# promise: all of them, of what is wanted now in the home as it is. After the first change it is
# applied, unless it was refused.
promise() {
	: >"$WORK/plan"
	run on a "$APPLY --only home-build,dotfiles-repo --json"
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
		printf '%s\n' "$OUT" | grep -m 1 -A 1 '^  ✗' | tail -n1 >>"$WORK/refused"
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

# one: a case, which is two changes, one after the other.
one() {
	local number=$(((SEED + CASE) * 2))
	((CASE == 0)) || reset
	for CHANGE in first second; do
		on a "/run/lab/random $number home"
		want "$number"
		promise
		number=$((number + 1))
	done
}

hm .always always
cz dot_always
publish
host a debian --ro "$CHEZMOI:/usr/local/bin/chezmoi" --ro "$LAB/lib/random:/run/lab/random"
exits 0 on a "$APPLY --only home-build,dotfiles-repo --json"
as_root a 'cp -a /home/mitsio /var/saved && sync'
failed=()
touch "$WORK/changes" "$WORK/refused"
for ((CASE = 0; CASE < CASES; CASE++)); do
	set +e # a subshell that is tested would not stop at what fails
	(set -e && one)
	status=$?
	set -e
	((status == 0)) || failed+=($((SEED + CASE)))
	echo "case $CASE: exit code $status"
done
((${#failed[@]} == 0)) || die "these seeds failed: ${failed[*]}"
changes=$(wc -l <"$WORK/changes") refused=$(wc -l <"$WORK/refused")
sort "$WORK/refused" | uniq -c
((refused * 3 < changes)) || die "seed $SEED: $refused refused, $changes not"
[[ -z $(left a) ]] || die "a movein still runs"
figure property "$CASES" "cases: $changes changes of $(awk '{ n += $1 } END { print n }' "$WORK/changes") paths, $refused more refused"
