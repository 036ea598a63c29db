#!/usr/bin/env bash
# A run that changes nothing, beside a bare "nix eval" of the same attribute in the same run.
. "$(dirname "$0")/../scenarios/lib.sh"
. "$(dirname "$0")/../lib/bench.sh"
host a debian
exits 0 on a "/run/lab/movein apply $HOME_REPO --json"
# shellcheck disable=SC2016 # expanded in the host
times=$(on a 'export LC_ALL=C
	nix=/nix/var/nix/profiles/default/bin/nix
	flake="git+file://$HOME/.config/home-manager?shallow=1#homeConfigurations.\"mitsio@$(hostname)\".activationPackage.outPath"
	one() { local s=$EPOCHREALTIME e; "${@:2}" >/dev/null 2>&1 || exit 1; e=$EPOCHREALTIME; echo "$1 $(((${e/./} - ${s/./})))"; }
	for i in $(seq 20); do
		one ours /run/lab/movein apply --json
		one rival $nix --extra-experimental-features "nix-command flakes" eval --raw "$flake"
	done')
dir=$(mktemp -d)
awk '$1 == "ours" { print $2 / 1000 }' <<<"$times" >"$dir/ours"
awk '$1 == "rival" { print $2 / 1000 }' <<<"$times" >"$dir/rival"
ours=$(median "$dir/ours") rival=$(median "$dir/rival")
rm -rf "$dir"
figure noop-rerun "$ours" ms ratio "$(ratio "$ours" "$rival")" vs "nix eval ($rival ms)"
