#!/usr/bin/env bash
# A change of a home with everything in it that tools trip over, killed at each of its boundaries and KILLS random moments (default 100) and cut from power CUTS times (default 10): the next run makes the home wholly new, one that fails wholly old, and the first backup has every byte of before.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"
KILLS=${1:-${KILLS:-100}} CUTS=${2:-${CUTS:-10}} JOBS=${JOBS:-2}
RANDOM=${SEED:=$RANDOM}
echo "seed $SEED"

# Conditions for perl, in the order in which they come true while a run changes the home:
# each write of the journal and of the change's record, and what is done between two of them.
FORTH=(journal-applying backup-begun backup-sealed record-written something-taken-away unfolded chezmoi-began chezmoi-ended
	held-begun held-sealed held-recorded held-away activating profile-set current-home first-link held-linked held-back
	outcome-written record-gone journal-changed)
# And while one that goes wrong takes it back.
BACK=(going-back given-back profile-gone way-gone journal-failed)
declare -A BOUNDARY=(
	[journal-applying]='step("applying")'
	[backup-begun]='glob "$s/backups/.new-*"'
	[backup-sealed]='glob "$s/backups/2*"'
	[record-written]='$seen'
	[something-taken-away]='!-e ".config/folded/deep/other" || !-l ".config/folded"'
	[unfolded]='-d ".config/folded" && !-l ".config/folded"'
	[chezmoi-began]='-f ".config/host"'
	[chezmoi-ended]='(readlink(".to-link") // "") eq "/etc/hostname"'
	[held-begun]='$seen && glob "$s/backups/.new-*"'
	[held-sealed]='$seen && 1 < (() = glob "$s/backups/2*")'
	[held-recorded]='text("$s/change.json") =~ /"held"/'
	[held-away]='text("$s/change.json") =~ /"held"/ && !-e ".config/both" && !-l ".config/both"'
	[activating]='text("$s/change.json") =~ /"activating"/'
	[profile-set]='-l ".local/state/nix/profiles/home-manager"'
	[current-home]='-l ".local/state/home-manager/gcroots/current-home"'
	[first-link]='-l ".config/plain" || -l ".big" || -l ".config/equal" || -l ".config/fifo"'
	[held-linked]='-l ".config/both"'
	[held-back]='text("$s/change.json") =~ /"activating"/ && ($linked ||= -l ".config/both") && -f ".config/both" && !-l ".config/both"'
	[outcome-written]='glob "$s/backups/2*/outcome.json"'
	[record-gone]='$seen && !-e "$s/change.json"'
	[journal-changed]='$seen && step("changed")'
	[going-back]='text("$s/change.json") =~ /"back"/'
	[given-back]='text("$s/change.json") =~ /"back"/ && -l ".config/folded"'
	[profile-gone]='text("$s/change.json") =~ /"back"/ && !-l ".local/state/nix/profiles/home-manager"'
	[way-gone]='$seen && !-e "$s/change.json"'
	[journal-failed]='step("failed")'
)
# KILL, for the shell of the host: kill WHOM as soon as CONDITION is true while $pid runs.
KILL='perl -e '\''
	use strict; chdir; my ($s, $seen, $linked, $pid, $whom) = (".local/state/movein", 0, 0, @ARGV);
	sub text { open my $f, "<", shift or return ""; local $/; <$f> // "" }
	sub step { text("$s/journal.json") =~ /"home-activate": \{\s*"status": "$_[0]"/ }
	while (kill 0, $pid) { $seen ||= -e "$s/change.json"; if (CONDITION) { kill KILL => $whom; last } }
'\'' $pid'

# undo: the home is again as it was before the first try, on disk too.
undo() { as_root w 'rm -rf /home/mitsio && cp -a /var/saved /home/mitsio && rm -f /tmp/fail && sync'; }

# worker N: prepares a host, and does every try that is N's.
worker() {
	local i=0 line
	SCENARIO=$SCENARIO-$1
	host w debian
	on w "REAL=100000; $PLANT truncate -s 150000 .big
		echo mine >.config/both; mkdir .config/movein; printf '[ownership]\n\".config/both\" = \"chezmoi\"\n' >.config/movein/movein.toml" # and nothing of root's, which a user could not give back
	exits 0 on w "$APPLY --only home-build,chezmoi-fetch --json"
	as_root w 'cp -a /home/mitsio /var/saved && sync'
	home w >"$WORK/old.$1"
	exits 0 on w '/run/lab/movein apply --json'
	local ms
	ms=$(summary duration_ms)
	home w >"$WORK/new.$1"
	echo "an undisturbed change takes $ms ms"
	while read -r line; do
		((i++ % JOBS == $1)) || continue
		# shellcheck disable=SC2086 # words
		try "$1" "$ms" $line || die "at $line"
		echo "ok  $line: exit code $CODE, $AFTER"
	done <"$WORK/tries"
}

# try WORKER MS HOW WHAT NEXT: one try. HOW: "boundary NAME", "back NAME" of a run that goes
# wrong, "kill PERMILLE", "cut PERMILLE". NEXT: the next run "works" or "fails".
try() {
	local n=$1 how=$3 what=$4 next=$5 ms first whom='-$pid'
	undo
	CODE=0
	ms=0
	[[ $what == *[a-z]* ]] || ms=$(($2 * what / 1000))
	((RANDOM % 2)) || whom='$pid' # its children live on for a moment
	case $how in
	boundary | back)
		[[ $how != back ]] || on w 'touch /tmp/fail'
		on w "cd; setsid /run/lab/movein apply --json >/var/tmp/first 2>&1 & pid=\$!; ${KILL/CONDITION/"${BOUNDARY[$what]}"} $whom; wait \$pid; code=\$?; rm -f /tmp/fail; exit \$code" >/dev/null 2>&1 || CODE=$?
		;;
	kill)
		on w "cd; setsid /run/lab/movein apply --json >/var/tmp/first 2>&1 & pid=\$!; sleep $((ms / 1000)).$(printf %03d $((ms % 1000))); kill -KILL -- $whom; wait \$pid" >/dev/null 2>&1 || CODE=$?
		;;
	cut)
		on w --cut-after "$((ms / 1000)).$(printf %03d $((ms % 1000)))" '/run/lab/movein apply --json >/var/tmp/first 2>&1' >/dev/null 2>&1 || CODE=$?
		((CODE != 137)) || boot w
		;;
	esac
	((CODE != 137)) || echo "$how" >>"$WORK/hits"
	AFTER='wholly new'
	if [[ $next == fails ]]; then
		local status=0
		on w 'touch /tmp/fail'
		OUT=$(on w '/run/lab/movein apply' 2>&1) || status=$?
		home w >"$WORK/now.$n"
		case $status in
		0) same "$WORK/new.$n" "$WORK/now.$n" || return 1 ;; # it was done before
		1)
			AFTER='wholly old, then new'
			same "$WORK/old.$n" "$WORK/now.$n" || { printf '%s\n' "$OUT" >&2 && return 1; }
			on w '[ ! -e ~/.local/state/nix/profiles/home-manager ] && [ ! -e ~/.local/state/movein/change.json ]' || die "a failing run left its generation or its record"
			;;
		*) printf '%s\n' "$OUT" >&2 && die "exit code $status of a failing run" ;;
		esac
		on w 'rm /tmp/fail'
	fi
	exits 0 on w '/run/lab/movein apply --json'
	home w >"$WORK/now.$n"
	same "$WORK/new.$n" "$WORK/now.$n" || die "the home is not wholly new"
	exits 0 on w '/run/lab/movein apply --json'
	[[ $(summary changed) == false ]] || die "the run after it changes something"
	[[ -z $(left w) ]] || die "a movein still runs"
	first=$(on w 'ls ~/.local/state/movein/backups | head -n1')
	exits 0 on w "/run/lab/movein backups restore $first"
	home w >"$WORK/now.$n"
	"$LAB/lib/snap" diff "$WORK/old.$n" "$WORK/now.$n" >"$WORK/lost.$n"
	nothing "$(<"$WORK/lost.$n")" || die "the first backup does not give everything back"
}

