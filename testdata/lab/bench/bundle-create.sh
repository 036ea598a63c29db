#!/usr/bin/env bash
# movein bundle create, beside "nix copy" to a binary cache and tar of the same things, in
# turn on one host: time and size. The home's closure and its flake's input are 56 MB each.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/../scenarios/lib.sh"
. "$(dirname "$0")/../lib/bench.sh"
. "$LAB/lib/home.sh"
PAIRS=${PAIRS:-5}
mkdir -p "$WORK/input/data"
tar -C "$WORK/input/data" -xJf "$HOSTLAB_WORK/releases/nix/nix-$NIX_VERSION/nix-$NIX_VERSION-x86_64-linux.tar.xz" --strip-components=1
find "$WORK/input/data" -type l -delete
with_input data 's/cp \$activation\/activate/cp -r ${data} $out\/data\n          &/'
hm .config/program/settings
cz dot_bash_aliases "alias ll='ls -l'"
publish

host a debian
exits 0 on a "$APPLY --json"
cat >"$WORK/rival.sh" <<'R'
set -euo pipefail
gcroots=~/.local/state/movein/gcroots work=$(mktemp -d -p ~)
nix --extra-experimental-features nix-command copy --to "file://$work/cache?compression=zstd&parallel-compression=true" "$gcroots"/home "$gcroots"/input-*
cp ~/.cache/movein/nix-*.tar.xz /run/lab/movein "$work"
[ ! -e /run/chezmoi.tar.gz ] || cp /run/chezmoi.tar.gz "$work"
cp -r ~/.config/home-manager ~/.local/share/chezmoi "$work"
tar -C "$work" -cf ~/rival.tar .
sync ~/rival.tar
rm -r "$work"
R
lab push "$SCENARIO-a" "$WORK/rival.sh" /run/rival.sh
lab push "$SCENARIO-a" "$HOSTLAB_WORK/releases/chezmoi/v$CHEZMOI_VERSION/chezmoi_${CHEZMOI_VERSION}_linux-musl_amd64.tar.gz" /run/chezmoi.tar.gz 2>/dev/null || true
timed() {
	local start=$EPOCHREALTIME
	"$@" >"$WORK/out" 2>&1 || { cat "$WORK/out" >&2 && die "$*"; }
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}
for ((i = 0; i < PAIRS; i++)); do
	on a 'rm -f ~/ours.bundle ~/rival.tar'
	timed on a '/run/lab/movein bundle create ~/ours.bundle' >>"$WORK/ours"
	timed on a 'bash /run/rival.sh' >>"$WORK/rival"
done
sizes=$(on a 'stat -c %s ~/ours.bundle ~/rival.tar' | awk '{ printf "%s%.1f", (NR > 1 ? " against " : ""), $1 / 1e6 }')
ours=$(median "$WORK/ours") other=$(median "$WORK/rival")
figure bundle-create "$ours" s ratio "$(ratio "$ours" "$other")" vs "nix copy and tar ($other s); $sizes MB"
