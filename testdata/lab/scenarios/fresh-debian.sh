#!/usr/bin/env bash
# A fresh Debian 13 with systemd gets Nix, the home repo and its generation; the rerun changes nothing.
. "$(dirname "$0")/lib.sh"

host a debian
ok "the host has neither git nor nix" on a "! command -v git && ! command -v nix"
exits 0 on a "/run/lab/movein apply $HOME_REPO --json"
ok "the run changed the host" [ "$(summary changed)" = true ]
ok "the daemon answers to the user" on a '/nix/var/nix/profiles/default/bin/nix --extra-experimental-features nix-command store info --store daemon'
ok "the home links are live" on a 'grep -q . ~/.config/hostlab/host && [ -L ~/.config/hostlab/host ]'
ok "the generation is the profile's" on a '[ "$(readlink -f ~/.local/state/nix/profiles/home-manager)" = "$(readlink -f ~/.local/state/movein/gcroots/home)" ]'
ok "nothing in the home belongs to root" on a '[ -z "$(find ~ -uid 0 -print -quit)" ]'
exits 0 on a '/run/lab/movein apply --json'
ok "the rerun changes nothing" [ "$(summary changed)" = false ]
figure fresh-debian "$CHECKS" checks
