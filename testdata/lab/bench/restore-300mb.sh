#!/usr/bin/env bash
# Giving back a file of 300 MB that a run replaced, beside "cp --archive" and a sync of it, in turn.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/../scenarios/lib.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$LAB/lib/home.sh"
hm .big
cz dot_config/small
publish
host a debian --ro "$CHEZMOI:/usr/local/bin/chezmoi"
on a 'head -c 300000000 /dev/urandom >~/.big; cp ~/.big ~/.copy'
for ((i = 0; i < ${PAIRS:-5}; i++)); do
	exits 0 on a "$APPLY --json"
	times=$(on a 'export LC_ALL=C
		one() { local s=$EPOCHREALTIME e; "${@:2}" >/dev/null || exit 1; e=$EPOCHREALTIME; echo "$1 $(((${e/./} - ${s/./})))"; }
		rival() { cp --archive ~/.copy ~/.given && sync ~/.given; }
		one rival rival && rm ~/.given && one ours /run/lab/movein backups restore && cmp ~/.big ~/.copy') || die "restoring: $times"
	awk '$1 == "ours" { print $2 / 1000 }' <<<"$times" >>"$WORK/ours"
	awk '$1 == "rival" { print $2 / 1000 }' <<<"$times" >>"$WORK/rival"
done
ours=$(median "$WORK/ours") rival=$(median "$WORK/rival")
figure restore-300mb "$ours" ms ratio "$(ratio "$ours" "$rival")" vs "cp --archive and sync ($rival ms)"
