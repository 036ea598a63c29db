#!/usr/bin/env bash
# A home with everything that tools trip over, applied to: backups restore gives each thing back as it was, also after a kill; what fails on the way leaves the home as it was.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"

# same_as TREE NAME: home NAME is TREE, but for the times of directories.
same_as() {
	home "$2" >"$WORK/now"
	nothing "$(moved "$1" "$WORK/now" | grep -v "^.of-root	owner 0:0 1000:1000$" || true)"
}
# runs NAME: its backups, oldest first.
runs() { on "$1" 'ls ~/.local/state/movein/backups | grep -v "^\." || true'; }

claims
publish
host a debian
on a "$PLANT"
as_root a "$PLANT_ROOT"
exits 0 on a "$APPLY --only home-build,chezmoi-fetch --json"
home a >"$WORK/before"

# -- what fails before anything is replaced
as_root a 'chmod 600 ~mitsio/.of-root'
exits 73 on a "/run/lab/movein apply"
says '~/.of-root'
as_root a 'chmod 644 ~mitsio/.of-root'
ok "what cannot be read is refused, and nothing is changed" same_as "$WORK/before" a
as_root a 'size=$(df --output=avail -B1 / | tail -n1); fallocate -l $((size - 12000000)) /var/full'
exits 73 on a '/run/lab/movein apply'
says 'backing up'
as_root a 'rm /var/full'
ok "a full disk is refused, and nothing is changed" same_as "$WORK/before" a
ok "and no backup is left" [ -z "$(runs a)" ]

# -- a failing activation, a failing template
hook=$WORK/flake/activation/hook
cp "$hook" "$WORK/hook"
echo 'echo "the hook is broken" >&2; exit 3' >>"$hook"
publish
exits 1 on a "$APPLY"
says "the hook is broken"
says '.of-root: owner 0:0' # what only root could give back is told
ok "a failing activation leaves the home as it was" same_as "$WORK/before" a
ok "and no generation is active" on a '[ ! -e ~/.local/state/nix/profiles/home-manager ] && [ ! -e ~/.local/state/home-manager/gcroots/current-home ] && [ ! -e ~/.local/state/movein/change.json ]'
cp "$WORK/hook" "$hook"
cz run_after_fails.sh '#!/bin/sh
echo "the script is broken" >&2; exit 3'
publish
exits 1 on a "$APPLY"
ok "a failing script of chezmoi's leaves the home as it was" same_as "$WORK/before" a
rm "$WORK/dotfiles/run_after_fails.sh"
cz dot_config/broken.tmpl '{{ fail "the template is broken" }}'
publish
exits 78 on a "$APPLY"
says "the template is broken"
ok "a failing template leaves the home as it was" same_as "$WORK/before" a
rm "$WORK/dotfiles/dot_config/broken.tmpl"
publish

# -- there and back, twice
for time in first second; do
	exits 0 on a "$APPLY --json"
	ok "the $time apply changes the home" [ "$(summary changed)" = true ]
	exits 0 on a '/run/lab/movein backups restore'
	identical "the $time restore gives back every planted thing as it was" "$WORK/before" a
done

# -- one path, and back
exits 0 on a "$APPLY --json"
home a >"$WORK/applied"
run=$(runs a | tail -n1)
exits 0 on a "/run/lab/movein backups restore $run .config/in-the-way ~/.setuid"
home a >"$WORK/now"
ok "only the named paths come back" nothing "$(moved "$WORK/before" "$WORK/now" | grep -E '^(\.config/in-the-way|\.setuid)' || true)"
ok "the others stay" nothing "$(moved "$WORK/applied" "$WORK/now" | grep -vE '^(\.config/in-the-way|\.setuid|\.a-outside)' || true)"
exits 0 on a '/run/lab/movein backups restore'
ok "and that is undone by the backup that it made" same_as "$WORK/applied" a

# -- killed on its way
for cut in ${CUTS_AT:-0.02 0.1 0.3}; do
	exits 0 on a "$APPLY --json"
	on a "/run/lab/movein backups restore $run >/dev/null 2>&1 & pid=\$!; sleep $cut; kill -KILL \$pid; wait \$pid" >/dev/null 2>&1 || true
	exits 0 on a "/run/lab/movein backups restore $run"
	identical "a restore that was killed after $cut s is finished by the next" "$WORK/before" a
done
ok "no movein is left" [ -z "$(left a)" ]
figure restore "$CHECKS" checks
