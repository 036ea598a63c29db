#!/usr/bin/env bash
# A vault that stays locked: all that needs no secret is applied, what is missing is named, and nothing is lost; once it is open, a run brings exactly the rest.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"
. "$LAB/lib/vault.sh"
private_home
REST='.config/by-movein .config/with-secret .session' # what secrets go into, of what is in the home

# lacks NAME: everything that needs no secret is there, and nothing else.
lacks() { on "$1" 'cat ~/.config/plain ~/.config/without >/dev/null && ! ls -d ~/.session ~/.config/by-movein ~/.config/with-secret /run/user/1000/movein/rclone 2>/dev/null'; }

fresh a
fault a # whoever has no secret can clone
exits 0 on a "/run/lab/movein apply $HOME_REPO --without-secrets --json"
ok "without secrets: the summary says that they are missing" [ "$(summary secrets) $(summary changed)" = '"missing" true' ]
says .config/with-secret
says .config/by-movein
ok "without secrets: everything else is there" lacks a
home a >"$WORK/locked"
exits 0 on a '/run/lab/movein apply --without-secrets --json'
ok "without secrets, again: nothing to do" [ "$(summary secrets) $(summary changed)" = '"missing" false' ]

exits 0 on a '/run/lab/movein apply --json </dev/null'
ok "nobody there to ask: nothing is changed, and it is said how the vault is opened" [ "$(summary secrets) $(summary changed)" = '"missing" false' ]
says --password-fd
ok "nobody there to ask: everything else is there" lacks a
exits 77 on a '/run/lab/movein apply --json --password-fd 0' <<<wrong
says 'wrong password'
exits 0 at_terminal a password '/run/lab/movein apply' <<<''
says .config/with-secret
home a >"$WORK/still"
ok "none of it touched the home" cmp "$WORK/locked" "$WORK/still"

spies a
exits 0 on a '/run/lab/movein apply --json --password-fd 0' <<<"${CANARY[master]}"
ok "with the vault open: nothing is missing" [ "$(summary secrets) $(summary changed)" = '"ok" true' ]
ok "with the vault open: every secret is where it belongs" brought a
home a >"$WORK/open"
ok "with the vault open: only the rest was brought" [ "$(moved "$WORK/locked" "$WORK/open" | grep -o "${REST// /\\|}" | sort -u | xargs)" = "$REST" ]
ok "and nothing else was" nothing "$(moved "$WORK/locked" "$WORK/open" | grep -v "${REST// /\\|}")"
ok "no secret is anywhere else" kept a
exits 0 on a '/run/lab/movein apply --json </dev/null'
ok "locked again: nothing to do, and nothing goes" [ "$(summary changed)" = false ]
ok "locked again: every secret is where it belongs" brought a
figure locked "$CHECKS" checks
