#!/usr/bin/env bash
# The same result whoever starts it: the user, root for the user, sudo; a password is asked for once, and not at all when there is nothing to do.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
declare -A START=(
	[user]='/run/lab/movein apply'
	[root]='/run/lab/movein apply --user mitsio'
	[sudo]='sudo --preserve-env=MOVEIN_NIX_VERSION,MOVEIN_NIX_SHA256,LANG /run/lab/movein apply'
)
declare -A AS=([user]=on [root]=as_root [sudo]=on)

same() { diff <(echo "$TREE") <(tree "$1") >&2; }
idle() { [[ -z $(left "$1") ]]; }
own() { on "$1" '[ -z "$(find ~ -uid 0 -print -quit)" ]'; }

TREE=
for who in user root sudo; do
	host "$who" debian
	exits 0 "${AS[$who]}" "$who" "${START[$who]} $HOME_REPO --json"
	ok "$who: the run changed the host" [ "$(summary changed)" = true ]
	ok "$who: no movein is left" idle "$who"
	ok "$who: nothing in the home is root's" own "$who"
	[[ -n $TREE ]] || TREE=$(tree "$who")
	ok "$who: the host is as it is when the user starts it ($(wc -l <<<"$TREE") lines)" same "$who"
	for again in user root sudo; do
		exits 0 "${AS[$again]}" "$who" "${START[$again]} --json"
		ok "$who: started again as $again it changes nothing" [ "$(summary changed)" = false ]
	done
	ok "$who: and nothing was changed" same "$who"
	ok "$who: nothing in the home is root's after that" own "$who"
	lab rm "$SCENARIO-$who"
done

# typed NAME TEXT COMMAND: the user's COMMAND on a terminal, where each TEXT (printf's) is
# typed once a password is asked for, a line each. What the terminal showed is in OUT,
# the exit code in CODE.
typed() {
	local name=$1 text=$2 pid line n=0 prompt='password for'
	rm -f "$KEYS" "$SCREEN"
	mkfifo "$KEYS"
	: >"$SCREEN"
	exec 9<>"$KEYS"
	on "$name" --pty --timeout 120 "$3" <"$KEYS" >"$SCREEN" 2>&1 9>&- &
	pid=$!
	while IFS= read -r line && [[ -n $line ]]; do
		n=$((n + 1))
		while kill -0 "$pid" 2>/dev/null && (($(grep -c "$prompt" "$SCREEN") < n)); do sleep 0.02; done
		# shellcheck disable=SC2059 # it is printf's
		printf "$line" >&9
	done <<<"$text"
	CODE=0
	wait "$pid" || CODE=$?
	exec 9>&-
	OUT=$(<"$SCREEN")
}
asked() { grep -c 'password for' <<<"$OUT" || true; }
shown() { [[ $CODE == "$1" && $(asked) == "$2" ]] || { printf '%s\n' "$OUT" >&2 && die "exit code $CODE, expected $1; asked for a password $(asked) times, expected $2"; }; }

WORK=$(mktemp -d "$HOSTLAB_WORK/halves-XXXXXX")
trap 'clean "$WORK"' EXIT
KEYS=$WORK/keys SCREEN=$WORK/screen
host asked debian
# Each sudo asks anew: also two in one run would be two questions.
as_root asked 'rm /etc/sudoers.d/mitsio && echo mitsio:secret | chpasswd && echo "Defaults timestamp_timeout=0" >/etc/sudoers.d/strict'
typed asked '\003' "/run/lab/movein apply $HOME_REPO"
ok "interrupted at the password" shown 130 1
ok "interrupted at the password: no movein is left" idle asked
typed asked $'wrong\\n\nwrong\\n\nwrong\\n' "/run/lab/movein apply $HOME_REPO"
ok "three wrong passwords" shown 77 3
ok "three wrong passwords: nothing of root's was done" on asked '! ls /nix /var/lib/movein 2>/dev/null'
ok "three wrong passwords: no movein is left" idle asked
on asked 'rm -rf ~/.config/home-manager ~/.cache/movein ~/.local/state/movein'
typed asked 'secret\n' "/run/lab/movein apply $HOME_REPO"
ok "one password for one run" shown 0 1
ok "one password: no movein is left" idle asked
ok "one password: nothing in the home is root's" own asked
typed asked '' '/run/lab/movein apply --json'
ok "nothing to do, and no password is asked for" shown 0 0
ok "nothing to do, and nothing is changed" grep -q '"changed":false' <<<"$OUT"
as_root asked 'systemctl stop nix-daemon.socket nix-daemon.service'
typed asked 'secret\n' '/run/lab/movein apply'
ok "one password for one repair" shown 0 1
typed asked '' '/run/lab/movein plan'
ok "a plan asks for no password" shown 0 0
# Of this host sudoers and the password are others.
as_root asked 'rm /etc/sudoers.d/strict && echo "mitsio ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/mitsio && chmod 440 /etc/sudoers.d/mitsio'
ok "the host is as it is without a password" same asked
figure halves "$CHECKS" checks
