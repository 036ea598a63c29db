# Shared by the scenarios about secrets: a vault that the real KeePassXC made, full of random
# strings that can be looked for. After lib.sh.
# shellcheck shell=bash disable=SC2034 # CANARY is the scenarios'

# canary NAME: a random secret.
declare -A CANARY
canary() { CANARY[$1]=$1-$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n'); }

# entry GROUP TITLE SERVICE KEY SECRET: one of a vault, for its XML.
entry() {
	printf '<Group><Name>%s</Name><Entry><String><Key>Title</Key><Value>%s</Value></String><String><Key>UserName</Key><Value>mitsio</Value></String><String><Key>Password</Key><Value ProtectInMemory="True">%s</Value></String>' "$1" "$2" "$5"
	[[ -z $3 ]] || printf '<String><Key>service</Key><Value>%s</Value></String><String><Key>key</Key><Value>%s</Value></String>' "$3" "$4"
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
