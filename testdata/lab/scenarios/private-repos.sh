#!/usr/bin/env bash
# Private repositories over HTTPS, the token and all other secrets in a vault on a USB stick: one password, typed once or given by a file descriptor, and no secret anywhere but where it was to go.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"

# canary NAME: a random secret; all of them are looked for in the end.
declare -A CANARY
canary() { CANARY[$1]=$1-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n'); }
for name in master token rclone render session; do canary "$name"; done

# entry GROUP TITLE SERVICE KEY SECRET
entry() {
	printf '<Group><Name>%s</Name><Entry><String><Key>Title</Key><Value>%s</Value></String><String><Key>UserName</Key><Value>mitsio</Value></String><String><Key>Password</Key><Value ProtectInMemory="True">%s</Value></String><String><Key>service</Key><Value>%s</Value></String><String><Key>key</Key><Value>%s</Value></String></Entry></Group>' "$1" "$2" "$5" "$3" "$4"
}
{
	echo '<?xml version="1.0" encoding="UTF-8"?><KeePassFile><Meta/><Root><Group><Name>Root</Name>'
	entry Forges forge git github.com "${CANARY[token]}"
	entry Cloud rclone rclone config-password "${CANARY[rclone]}"
	entry Web render web render "${CANARY[render]}"
	entry Web session web session "${CANARY[session]}"
	echo '</Group></Root></KeePassFile>'
} >"$WORK/vault.xml"
printf '%s\n%s\n' "${CANARY[master]}" "${CANARY[master]}" | /usr/bin/keepassxc-cli import -q -p "$WORK/vault.xml" "$WORK/my.kdbx" 2>&1 ||
	die "keepassxc-cli made no vault" # by its whole name: tests have movein's own in their PATH
rm "$WORK/vault.xml"

hm .config/plain
cz dot_config/with-secret.tmpl '{{ (keepassxc "render").Password }}'
cz dot_config/by-movein.tmpl '{{ secret "get" "web" "render" }}'
cz dot_config/without 'no secret'
cz .chezmoi.toml.tmpl '[secret]
    command = "movein"
    args = ["secret"]
[keepassxc]
    database = "/run/media/mitsio/stick/my.kdbx"'
cat >"$WORK/flake/movein.toml" <<'TOML'
dotfiles = "https://github.com/mitsio/dotfiles.git"

[secrets]
forge = { service = "git", key = "github.com", git = { host = "github.com" }, nix = "github.com" }
rclone = { entry = "Cloud/rclone", file = { path = "rclone/password" } }
session = { service = "web", key = "session", env = "WEB_SESSION" }
netrc = { service = "web", key = "session", file = { path = "~/.session", persist = true } }
TOML
publish
HOME_REPO=https://github.com/mitsio/home-manager.git

# fresh NAME: a host with the stick plugged in, and repositories that want a token.
fresh() {
	host "$1" debian
	as_root "$1" 'mkdir -p /run/media/mitsio/stick && chown -R mitsio: /run/media/mitsio && loginctl enable-linger mitsio'
	install -m 600 "$WORK/my.kdbx" "$(host_root "$1")/var/tmp/my.kdbx"
	as_root "$1" 'install -o mitsio -m 600 /var/tmp/my.kdbx /run/media/mitsio/stick/my.kdbx; rm /var/tmp/my.kdbx'
	fault "$1" "github.com/mitsio/.* auth=x-access-token:${CANARY[token]}"
}
host_root() { echo "$HOSTLAB_WORK/machines/$SCENARIO-$1/disk"; }

# spies NAME: command lines and environments of all processes, sampled until the host is
# told to stop; they are in memory, out of the way of who looks for secrets on the disk.
spies() {
	as_root "$1" 'mkdir -p /run/spy; : >/run/spy/on; (while [ -e /run/spy/on ]; do
		for p in /proc/[0-9]*; do { tr "\0" " " <$p/cmdline; echo; } >>/run/spy/argv; { tr "\0" "\n" <$p/environ; } >>/run/spy/env; done 2>/dev/null
	done) >/dev/null 2>&1 & '
}

