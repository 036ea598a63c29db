#!/usr/bin/env bash
# movein init, then apply: links, aliases and units as declared; the hosts' homes differ by hosts/*.nix only; the same repo elsewhere, for another user, is the same home.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
WORK=$(mktemp -d "$HOSTLAB_WORK/$SCENARIO-XXXXXX")
trap 'clean "$WORK"' EXIT
MIRROR=$WORK/mirror
cp -al "$HOSTLAB_WORK/mirror" "$MIRROR"

# input OWNER/REPO REF DIR: what Nix asks GitHub for an input: which commit REF is, and its tarball.
input() {
	local rev=$WORK/tar
	tar -C "$3" --transform "s,^\.,${1#*/}," --sort=name --mtime=@1 --owner=0 --group=0 --mode=u=rwX,go=rX -cf "$WORK/tar" .
	rev=$(sha1sum <"$WORK/tar" | cut -d' ' -f1)
	mkdir -p "$MIRROR/api.github.com/repos/$1/commits" "$MIRROR/github.com/$1/archive"
	gzip -n <"$WORK/tar" >"$MIRROR/github.com/$1/archive/$rev.tar.gz"
	printf '{"sha":"%s","commit":{"tree":{"sha":"%s"},"committer":{"date":"2026-01-01T00:00:00Z"}}}\n' "$rev" "$rev" >"$MIRROR/api.github.com/repos/$1/commits/$2"
}
cp -a "$LAB/lib/inputs" "$WORK/inputs"
cp -a "$LAB/lib/home/activation" "$WORK/inputs/home-manager/"
input NixOS/nixpkgs nixos-unstable "$WORK/inputs/nixpkgs"
input nix-community/home-manager HEAD "$WORK/inputs/home-manager"
input nix-community/plasma-manager HEAD "$WORK/inputs/plasma-manager"

host a debian
ok "the host has neither git nor nix" on a '! command -v git && ! command -v nix'
exits 0 on a "/run/lab/movein init --yes --name 'Ada L' --email ada@example.org --dotfiles none"
exits 0 on a '/run/lab/movein apply --json'
ok "the run changed the host" [ "$(summary changed)" = true ]
on a 'find ~ -maxdepth 3 -name .git -prune -o -print | head -60; cat ~/.config/home-manager/flake.lock'
figure init-apply "$CHECKS" checks
