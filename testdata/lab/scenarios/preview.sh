#!/usr/bin/env bash
# A home with everything that tools trip over: plan names each and changes nothing, apply changes what plan named and nothing else; what two owners claim is refused until it is settled.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"

# named TEXT: the plan in $OUT is that of the lines in TEXT, and plan changed nothing.
named() {
	printf '%s\n' "$OUT" | "$LAB/lib/snap" plan | sort >"$WORK/plan"
	diff <(sort <<<"$1") "$WORK/plan" >&2
}
# predicted WHAT: apply changes what the last plan named, no more and no less, and then there is nothing left.
predicted() {
	exits 0 on a '/run/lab/movein apply --json'
	home a >"$WORK/after"
	moved "$WORK/before" "$WORK/after" >"$WORK/moved"
	ok "$1" covers "$WORK/plan" "$WORK/moved"
	exits 0 on a '/run/lab/movein apply --json'
	ok "$1; the next changes nothing" [ "$(summary changed)" = false ]
}

claims
publish
host a debian
on a "$PLANT"
as_root a "$PLANT_ROOT"
exits 0 on a "$APPLY --only home-build,chezmoi-fetch --json"
ok "chezmoi came from its release" on a 'compgen -G "$HOME/.cache/movein/chezmoi-*" >/dev/null && ! command -v chezmoi'

home a >"$WORK/before"
exits 0 on a '/run/lab/movein plan --json'
home a >"$WORK/after"
ok "plan changes nothing" diff "$WORK/before" "$WORK/after"
ok "plan names each with what is there" named "create	chezmoi		.config/cz-dir-is-file/mine
create	chezmoi		.config/cz-folded/mine
create	chezmoi		.config/cz-folded/other
create	chezmoi		.config/host
create	chezmoi		.private/file
create	home-manager		.config/dir-is-file/mine
create	home-manager		.config/folded/deep/mine
create	home-manager		.config/folded/deep/other
create	home-manager		.config/folded/mine
create	home-manager		.config/folded/other
create	home-manager		.config/plain
replace	chezmoi	dangling link	.config/dangling
replace	chezmoi	directory	.config/content
replace	chezmoi	file	.acl
replace	chezmoi	file	.bashrc
replace	chezmoi	file	.config/cz-dir-is-file
replace	chezmoi	file	.writable
replace	chezmoi	file	.xattr
replace	chezmoi	file	new\\x0aline
replace	chezmoi	file	not-utf8-\\xff
replace	chezmoi	folded parent directory	.config/cz-folded
replace	chezmoi	foreign link	.config/link
replace	chezmoi	foreign link	.to-link
replace	chezmoi	hard-linked file	.hard
replace	chezmoi	other owner's file	.of-root
replace	chezmoi	read-only file	.read-only
replace	chezmoi	setuid file	.setuid
replace	chezmoi	special file	.config/cz-fifo
replace	chezmoi	special file	.socket
replace	home-manager	dangling link	.stow/dangling
replace	home-manager	directory	.config/in-the-way
replace	home-manager	file	.big
replace	home-manager	file	.config/collide
replace	home-manager	file	.config/dir-is-file
replace	home-manager	folded parent directory	.config/folded
replace	home-manager	foreign link	.stow/equal
replace	home-manager	foreign link	.stow/live
replace	home-manager	special file	.config/fifo
update	chezmoi	directory with mode 0755	.private
update	chezmoi	home-manager's link	.config/of-home-manager"
predicted "the first apply changes what plan named"
ok "what a folded directory led to is as it was" grep -q "^old-dotfiles/folded/mine	f	" <(home a)
ok "what is beside a folded directory's own is still there" on a 'grep -q other ~/.config/folded/deep/other && grep -q more ~/.config/folded/other/more && grep -q "home-manager" ~/.config/folded/mine'

# -- the next commit: what was equal is not any more, a file less on either side, edits
hm .config/equal "not equal any more"
rm "$WORK/flake/files/.config/plain"
cz remove_dot_to-link
rm "$WORK/dotfiles/symlink_dot_to-link"
hm .config/of-home-manager
rm "$WORK/dotfiles/dot_config/of-home-manager"
publish
on a 'echo "# edited" >>~/.bashrc; rm ~/.xattr; echo "# edited" >>~/.hard; chmod 600 ~/.acl; ln -sfn /etc/hosts ~/.stow/live; rm ~/.stow/equal; echo mine >~/.stow/equal'
exits 0 on a "$APPLY --only home-build,dotfiles-repo --json"
home a >"$WORK/before"
exits 0 on a '/run/lab/movein plan --json'
ok "plan of the second commit names each with what is there" named "create	chezmoi	deleted	.xattr
delete	chezmoi	foreign link	.to-link
delete	home-manager		.config/plain
replace	chezmoi	edited file	.acl
replace	chezmoi	edited file	.bashrc
replace	chezmoi	edited file	.hard
replace	home-manager	file	.config/equal
replace	home-manager	file	.config/of-home-manager
replace	home-manager	file	.stow/equal
replace	home-manager	foreign link	.stow/live
update	home-manager		.big
update	home-manager		.config/collide
update	home-manager		.config/dir-is-file/mine
update	home-manager		.config/fifo
update	home-manager		.config/folded/deep/mine
update	home-manager		.config/folded/mine
update	home-manager		.config/in-the-way
update	home-manager		.stow/dangling"
exits 73 on a '/run/lab/movein apply --on-modified stop --json'
says '~/.bashrc'
home a >"$WORK/after"
ok "--on-modified stop changes nothing" diff "$WORK/before" "$WORK/after"
exits 0 on a '/run/lab/movein plan --on-modified keep --json'
ok "--on-modified keep leaves what was edited" nothing "$(printf '%s\n' "$OUT" | "$LAB/lib/snap" plan | grep -E $'\tedited|xattr' || true)"
predicted "the second apply changes what plan named"

# -- claimed twice: the same path, and below the other's
hm .config/both
cz dot_config/both
cz dot_config/mine/below
hm .config/mine
cz dot_config/solid
hm .config/solid/below
publish
home a >"$WORK/before"
exits 73 on a "$APPLY"
for text in '~/.config/both: ' '~/.config/solid/below: ' '~/.config/mine/below: ' 'home-manager (/nix/store/' '-home-manager-files/.config/both)' 'chezmoi (~/.local/share/chezmoi/dot_config/both)' '[ownership]'; do says "$text"; done
home a >"$WORK/after"
ok "what two claim is refused, both are named, and nothing is changed" diff "$WORK/before" "$WORK/after"
settle() { on a "mkdir -p ~/.config/movein && printf '[ownership]\n\".config/both\" = \"$1\"\n\".config/mine\" = \"$1\"\n\".config/solid\" = \"$1\"\n' >~/.config/movein/movein.toml"; }
for owner in chezmoi home-manager; do
	settle $owner
	home a >"$WORK/before"
	exits 0 on a '/run/lab/movein plan --json'
	printf '%s\n' "$OUT" | "$LAB/lib/snap" plan >"$WORK/plan"
	predicted "settled for $owner, apply changes what plan named"
	if [[ $owner == chezmoi ]]; then
		ok "the paths are chezmoi's" on a '[ ! -L ~/.config/both ] && grep -q chezmoi ~/.config/both && grep -q chezmoi ~/.config/mine/below && grep -q chezmoi ~/.config/solid'
	else
		ok "the paths are home-manager's" on a '[ -L ~/.config/both ] && grep -q home-manager ~/.config/both && grep -q home-manager ~/.config/mine && grep -q home-manager ~/.config/solid/below'
	fi
done
figure preview "$CHECKS" checks