# unseen NAME: no canary is in a command line, in an environment but of nix and of the
# session, in the journal, or in any file but those that were to have it.
unseen() {
	as_root "$1" 'rm -f /run/spy/on'
	local name found
	for name in "${!CANARY[@]}"; do
		found=$(as_root "$1" "
			grep -Fc '${CANARY[$name]}' /run/spy/argv && echo 'in a command line'
			grep -F '${CANARY[$name]}' /run/spy/env | grep -v '^extra-access-tokens = github.com=\|^WEB_SESSION=' && echo 'in an environment'
			journalctl --no-pager | grep -Fq '${CANARY[$name]}' && echo 'in the journal'
			grep -rFl --devices=skip '${CANARY[$name]}' / --exclude-dir=proc --exclude-dir=sys --exclude-dir=spy 2>/dev/null
			true" | grep -v '^0$' | sort)
		case $name in
		rclone) want=/run/user/1000/movein/rclone/password ;;
		render) want=$'/home/mitsio/.config/by-movein\n/home/mitsio/.config/with-secret' ;;
		session) want=/home/mitsio/.session ;;
		*) want= ;;
		esac
		[[ $found == "$want" ]] || {
			printf '%s is in:\n%s\n' "$name" "$found" >&2
			return 1
		}
	done
}

not() { ! "$@" 2>/dev/null; }

# brought NAME: everything is where it belongs.
brought() {
	[[ $(on "$1" 'cat ~/.config/with-secret ~/.config/by-movein') == "${CANARY[render]}"$'\n'"${CANARY[render]}" ]] &&
		[[ $(on "$1" 'cat /run/user/1000/movein/rclone/password') == "${CANARY[rclone]}" ]] &&
		[[ $(on "$1" 'cat ~/.session') == "${CANARY[session]}" ]] &&
		[[ $(on "$1" 'systemctl --user show-environment | sed -n s/^WEB_SESSION=//p') == "${CANARY[session]}" ]] &&
		[[ $(on "$1" 'stat -c %a /run/user/1000/movein/rclone/password ~/.session | xargs') == '600 600' ]]
}

fresh typed
spies typed
# A terminal, and somebody who types when asked.
as_root typed 'cat >/var/tmp/type && chmod 755 /var/tmp/type' <<'TYPE'
#!/bin/bash
mkfifo /run/user/1000/in
script -qefc "$1" /run/user/1000/said </run/user/1000/in >/dev/null &
exec 3>/run/user/1000/in
until grep -q 'password' /run/user/1000/said 2>/dev/null; do kill -0 $! || break; done
cat >&3
exec 3>&-
wait $!
TYPE
exits 0 on typed "/var/tmp/type '/run/lab/movein apply $HOME_REPO'; code=\$?; cat /run/user/1000/said; rm /run/user/1000/said; exit \$code" <<<"${CANARY[master]}"
ok "one password is asked for" [ "$(grep -c 'password for' <<<"${OUT//aster password/password for}")" -le 2 ]
ok "what was typed is not shown" [ "${OUT#*"${CANARY[master]}"}" = "$OUT" ]
ok "typed once: both repositories are there, and every secret is where it belongs" brought typed
exits 0 on typed "/run/lab/movein apply --json </dev/null"
ok "again: nothing to do, and nobody is asked" [ "$(summary changed)" = false ]
ok "no secret is anywhere else" unseen typed

fresh unattended
spies unattended
exits 0 on unattended "/run/lab/movein apply $HOME_REPO --json --yes -v --log-file ~/log --password-fd 0" <<<"${CANARY[master]}"
ok "the summary says that secrets are there" [ "$(summary secrets)" = '"ok"' ]
ok "without a terminal: the same" brought unattended
ok "with -v, --json and a log file no secret is anywhere else either" unseen unattended
as_root unattended "echo ${CANARY[token]} >/var/tmp/leak"
ok "the scan finds a planted leak" not unseen unattended

fresh by-root
spies by-root
exits 0 as_root by-root "/run/lab/movein apply $HOME_REPO --user mitsio --json --yes --password-fd 0" <<<"${CANARY[master]}"
ok "by root, for the user: the same" brought by-root
ok "nothing in the home is root's" nothing "$(as_root by-root 'find /home/mitsio ! -user mitsio')"
ok "and no secret is anywhere else" unseen by-root

figure private-repos "$CHECKS" checks
