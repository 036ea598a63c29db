#!/usr/bin/env bash
# Two applies with other commits of home and dotfiles each: rollback gives the tree of the first, both halves of it, and the way forward is open.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"

# untouched TREE: without the times of files, which were written anew.
untouched() { awk -F'\t' -v OFS='\t' '{ $6 = 0; print }' "$WORK/$1"; }

hm .config/one "# one"
hm .config/gone "# gone"
hm .config/dir/below "# below"
cz dot_bashrc "# first"
cz dot_config/three "# three"
cz dot_config/to-link "# a file"
cz private_dot_secret "# secret"
publish
host a debian
on a 'echo "# mine" >>~/.bashrc; mkdir -p ~/.config; echo mine >~/.config/four; echo mine >~/.config/dir; echo own >~/.config/own'
home a >"$WORK/nothing"
exits 0 on a "$APPLY --json"
first=$(summary generation)
home a >"$WORK/first"

hm .config/one "# one, changed"
hm .config/two "# two"
rm "$WORK/flake/files/.config/gone"
rm "$WORK/flake/files/.config/dir/below"
hm .config/dir/other "# other"
cz dot_bashrc "# second"
cz dot_config/four "# four"
cz dot_config/symlink_five ../.bashrc
rm "$WORK/dotfiles/dot_config/to-link"
cz dot_config/symlink_to-link /etc/hostname
rm "$WORK/dotfiles/private_dot_secret"
cz dot_secret "# no secret any more"
publish
exits 0 on a "$APPLY --json"
second=$(summary generation)
home a >"$WORK/second"
ok "the second apply changed the home" [ -n "$(moved "$WORK/first" "$WORK/second")" ]
ok "and the generation" [ "$first" != "$second" ]
on a 'echo new >~/.config/new' # the user's own, of after that

exits 0 on a '/run/lab/movein rollback --yes'
home a >"$WORK/now"
ok "rollback gives the tree of the first, and leaves what is the user's own" [ "$(moved "$WORK/first" "$WORK/now")" = $'.config/new\tnew f' ]
ok "the first generation is active" on a "[ \"\$(readlink -f ~/.local/state/nix/profiles/home-manager)\" = $first ]"
ok "the links lead into it" on a 'grep -qx "# one" ~/.config/one && grep -qx "# gone" ~/.config/gone && [ ! -e ~/.config/two ]'
ok "no change is under way" on a '[ ! -e ~/.local/state/movein/change.json ]'

exits 0 on a "$APPLY --json"
home a >"$WORK/now"
ok "the next apply gives the tree of the second" [ "$(moved <(untouched second) <(untouched now))" = $'.config/new\tnew f' ]
exits 0 on a '/run/lab/movein apply --json'
ok "and the one after changes nothing" [ "$(summary changed)" = false ]
figure joint-rollback "$CHECKS" checks
