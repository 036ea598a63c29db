#!/usr/bin/env bash
# A run that fails, one that is killed, and one that is told to dump its core, all with the vault open: no secret stays behind but in files that were to have it, and the next run brings the rest.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"
. "$LAB/lib/vault.sh"
private_home
# chezmoi waits before its files, and after them, while there is a FIFO that says so.
cz run_before_first.sh '#!/bin/sh
test ! -p ~/before || read -r go <~/before'
cz run_after_last.sh '#!/bin/sh
test ! -p ~/after || read -r go <~/after
test ! -e ~/fail'
publish

# cut WHEN SIGNAL: a run that movein does not survive while chezmoi waits.
cut() {
	as_root a "rm -f /home/mitsio/{before,after}; runuser -u mitsio mkfifo /home/mitsio/$1"
	on a "ulimit -c unlimited; cd /var/tmp/cores; GOTRACEBACK=crash /run/lab/movein apply $HOME_REPO --yes -v --json --log-file ~/log --password-fd 0" <<<"${CANARY[master]}" >"$WORK/out" 2>&1 &
	# Opened as soon as chezmoi waits for it.
	on a --user root --timeout 60 "exec 3>/home/mitsio/$1; pkill -$2 -x movein; while pgrep -x movein >/run/left; do :; done; echo go >&3; rm /home/mitsio/$1; while pgrep -x chezmoi >/run/left; do :; done"
	wait $! || true
	ok "killed by $2: it says no secret" nothing "$(grep -Ff <(printf '%s\n' "${CANARY[@]}") "$WORK/out")"
}

fresh a
as_root a 'install -d -m 777 /var/tmp/cores'
spies a
on a 'touch ~/fail'
exits 1 on a "/run/lab/movein apply $HOME_REPO --yes -v --json --log-file ~/log --password-fd 0" <<<"${CANARY[master]}"
ok "it fails with the vault open" [ "$(summary failed) $(summary secrets)" = '["home-activate"] "ok"' ]
ok "what it says has no secret" nothing "$(grep -Ff <(printf '%s\n' "${CANARY[@]}") <<<"$OUT")"
ok "failed: the files are taken back, and no secret is left anywhere" unseen a
on a "rm ~/fail"

spies a
cut before KILL
ok "killed before the files: no secret is left anywhere" unseen a
spies a
cut after ABRT
ok "aborted after the files: they have theirs, and nothing else has" unseen a /home/mitsio/.config/by-movein render /home/mitsio/.config/with-secret render
ok "there is no core" nothing "$(as_root a 'find / -xdev -name "core*" -path "*cores*" -type f')"
as_root a 'cd /var/tmp/cores; ulimit -c unlimited; sh -c "kill -ABRT \$\$"; test -n "$(ls)"' || die "nothing dumps a core here, so that is no proof"

spies a
exits 0 on a "/run/lab/movein apply --yes -v --json --log-file ~/log --password-fd 0" <<<"${CANARY[master]}"
ok "the next run brings everything" brought a
ok "and no secret is anywhere else" kept a
figure secrets-killed "$CHECKS" checks
