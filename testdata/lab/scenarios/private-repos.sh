#!/usr/bin/env bash
# Private repositories over HTTPS, the token and all other secrets in a vault on a USB stick: one password, typed once or given by a file descriptor, and no secret anywhere but where it was to go.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"
. "$LAB/lib/vault.sh"

private_home
not() { ! "$@" 2>/dev/null; }

fresh typed
spies typed
exits 0 at_terminal typed password "/run/lab/movein apply $HOME_REPO" <<<"${CANARY[master]}"
ok "one password is asked for" [ "$(grep -c 'password for' <<<"${OUT//aster password/password for}")" -le 2 ]
ok "what was typed is not shown" [ "${OUT#*"${CANARY[master]}"}" = "$OUT" ]
ok "typed once: both repositories are there, and every secret is where it belongs" brought typed
exits 0 on typed "/run/lab/movein apply --json </dev/null"
ok "again: nothing to do, and nobody is asked" [ "$(summary changed)" = false ]
ok "no secret is anywhere else" kept typed

fresh unattended
spies unattended
exits 0 on unattended "/run/lab/movein apply $HOME_REPO --json --yes -v --log-file ~/log --password-fd 0" <<<"${CANARY[master]}"
ok "the summary says that secrets are there" [ "$(summary secrets)" = '"ok"' ]
ok "without a terminal: the same" brought unattended
exits 0 on unattended "/run/lab/movein secret get rclone --password-fd 0" <<<"${CANARY[master]}"
ok "a value is had by its name in the home repo's movein.toml" [ "$OUT" = "${CANARY[rclone]}" ]
ok "with -v, --json and a log file no secret is anywhere else either" kept unattended
as_root unattended "echo ${CANARY[token]} >/var/tmp/leak"
ok "the scan finds a planted leak" not kept unattended

fresh by-root
spies by-root
exits 0 as_root by-root "/run/lab/movein apply $HOME_REPO --user mitsio --json --yes --password-fd 0" <<<"${CANARY[master]}"
ok "by root, for the user: the same" brought by-root
ok "nothing in the home is root's" nothing "$(as_root by-root 'find /home/mitsio ! -user mitsio')"
ok "and no secret is anywhere else" kept by-root

figure private-repos "$CHECKS" checks
