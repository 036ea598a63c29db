#!/usr/bin/env bash
# A bundle made on one host: applied on another without any network the home is as online; damaged ones are refused; over HTTP each byte comes once.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"

# A home with an input that is needed to evaluate it, and dotfiles that chezmoi applies.
mkdir -p "$WORK/input/data" && echo 'text of the input' >"$WORK/input/data/text"
with_input data 's/cp \$activation\/activate/echo "$text" >$out\/text\n          &/; s/system = "x86_64-linux";/&\n      text = builtins.readFile "${data}\/text";/'
cz dot_bash_aliases "alias ll='ls'"
publish
hm .config/program/settings
cz dot_bash_aliases "alias ll='ls -l'"
publish
TOKEN=t0kenOfTheServer

# offline NAME [option of lab-run start]...: a host with nothing but a loopback interface.
offline() {
	local name=$SCENARIO-$1
	shift
	lab rm "$name" 2>/dev/null || true
	lab create "$name" debian
	HOSTS+=("$name")
	start "$name" "$@"
}

# same A B: both hosts have the same tree, but for what the lab tells a host of its mirror, and how
# a server packed the commits.
same() {
	tree "$1" | comparable >"$WORK/tree-$1"
	tree "$2" | comparable >"$WORK/tree-$2"
	diff "$WORK/tree-$1" "$WORK/tree-$2" >&2
}
comparable() { grep -v ' etc/hosts$\|^etc/hosts \|etc/ssl\|^etc/ca-certificates\|^etc/resolv' | sed 's,pack-[0-9a-f]*,pack-,'; }

host made debian
exits 0 on made "$APPLY --json"
on made 'cd ~/.config/home-manager && echo secret >left-out.txt'
minisign -G -W -p "$WORK/key.pub" -s "$WORK/key" >/dev/null
lab push "$SCENARIO-made" "$WORK/key" /home/mitsio/key
as_root made 'chown mitsio: /home/mitsio/key'
exits 0 on made "MOVEIN_HOME_REPO=http://mitsio:$TOKEN@github.com/mitsio/home-manager.git /run/lab/movein bundle create ~/home.bundle --sign ~/key"
ok "what is not committed is named" says left-out.txt
ok "who signed it is told" says "Signed by  $(sed -n '1s/.* //p' "$WORK/key.pub")"
ok "the file is its user's alone, and nothing else is left" on made '[ "$(stat -c %a ~/home.bundle)" = 600 ] && [ -z "$(ls -A ~ | grep movein-bundle)" ]'
exits 73 on made '/run/lab/movein bundle create ~/home.bundle --sign ~/key'
exits 0 on made '/run/lab/movein bundle create ~/again.bundle --sign ~/key'
ok "the same home makes the same bundle" on made 'cmp ~/home.bundle ~/again.bundle'
mkdir "$WORK/b"
lab pull "$SCENARIO-made" /home/mitsio/home.bundle "$WORK/b/home.bundle"
cp "$WORK/key.pub" "$WORK/b/"
SIZE=$(stat -c %s "$WORK/b/home.bundle")
ok "no token is in it" test -z "$(tar -xOf "$WORK/b/home.bundle" | grep -a "$TOKEN\|left-out" || true)"
ok "minisign finds it signed" bash -c 'cd "$1" && tar -xf home.bundle manifest.json manifest.json.minisig && minisign -V -q -p key.pub -m manifest.json && rm manifest.json*' _ "$WORK/b"

offline alone --ro "$WORK/b:/run/lab/b"
ok "the host has no route" on alone '[ -z "$(ip route 2>/dev/null; cat /proc/net/route | tail -n+2)" ]'
APPLY_BUNDLE='MOVEIN_LOG_LEVEL=info ~/movein apply --bundle'
exits 0 on alone 'tar -xf /run/lab/b/home.bundle movein'
exits 64 on alone "$APPLY_BUNDLE /run/lab/b/home.bundle --json"
ok "nothing is trusted for where it came from" says "--bundle-key"
# Cut off at every 5 %, and a byte changed here and there.
exits 0 on alone --timeout 600 '
	size=$(stat -c %s /run/lab/b/home.bundle) && touch ~/marker && sleep 0.1 && refused=0
	try() { code=0; ~/movein apply --yes --bundle ~/bad --bundle-key /run/lab/b/key.pub >~/out 2>&1 || code=$?; [ "$code" = 76 ] || { cat ~/out; exit 1; }; refused=$((refused + 1)); }
	for i in $(seq 0 5 95); do head -c $((size * i / 100)) /run/lab/b/home.bundle >~/bad; try; done
	for i in 100 700 2000 $((size / 3)) $((size / 2)) $((size - 1)); do
		cp /run/lab/b/home.bundle ~/bad && chmod u+w ~/bad
		old=$(od -An -tu1 -j "$i" -N1 ~/bad | tr -d " ")
		printf "\\$(printf %o $(((old + 1) % 256)))" | dd of="$HOME/bad" bs=1 seek="$i" conv=notrunc status=none
		try
	done
	rm ~/bad ~/out
	~/movein plan --bundle /run/lab/b/home.bundle --bundle-key /run/lab/b/key.pub 2>&1 | grep "└ copy  */nix/store" || exit 1
	[ -z "$(find ~ /nix /etc/nix /var/lib/movein /var/cache/movein -newer ~/marker -type f 2>/dev/null)" ] && rm ~/marker
	echo "refused $refused"'
