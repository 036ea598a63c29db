# Shared by the scenarios about secrets: a vault that the real KeePassXC made, full of random
# strings that can be looked for. After lib.sh.
# shellcheck shell=bash disable=SC2016,SC2034 # what stands in single quotes is for the shell of the host; CANARY is the scenarios'

# canary NAME [VALUE]: a secret that is looked for; a random one.
declare -A CANARY
canary() { CANARY[$1]=${2:-$1-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')}; }

# entry GROUP TITLE SERVICE KEY SECRET [PRIVATE-KEY]: one of a vault, for its XML.
entry() {
	printf '<Group><Name>%s</Name><Entry><String><Key>Title</Key><Value>%s</Value></String><String><Key>UserName</Key><Value>mitsio</Value></String><String><Key>Password</Key><Value ProtectInMemory="True">%s</Value></String>' "$1" "$2" "$5"
	[[ -z $3 ]] || printf '<String><Key>service</Key><Value>%s</Value></String><String><Key>key</Key><Value>%s</Value></String>' "$3" "$4"
	[[ -z ${6:-} ]] || printf '<String><Key>private key</Key><Value ProtectInMemory="True">%s</Value></String>' "$6"
	printf '</Entry></Group>'
}

# vault FILE ENTRIES: a vault whose master password is the canary "master". All of it is
# for the Secret Service of a KeePassXC that has it open.
vault() {
	local xml=$1.xml uuid='ABEiM0RVZneImaq7zN3u/w=='
	cat >"$xml" <<-XML
		<?xml version="1.0" encoding="UTF-8"?><KeePassFile>
		<Meta><CustomData><Item><Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>{00112233-4455-6677-8899-aabbccddeeff}</Value></Item></CustomData></Meta>
		<Root><Group><UUID>$uuid</UUID><Name>Root</Name>$2</Group></Root></KeePassFile>
	XML
	# By its whole name: tests have movein's own in their PATH.
	printf '%s\n%s\n' "${CANARY[master]}" "${CANARY[master]}" | /usr/bin/keepassxc-cli import -q -p "$xml" "$1" >/dev/null 2>&1 || die "keepassxc-cli made no vault"
	rm "$xml"
}

nothing() { [[ -z $1 ]] || { printf '%s\n' "$1" >&2 && false; }; }

# spies NAME: command lines and environments of all processes, sampled until the host is
# told to stop; they are in memory, out of the way of who looks for secrets on the disk.
spies() {
	as_root "$1" 'mkdir -p /run/spy; : >/run/spy/on; (while [ -e /run/spy/on ]; do
		for p in /proc/[0-9]*; do { tr "\0" " " <$p/cmdline; echo; } >>/run/spy/argv; { tr "\0" "\n" <$p/environ; } >>/run/spy/env; done 2>/dev/null
	done) >/dev/null 2>&1 & '
}

# unseen NAME [PATH CANARY]...: no canary is in a command line, in an environment but of nix
# and of the session, in the journal, or in any file, but in those that were to have it. All
# backups are one PATH: what is replaced is there, whatever it is.
unseen() {
	local host=$1 found want=''
	shift
	while (($#)); do want+=$1:${CANARY[$2]}$'\n' && shift 2; done
	found=$(printf '%s\n' "${CANARY[@]}" | as_root "$host" '
		rm -f /run/spy/on
		cat >/run/spy/canaries
		look() { grep --text --only-matching --fixed-strings --file=/run/spy/canaries "$@" 2>/dev/null; }
		look /run/spy/argv | sed "s/^/a command line:/"
		grep --text --invert-match "^extra-access-tokens = github.com=\|^WEB_SESSION=" /run/spy/env | look | sed "s/^/an environment:/"
		journalctl --no-pager | look | sed "s/^/the journal:/"
		cd /
		for top in *; do
			case $top in proc | sys) ;; *) look --recursive --with-filename --devices=skip --exclude-dir=spy "/$top" ;; esac
		done' | sed 's|/movein/backups/[^:]*|/movein/backups|' | sort -u)
	nothing "$(diff <(printf %s "$want" | sort -u) <(printf '%s\n' "$found" | grep .))"
}
host_root() { echo "$HOSTLAB_WORK/machines/$SCENARIO-$1/disk"; }

# at_terminal NAME WHAT COMMAND: COMMAND on a terminal, and somebody who types standard input
# when there is WHAT on it. What was shown comes out.
at_terminal() {
	on "$1" "cd /run/user/1000; mkfifo in
		script -qefc $(printf %q "cd; $3") said <in >/dev/null &
		exec 3>in
		until grep -q '$2' said 2>/dev/null; do kill -0 \$! || break; done
		cat >&3; exec 3>&-
		wait \$! && code=0 || code=\$?
		cat said; rm in said; exit \$code"
}

# private_home: a home and dotfiles in private repositories, with secrets of every kind that
# is not for ssh; after home.sh. Whoever has them has all of CANARY.
private_home() {
	for name in master token rclone render session; do canary "$name"; done

	vault "$WORK/my.kdbx" "$(
		entry Forges forge git github.com "${CANARY[token]}"
		entry Cloud rclone rclone config-password "${CANARY[rclone]}"
		entry Web render web render "${CANARY[render]}"
		entry Web session web session "${CANARY[session]}"
	)"

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
}

# fresh NAME: a host with the stick plugged in, and repositories that want a token.
fresh() {
	host "$1" debian
	as_root "$1" 'mkdir -p /run/media/mitsio/stick && chown -R mitsio: /run/media/mitsio && loginctl enable-linger mitsio'
	install -m 600 "$WORK/my.kdbx" "$(host_root "$1")/var/tmp/my.kdbx"
	as_root "$1" 'install -o mitsio -m 600 /var/tmp/my.kdbx /run/media/mitsio/stick/my.kdbx; rm /var/tmp/my.kdbx'
	fault "$1" "github.com/mitsio/.* auth=x-access-token:${CANARY[token]}"
}

# kept NAME: every secret is where it was to go, and nowhere else.
kept() {
	unseen "$1" /run/user/1000/movein/rclone/password rclone /home/mitsio/.session session \
		/home/mitsio/.config/by-movein render /home/mitsio/.config/with-secret render
}

# brought NAME: everything is where it belongs.
brought() {
	[[ $(on "$1" 'cat ~/.config/with-secret ~/.config/by-movein') == "${CANARY[render]}"$'\n'"${CANARY[render]}" ]] &&
		[[ $(on "$1" 'cat /run/user/1000/movein/rclone/password') == "${CANARY[rclone]}" ]] &&
		[[ $(on "$1" 'cat ~/.session') == "${CANARY[session]}" ]] &&
		[[ $(on "$1" 'systemctl --user show-environment | sed -n s/^WEB_SESSION=//p') == "${CANARY[session]}" ]] &&
		[[ $(on "$1" 'stat -c %a /run/user/1000/movein/rclone/password ~/.session | xargs') == '600 600' ]]
}
