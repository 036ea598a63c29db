#!/usr/bin/env bash
# chezmoi and home-manager's own activation run by hand between two runs: what they did is the owner's own, no run fights it or keeps copies of it.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"

count() { on a 'ls ~/.local/state/movein/backups 2>/dev/null | grep -cv "^\." || true'; }
# kept: what the newest backup has of files that were there.
kept() { on a '/run/lab/movein backups list latest' | grep -v '^absent' || true; }
# quiet WHAT: a run finds nothing to do, and keeps nothing.
quiet() {
	local before
	before=$(count)
	exits 0 on a '/run/lab/movein plan --detailed-exitcode'
	exits 0 on a '/run/lab/movein apply --json'
	ok "$1: nothing is to do" [ "$(summary changed)" = false ]
	ok "$1: nothing is kept" [ "$(count)" = "$before" ]
}

hm .config/one "# one"
hm .config/two "# two"
cz dot_bashrc "# first"
cz dot_config/three "# three"
cz dot_config/host.tmpl 'host = {{ .chezmoi.hostname }}'
publish
host a debian --ro "$CHEZMOI:/usr/local/bin/chezmoi"
exits 0 on a "$APPLY --json"
ok "the host's chezmoi is used" on a '! compgen -G "$HOME/.cache/movein/chezmoi-*" >/dev/null'
quiet "after a run"

exits 0 on a 'chezmoi apply --no-tty'
quiet "after chezmoi apply"
exits 0 on a '. /etc/profile.d/movein-nix.sh; ~/.local/state/nix/profiles/home-manager/activate'
quiet "after the activation"

# -- edits that are taken into the source by hand
on a 'echo "# edited" >>~/.bashrc'
exits 0 on a 'chezmoi re-add --no-tty ~/.bashrc'
exits 0 on a '/run/lab/movein plan --detailed-exitcode'
exits 0 on a '/run/lab/movein apply --json'
ok "after chezmoi re-add: what was edited stays" on a 'grep -q "# edited" ~/.bashrc'
quiet "after chezmoi re-add and a run"
on a 'echo mine >~/.config/mine; chezmoi add --no-tty ~/.config/mine'
quiet "after chezmoi add"
on a 'printf "# changed\n" >~/.local/share/chezmoi/dot_config/three; chezmoi apply --no-tty'
quiet "after an edit of the source and chezmoi apply"

# -- one byte changed, and the time set back
for file in .config/three .bashrc; do
	on a "f=~/$file; t=\$(stat -c %y \$f); cp \$f /tmp/was; printf X | dd of=\$f bs=1 seek=1 conv=notrunc status=none; touch -d \"\$t\" \$f; [ \"\$t\" = \"\$(stat -c %y \$f)\" ] && ! cmp -s \$f /tmp/was"
	exits 2 on a '/run/lab/movein plan --detailed-exitcode'
	exits 0 on a '/run/lab/movein apply --json'
	ok "one changed byte in $file with its time set back is found and mended" on a "cmp ~/$file /tmp/was"
	ok "and kept" grep -q "$file" <<<"$(kept)"
	quiet "after one changed byte"
done

# -- an edit of the source that nobody applied: the file is chezmoi's own, it is no loss
on a 'printf "# changed again\n" >~/.local/share/chezmoi/dot_config/three'
exits 0 on a '/run/lab/movein plan --json'
ok "an edit of the source is an update" [ "$(printf '%s\n' "$OUT" | "$LAB/lib/snap" plan)" = 'update	chezmoi		.config/three' ]
exits 0 on a '/run/lab/movein apply --json'
quiet "after an edit of the source and a run"

# -- a link that home-manager made again, one that is gone, and another generation by hand
on a 'rm ~/.config/one; . /etc/profile.d/movein-nix.sh; ~/.local/state/nix/profiles/home-manager/activate >/dev/null'
quiet "after a link was deleted and activated again"
hm .config/two "# two, changed"
hm .config/four
rm "$WORK/flake/files/.config/one"
publish
exits 0 on a "$APPLY --json"
ok "the second generation is active" on a 'grep -q changed ~/.config/two && [ -L ~/.config/four ] && [ ! -e ~/.config/one ]'
on a '. /etc/profile.d/movein-nix.sh; ~/.local/state/nix/profiles/home-manager-1-link/activate >/dev/null'
ok "the first generation is activated by hand" on a 'grep -qx "# two" ~/.config/two && [ -L ~/.config/one ] && [ ! -e ~/.config/four ]'
exits 0 on a '/run/lab/movein plan --json'
ok "what it linked is ours, and replaced by ours" nothing "$(printf '%s\n' "$OUT" | "$LAB/lib/snap" plan | grep ^replace || true)"
exits 0 on a '/run/lab/movein apply --json'
ok "the second generation is active again" on a 'grep -q changed ~/.config/two && [ -L ~/.config/four ] && [ ! -e ~/.config/one ] && [ ! -L ~/.config/one ]'
ok "no file of the user's was in the way" nothing "$(kept | grep -v '^link\|chezmoi/chezmoistate' || true)"
quiet "after all of that"
figure handwork "$CHECKS" checks