ok "26 damaged ones are refused, the whole one is planned, and nothing is written" says "refused 26"
exits 0 on alone "$APPLY_BUNDLE /run/lab/b/home.bundle --bundle-key /run/lab/b/key.pub --json"
ok "the run changed the host" [ "$(summary changed)" = true ]
ok "home and dotfiles are there" on alone 'grep -q home-manager: ~/.config/program/settings && grep -q "alias ll" ~/.bash_aliases'
ok "the clone knows its server" on alone 'grep -q "url = http://github.com/mitsio/home-manager.git" ~/.config/home-manager/.git/config'
exits 0 on alone "$APPLY_BUNDLE /run/lab/b/home.bundle --bundle-key /run/lab/b/key.pub --json"
ok "the rerun changes nothing" [ "$(summary changed)" = false ]
exits 0 on alone '~/movein apply --offline --json'
ok "one without the bundle does not either" [ "$(summary changed)" = false ]
on alone 'rm ~/movein'

host online debian
exits 0 on online "$APPLY --json"
ok "the tree is as online" same online alone

# The power is cut while root reads it.
CUT=(--ro "$WORK/b:/run/lab/b" --ro "$MOVEIN:/run/lab/movein")
offline cut "${CUT[@]}"
exits 137 on cut --cut-when /var/lib/movein/bundle/nix-cache-info '/run/lab/movein apply --bundle /run/lab/b/home.bundle --bundle-key /run/lab/b/key.pub'
start "$SCENARIO-cut" "${CUT[@]}"
exits 0 on cut '/run/lab/movein apply --bundle /run/lab/b/home.bundle --bundle-key /run/lab/b/key.pub'
ok "after a power cut it goes on, and the tree is as online" same online cut

# Over HTTP, from a server that has nothing else; the connection breaks once.
mkdir -p "$WORK/served/bundles.example.org"
cp "$WORK/b/home.bundle" "$WORK/served/bundles.example.org/"
offline fleet --mirror "$WORK/served" --ro "$WORK/b:/run/lab/b" --ro "$MOVEIN:/run/lab/movein"
fault fleet "home.bundle truncate=$((SIZE / 2)) times=1"
exits 0 on fleet "/run/lab/movein apply --bundle http://bundles.example.org/home.bundle --bundle-key /run/lab/b/key.pub --json"
LOG=$HOSTLAB_WORK/machines/$SCENARIO-fleet/mirror/access.log
cat "$LOG"
ok "nothing else was fetched" [ "$(grep -vc '/home.bundle"' "$LOG")" = 0 ]
ok "each byte came once" [ "$(grep -oP '"bytes":\K[0-9]+' "$LOG" | awk '{ s += $1 } END { print s }')" = "$SIZE" ]
ok "it is not kept" on fleet '! ls ~/.cache/movein/bundle-* 2>/dev/null'
ok "the tree is as online" same online fleet
fault fleet ''
exits 0 on fleet '/run/lab/movein apply --offline --json'
ok "the rerun changes nothing" [ "$(summary changed)" = false ]

# What came from a bundle goes on as if it had come from the network: by the network, and by a newer bundle.
hm .config/program/settings 'newer'
publish
lab stop "$SCENARIO-fleet"
boot fleet
exits 0 on fleet '/run/lab/movein apply --json'
ok "the network brings it up to date" on fleet 'grep -q newer ~/.config/program/settings'
exits 0 on made '/run/lab/movein apply && /run/lab/movein bundle create ~/newer.bundle --sign ~/key'
lab pull "$SCENARIO-made" /home/mitsio/newer.bundle "$WORK/b/newer.bundle"
exits 0 on alone "tar -xf /run/lab/b/newer.bundle movein && $APPLY_BUNDLE /run/lab/b/newer.bundle --bundle-key /run/lab/b/key.pub"
ok "so does a newer bundle" on alone 'grep -q newer ~/.config/program/settings && [ -z "$(ls ~/.config/home-manager/.git/*lock 2>/dev/null)" ]'
exits 0 on alone "$APPLY_BUNDLE /run/lab/b/home.bundle --bundle-key /run/lab/b/key.pub"
ok "and an older one takes nothing back" on alone 'grep -q newer ~/.config/program/settings'

# Root acts for the user: the same, and all of the home is the user's.
offline byroot --mirror "$WORK/served" --ro "$WORK/b:/run/lab/b" --ro "$MOVEIN:/run/lab/movein"
exits 0 as_root byroot "/run/lab/movein apply --user mitsio --bundle http://bundles.example.org/home.bundle --bundle-key /run/lab/b/key.pub --json"
ok "nothing else was fetched" [ "$(grep -vc '/home.bundle"' "$HOSTLAB_WORK/machines/$SCENARIO-byroot/mirror/access.log")" = 0 ]
ok "nothing in the home belongs to root" on byroot '[ -z "$(find ~ -uid 0 -print -quit)" ]'
ok "it is not kept" as_root byroot '! ls /var/lib/movein/bundle* /home/mitsio/.cache/movein/bundle* 2>/dev/null'
ok "the tree is as online" same online byroot
figure bundle "$CHECKS" checks