# same WANT HAVE: trees are the same, but for times: what is new was written now.
same() {
	nothing "$("$LAB/lib/snap" diff <(awk -F'\t' -v OFS='\t' '{ $6 = 0; print }' "$1") <(awk -F'\t' -v OFS='\t' '{ $6 = 0; print }' "$2"))"
}

claims
hm .config/both
cz dot_config/both
echo '[ ! -e /tmp/fail ] || { echo "told to fail" >&2; exit 3; }' >>"$WORK/flake/activation/hook"
publish
nexts=(works fails)
i=0
for name in "${FORTH[@]/#/boundary }" "${BACK[@]/#/back }"; do
	# Each both ways; a few for who has little time.
	if ((KILLS >= 20)); then
		echo "$name works"
		echo "$name fails"
	else
		echo "$name ${nexts[$((++i % 2))]}"
	fi
done >"$WORK/tries"
for ((i = 0; i < KILLS + CUTS; i++)); do
	echo "$( ((i < KILLS)) && echo kill || echo cut) $(((RANDOM * 32768 + RANDOM) % 1000)) ${nexts[$((RANDOM % 2))]}"
done >>"$WORK/tries"
for ((n = 0; n < JOBS; n++)); do
	(trap clean EXIT && worker "$n") >"$WORK/log.$n" 2>&1 || { echo "$n" >>"$WORK/failed"; } &
done
wait
cat "$WORK"/log.*
[[ ! -f $WORK/failed ]] || die "seed $SEED: a try failed"
figure kill-home "$(wc -l <"$WORK/hits")" "of $(wc -l <"$WORK/tries") runs cut short"
