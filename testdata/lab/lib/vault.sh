# Shared by the scenarios about secrets: a vault that the real KeePassXC made, full of random
# strings that can be looked for. After lib.sh.
# shellcheck shell=bash disable=SC2034 # CANARY is the scenarios'

# canary NAME: a random secret.
declare -A CANARY
canary() { CANARY[$1]=$1-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n'); }

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
# and of the session, in the journal, or in any file, but in those that were to have it.
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
		done' | sort -u)
	nothing "$(diff <(printf %s "$want" | sort -u) <(printf '%s\n' "$found" | grep .))"
}
host_root() { echo "$HOSTLAB_WORK/machines/$SCENARIO-$1/disk"; }
