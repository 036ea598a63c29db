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
ok "the repos' first commit is whole" on a 'cd ~/.config/home-manager && [ -f .git/index ] && [ "$(ls hosts)" = debian.nix ]'
exits 0 on a '/run/lab/movein apply --json'
ok "the run changed the host" [ "$(summary changed)" = true ]
ok "the first build locked the inputs" on a '[ "$(grep -c narHash ~/.config/home-manager/flake.lock)" = 3 ]'
ok "aliases are as declared" on a 'grep -qx "alias -- ll='\''ls -alF'\''" ~/.bashrc && grep -qx "alias -- hm='\''movein apply'\''" ~/.bashrc && ! grep -q "nrs\|rpm\|wslview" ~/.bashrc'
ok "links lead into the store" on a '[ "$(readlink ~/.bashrc | grep -c "^/nix/store/[a-z0-9]*-home-manager-files/")" = 1 ]'
ok "git is told who commits" on a 'grep -q "\"name\":\"Ada L\"" ~/.config/settings/git.json && grep -q ada@example.org ~/.config/settings/git.json'
ok "units are as declared" on a 'cd ~/.config/systemd/user && grep -qx "ConditionPathExists=$HOME/.config/rclone/rclone.conf" rclone-gdrive.service && grep -qx "OnUnitInactiveSec=15min" rclone-gdrive.timer'
ok "no secret is in the store" on a '! grep -rl "config-password" /nix/store --include="*rclone*" | xargs -r grep -L "movein secret get" | grep .'
exits 0 on a '/run/lab/movein apply --json'
ok "the rerun changes nothing" [ "$(summary changed)" = false ]

# the newcomer's walk
on a "sed -i 's/ls -alF/ls -alFh/' ~/.config/home-manager/shell.nix"
exits 0 on a '/run/lab/movein apply --json'
ok "an edited alias is applied" on a 'grep -qx "alias -- ll='\''ls -alFh'\''" ~/.bashrc'
exits 0 on a '/run/lab/movein rollback --yes'
ok "and taken back" on a 'grep -qx "alias -- ll='\''ls -alF'\''" ~/.bashrc'
on a "sed -i 's/ls -alFh/ls -alF/' ~/.config/home-manager/shell.nix"

# hosts of other kinds, each one's home built here
exits 0 on a 'cd && /run/lab/movein init --yes --name "Ada L" --email ada@example.org --dotfiles none ~/many'
for name in shoshin kinoite wsl-workspace; do exits 0 on a "/run/lab/movein init --add-host $name --dotfiles none ~/many"; done
# Nix has no git here, so the repo is looked at as a directory.
on a 'cp ~/.config/home-manager/flake.lock ~/many/flake.lock; rm -rf ~/many/.git'
# tree_of DIR HOST [USER]: what the home of HOST in ~/DIR has, without what names the user or is in a store path.
tree_of() {
	local attribute="${3:-mitsio}@$2"
	on a "
		out=\$(nix build --no-link --print-out-paths \"path:\$HOME/$1#homeConfigurations.\\\"$attribute\\\".activationPackage\" 2>/dev/null) && cd \"\$out/home-files/\" &&
			find . -type f | LC_ALL=C sort | while read -r file; do echo \"== \$file\"; cat \"\$file\"; done |
			sed 's,/nix/store/[a-z0-9]*-,/nix/store/-,g; s,/var/home/,/home/,g; s,${3:-mitsio},USER,g'" || die "building the home of $2 in $1"
}
for name in shoshin kinoite wsl-workspace debian; do tree_of many "$name" >"$WORK/$name"; done
ok "shoshin has NixOS's aliases" grep -qx "alias -- nrs='sudo nixos-rebuild switch --flake ~/.config/nixos#shoshin'" "$WORK/shoshin"
ok "kinoite has rpm-ostree's" grep -qx "alias -- rpm-update='rpm-ostree upgrade'" "$WORK/kinoite"
ok "wsl-workspace has Windows' browser" grep -qx 'export BROWSER=wslview' "$WORK/wsl-workspace"
ok "wsl-workspace has no units" [ "$(grep -c '== ./.config/systemd' "$WORK/wsl-workspace")" = 0 ]
on a 'cp -r ~/many ~/alike && for f in ~/alike/hosts/*.nix; do cp ~/many/hosts/debian.nix "$f"; done'
for name in shoshin kinoite wsl-workspace; do
	tree_of alike "$name" >"$WORK/alike"
	ok "$name differs from debian by hosts/$name.nix only" cmp "$WORK/alike" "$WORK/debian"
done

# elsewhere, of another user
on a 'mkdir -p ~/some/where && cp -r ~/many ~/some/where/else && sed -i "s/username = \"mitsio\"/username = \"zoe\"/; s,/var/home/mitsio,/var/home/zoe," ~/some/where/else/flake.nix'
for name in shoshin kinoite wsl-workspace; do
	tree_of some/where/else "$name" zoe >"$WORK/else"
	ok "$name is the same of another user in another directory" cmp "$WORK/else" "$WORK/$name"
done
figure init-apply "$CHECKS" checks
