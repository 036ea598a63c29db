#!/usr/bin/env bash
# A run that changes nothing with 1000 files of chezmoi's and 300 links of home-manager's, beside "chezmoi apply" and the generation's own activation in the same run.
. "$(dirname "$0")/../scenarios/lib.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$LAB/lib/home.sh"
for ((i = 0; i < 1000; i++)); do cz "dot_config/cz-$((i % 40))/file-$i"; done
for ((i = 0; i < 300; i++)); do hm ".config/hm-$((i % 20))/file-$i"; done
publish
host a debian --ro "$CHEZMOI:/usr/local/bin/chezmoi"
exits 0 on a "$APPLY --json"
exits 0 on a '/run/lab/movein apply --json'
[[ $(summary changed) == false ]] || die "the second run changes something"
# shellcheck disable=SC2016 # expanded in the host
times=$(on a 'export LC_ALL=C; . /etc/profile.d/movein-nix.sh
	generation=$(readlink -f ~/.local/state/nix/profiles/home-manager)
	rival() { chezmoi apply --no-tty && "$generation/activate"; }
	one() { local s=$EPOCHREALTIME e; "${@:2}" >/dev/null 2>&1 || exit 1; e=$EPOCHREALTIME; echo "$1 $(((${e/./} - ${s/./})))"; }
	for i in $(seq 20); do one rival rival; done
	/run/lab/movein apply >/dev/null
	for i in $(seq 20); do one ours /run/lab/movein apply --json; done')
awk '$1 == "ours" { print $2 / 1000 }' <<<"$times" >"$WORK/ours"
awk '$1 == "rival" { print $2 / 1000 }' <<<"$times" >"$WORK/rival"
ours=$(median "$WORK/ours") rival=$(median "$WORK/rival")
figure noop-1000 "$ours" ms ratio "$(ratio "$ours" "$rival")" vs "chezmoi apply and the activation ($rival ms)"
