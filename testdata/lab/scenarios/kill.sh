#!/usr/bin/env bash
# Kill -9 of movein at KILLS random moments of a fresh run, and power cuts at CUTS: a rerun comes to the same tree.
. "$(dirname "$0")/lib.sh"
KILLS=${KILLS:-40} CUTS=${CUTS:-10} SEED=${SEED:-$$}
RANDOM=$SEED
echo "KILLS=$KILLS CUTS=$CUTS SEED=$SEED"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"; clean' EXIT

# tree NAME: everything that a run makes: names, types, modes, owners, links; what the
# database knows; the accounts. Not in it: what Nix makes and leaves as it likes
# (locks, logs, its caches), and times.
tree() {
	# shellcheck disable=SC2016 # expanded in the host
	as_root "$1" 'set -e
		find /nix/store /nix/var/nix/profiles /nix/var/nix/gcroots/per-user /etc/nix /etc/systemd/system /etc/profile.d /home/mitsio \
			\( -path /home/mitsio/.cache -o -path /home/mitsio/.local/state/movein/journal.json -o -path /home/mitsio/.local/share/nix \
			-o -name .git -o -path /nix/store/.links -o -name "*.lock" -o -name ".bash_history" \) -prune \
			-o -printf "%y %m %u:%g %p %l\n" | sort
		ls -A /nix
		grep -h nixbld /etc/passwd /etc/group | sort
		/nix/var/nix/profiles/default/bin/nix-store --dump-db | sort
		cat /etc/nix/nix.conf /etc/nix/movein.conf /etc/systemd/system/nix-daemon.*
		find /nix/store -type f -exec sha256sum {} + | sort | sha256sum'
}

# converges NAME WHAT: a rerun ends well and comes to the tree of the undisturbed
# run, and the run after it changes nothing.
converges() {
	exits 0 on "$1" "/run/lab/movein apply $HOME_REPO --json"
	tree "$1" >"$WORK/$1"
	diff -u "$WORK/reference" "$WORK/$1" >"$WORK/diff" || { cat "$WORK/diff" >&2 && die "$2: another tree"; }
	exits 0 on "$1" '/run/lab/movein apply --json'
	[[ $(summary changed) == false ]] || die "$2: the run after it changes something"
	CHECKS=$((CHECKS + 1))
}

host reference debian
start=$EPOCHREALTIME
exits 0 on reference "/run/lab/movein apply $HOME_REPO --json"
whole=$((${EPOCHREALTIME/./} - ${start/./})) # microseconds
tree reference >"$WORK/reference"
echo "an undisturbed run: $((whole / 1000)) ms, $(wc -l <"$WORK/reference") lines of tree"
lab rm "$SCENARIO-reference"

# moment: a random one of a run, in seconds.
moment() { awk -v us="$whole" -v r="$RANDOM" 'BEGIN { printf "%.3f", us / 1e6 * r / 32768 }'; }

for ((i = 1; i <= KILLS; i++)); do
	at=$(moment)
	host k debian
	# The root half is not killed: it has to notice by itself.
	on k "/run/lab/movein apply $HOME_REPO >/dev/null 2>&1 & pid=\$!; sleep $at; kill -9 \$pid; wait \$pid" >/dev/null 2>&1 || true
	converges k "killed at $at s"
	echo "ok  killed at $at s"
	lab rm "$SCENARIO-k"
done
for ((i = 1; i <= CUTS; i++)); do
	at=$(moment)
	host c debian
	on c --cut-after "$at" "/run/lab/movein apply $HOME_REPO" >/dev/null 2>&1 || true
	lab cut "$SCENARIO-c" 2>/dev/null || true # if the run was faster
	boot c
	converges c "power cut at $at s"
	echo "ok  power cut at $at s"
	lab rm "$SCENARIO-c"
done
figure kill "$CHECKS" "moments, each to the tree of an undisturbed run"
