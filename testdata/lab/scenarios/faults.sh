#!/usr/bin/env bash
# Faults of network, disk, rights, configuration and user: each has its exit code and a next step, leaves nothing half-made, and the run after it converges.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
RELEASE='releases\.nixos\.org.*\.tar\.xz$'
REPO='^github\.com/mitsio/home-manager'
TARBALL=/home/mitsio/.cache/movein/nix-$NIX_VERSION-${NIX_SHA256:0:12}.tar.xz

# fresh NAME: the host of a lane, and a list of what is on it that is not movein's.
# Not in the list: the files that adding users changes, and what the faults are made with.
fresh() {
	H=$1
	host "$H" debian --mirror "$MIRROR"
	foreign
}

foreign() {
	as_root "$H" 'find /etc /home /var/lib/systemd /usr/local -xdev -type f ! -path "/etc/*shadow*" ! -path "/etc/passwd*" ! -path "/etc/group*" ! -path "/etc/sub?id*" \
		! -path /etc/hosts ! -path "/etc/sudoers*" ! -path "*/.cache/*" ! -path "*/.config/home-manager/*" ! -path "*/.local/state/*" ! -path /etc/ssl/certs/ca-certificates.crt \
		-exec sha256sum {} + >/run/foreign'
}

# run [ARG]...: "movein apply ARG... --json", with what it wrote to stdout in OUT, to
# stderr in ERR, and its exit code in CODE. $PRE comes before it.
run() {
	local all
	CODE=0
	all=$(on "$H" "$PRE /run/lab/movein apply $* --json 2>/tmp/stderr; code=\$?; echo; echo ---stderr; cat /tmp/stderr; exit \$code" 2>&1) || CODE=$?
	OUT=${all%%$'\n---stderr'*} ERR=${all#*$'---stderr\n'}
	OUT=${OUT%$'\n'}
}
PRE=

bad() {
	printf '%s\n---\n%s\n' "$OUT" "$ERR" >&2
	die "$1"
}

# ends NAME CODE [LEFT]: the run ended so, its summary says the same in its last line,
# and nothing is half-made but LEFT.
ends() {
	local left
	[[ $CODE == "$2" ]] || bad "$1: exit code $CODE, expected $2"
	[[ $(tail -n1 <<<"$OUT") == *'"event":"summary"'*"\"exit_code\":$2,"* ]] || bad "$1: the last line is no summary with exit code $2"
	left=$(as_root "$H" 'find /nix /etc /home /var/lib /var/cache -xdev \( -name ".movein-*" -o -name ".*.movein-*" \) 2>/dev/null; find /home/mitsio -uid 0')
	[[ $left == "${3:-}" ]] || bad "$1: something is left half-made: $left"
	as_root "$H" 'sha256sum --check --quiet /run/foreign' || bad "$1: a file that is not movein's was changed"
	CHECKS=$((CHECKS + 1))
	echo "ok  $1"
}

# broken NAME CODE SAYS [ARG]...: the run ends with CODE, says SAYS (a pattern) and what to do next.
broken() {
	local name=$1 code=$2 text=$3
	shift 3
	run "$@"
	[[ $ERR == *→* ]] || bad "$name: no next step is said"
	grep -Eq -e "$text" <<<"$(tr -s '\n ' ' ' <<<"$ERR")" || bad "$name: nothing says: $text"
	ends "$name" "$code" "$LEFT"
}
LEFT=

# fine NAME CHANGED [ARG]...: the run ends well and changed something, or nothing.
fine() {
	local name=$1 changed=$2
	shift 2
	run "$@"
	[[ $CODE != 0 || $(summary changed) == "$changed" ]] || bad "$name: changed is $(summary changed), expected $changed"
	ends "$name" 0
}

# converges [ARG]...: without a fault a run does what is left, and the next nothing.
converges() {
	fault "$H"
	fine "$H: the run without a fault converges" true "$HOME_REPO" "$@"
	fine "$H: and the next changes nothing" false "$*"
}

# fetches NAME RULE...: the release arrives whole in spite of the fault; it is forgotten again.
fetches() {
	local name=$1
	shift
	fault "$H" "$@"
	fine "$name" true "$HOME_REPO --only nix-fetch"
	on "$H" "echo '$NIX_SHA256 ' $TARBALL | sha256sum --check --quiet && ! ls ~/.cache/movein/*.part 2>/dev/null" || bad "$name: the release is not whole"
	on "$H" 'rm -rf ~/.cache/movein'
}

# asked: requests for the release that were answered with status $1.
asked() { jq_ "$HOSTLAB_WORK/machines/$SCENARIO-$H/mirror/access.log" "\"status\":$1"; }
jq_() { grep '\.tar\.xz"' "$1" | grep -c "$2" || true; }

not_used() { on "$H" "! ls $TARBALL /nix 2>/dev/null" || bad "a release that is not right was kept"; }

lane_release() {
	fresh release
	fault "$H" "$RELEASE status=404"
	broken "release: 404" 69 "404" "$HOME_REPO --nix-source official"
	fault "$H" "$RELEASE status=503"
	broken "release: 503 for ever" 69 '503' "$HOME_REPO --nix-source official"
	fault "$H" "$RELEASE corrupt=1000000"
	broken "release: one byte is wrong" 76 'nothing of it was used' "$HOME_REPO"
	not_used
	fault "$H" "$RELEASE short=1000000"
	broken "release: another, shorter file" 76 'nothing of it was used' "$HOME_REPO"
	not_used
	fault "$H"
	PRE="MOVEIN_NIX_SHA256=${NIX_SHA256//[0-9]/a}"
	broken "release: the digest asked for is another" 76 'SHA-256' "$HOME_REPO"
	PRE=
	not_used
	as_root "$H" 'cp /etc/hosts /tmp/hosts && sed -i /mirror/d /etc/hosts'
	broken "names do not resolve" 69 'releases\.nixos\.org' "$HOME_REPO --nix-source official"
	as_root "$H" 'cat /tmp/hosts >/etc/hosts && cp /etc/ssl/certs/ca-certificates.crt /tmp/ && : >/etc/ssl/certs/ca-certificates.crt'
	broken "release: its server's certificate is not trusted" 69 'certificate' "$HOME_REPO --nix-source official"
	as_root "$H" 'cat /tmp/ca-certificates.crt >/etc/ssl/certs/ca-certificates.crt'
	fetches "release: truncated once" "$RELEASE truncate=5000000 times=1"
	(($(asked 206))) || bad "the truncated download was not resumed"
	fetches "release: reset once" "$RELEASE reset=7000000 times=1"
	fetches "release: reset before the first byte" "$RELEASE reset=0 times=2"
	fetches "release: slow" "$RELEASE slow=10000"
	fetches "release: 503, then well" "$RELEASE status=503 times=2"
	fetches "release: 503 and when to come again, then well" "$RELEASE status=503 retry-after=1 times=1"
	fetches "release: truncated, and no ranges" "$RELEASE truncate=5000000 norange times=1" "$RELEASE norange"
	fetches "release: truncated three times" "$RELEASE truncate=5000000 times=3"
	fetches "release: another file after the truncation" "$RELEASE truncate=5000000 newtag times=1" "$RELEASE newtag"
	fetches "release: wrong byte once" "$RELEASE corrupt=100 times=1"
	fault "$H" "$RELEASE reset=0"
	broken "release: reset for ever" 69 'reaching' "$HOME_REPO --nix-source official"
	converges
}

lane_stall() {
	fresh stall
	fault "$H" "$REPO.*/info/refs stall=0"
	broken "home repo: its server is silent" 69 'stalled|no answer|timeout|deadline' "$HOME_REPO --only home-repo"
	fault "$H" "$RELEASE stall=5000000 times=1"
	fine "release: stalled once" true "$HOME_REPO"
	fault "$H" "$REPO stall=0"
	fine "home repo: its server is silent, and there is a clone" false
}

lane_pack() {
	fresh pack
	fault "$H" "$REPO.*/git-upload-pack stall=200"
	broken "home repo: its server stops in the middle" 69 'stalled|no byte|timeout' "$HOME_REPO"
	fault "$H" "$REPO.*/git-upload-pack truncate=200"
	broken "home repo: truncated" 69 'github' "$HOME_REPO"
	converges
}

lane_repo() {
	local nix='--configuration mitsio@debian'
	fresh repo
	fault "$H" "$REPO status=404"
	broken "home repo: 404" 69 'no such repository' "$HOME_REPO"
	fault "$H" "$REPO status=503"
	broken "home repo: 503" 69 '503|Service Unavailable' "$HOME_REPO"
	fault "$H" "$REPO status=403"
	broken "home repo: 403" 77 'login' "$HOME_REPO"
	fault "$H" "$REPO auth=me:secret"
	broken "home repo: login" 77 'login' "$HOME_REPO"
	fault "$H"
	broken "home repo: no such branch" 78 'main' "$HOME_REPO --branch nope"
	broken "home repo: without a flake" 78 'no flake.nix' http://github.com/mitsio/dotfiles.git
	on "$H" 'rm -rf ~/.config/home-manager'
	broken "home repo: no such directory" 78 'no directory' /home/mitsio/nowhere
	on "$H" 'mkdir -p ~/.config/home-manager && echo mine >~/.config/home-manager/notes'
	broken "home repo: files are in its place" 73 'mv ' "$HOME_REPO"
	on "$H" '[ "$(cat ~/.config/home-manager/notes)" = mine ] && [ "$(ls -A ~/.config/home-manager)" = notes ]' || bad "the user's files were touched"
	on "$H" 'rm -rf ~/.config/home-manager'
	on "$H" 'echo mine >~/.config/home-manager'
	broken "home repo: a file is in its place" 73 'mv ' "$HOME_REPO"
	on "$H" '[ "$(cat ~/.config/home-manager)" = mine ] && rm ~/.config/home-manager' || bad "the user's file was touched"
	broken "home repo: garbage" 78 'syntax error' http://github.com/mitsio/garbage.git
	before=$(as_root "$H" 'cd /home/mitsio/.config/home-manager && find . -type f -exec sha256sum {} + | sort')
	broken "home repo: another is in its place" 73 'mv ' "$HOME_REPO"
	[[ $(as_root "$H" 'cd /home/mitsio/.config/home-manager && find . -type f -exec sha256sum {} + | sort') == "$before" ]] || bad "the user's repository was touched"
	on "$H" 'rm -rf ~/.config/home-manager'
	broken "no such configuration" 78 'mitsio@debian.*(mitsio@|,)' "$HOME_REPO --configuration mitsio@debain"
	[[ $ERR == *'there are: mitsio@debian,'* ]] || bad "the nearest name is not the first"
	broken "no configuration for this host" 78 'there are: ' "$HOME_REPO --host elsewhere --user mitsio --configuration nope"
	converges "$nix"
}

lane_config() {
	local toml=.config/movein/movein.toml
	fresh config
	on "$H" 'mkdir -p ~/.config/movein'
	broken "no home repo" 78 'movein apply starter'
	while IFS='|' read -r name content says; do
		on "$H" "printf '$content' >~/$toml"
		broken "settings: $name" 78 "$says" "$HOME_REPO"
	done <<'TABLE'
no TOML|user = "mitsio"\nskip = [\n|movein\.toml:[23]:
unknown key|branch = "main"\nbranhc = "x"\n|movein\.toml:2:.*branhc
wrong type|\njobs = "many"\n|movein\.toml:2:.*jobs
wrong type of a list|only = 3\n|movein\.toml:1:.*only
wrong type of a table|[hosts]\ndebian = 1\n|movein\.toml:2:.*debian
unknown key in a table|[[verify]]\nname = "x"\nrum = ["true"]\n|movein\.toml:3:.*rum
value that may not be|\nnix-source = "flathub"\n|movein\.toml.*flathub
TABLE
	on "$H" "rm ~/$toml && mkdir ~/$toml"
	broken "settings: a directory" 78 'movein\.toml' "$HOME_REPO"
	on "$H" "rmdir ~/$toml"
	broken "settings: the named file is not there" 78 'nowhere\.toml' "$HOME_REPO --config /nowhere.toml"
	PRE=MOVEIN_JOBS=many
	broken "settings: wrong type in the environment" 78 'MOVEIN_JOBS.*many' "$HOME_REPO"
	PRE=
	broken "unknown step" 64 'home-activate' "$HOME_REPO --only nix-instal"
	broken "unknown step to pass over" 64 'home-activate' "$HOME_REPO --skip x"
	broken "unknown flag" 64 '\-\-help' "$HOME_REPO --jsn"
	broken "unknown flag, before --json" 64 '\-\-help' "--jsn $HOME_REPO"
	broken "wrong value of a flag" 64 'many' "$HOME_REPO --jobs many"
	broken "value of a flag that may not be" 64 'official distro auto|--help' "$HOME_REPO --nix-source flathub"
	broken "one argument too many" 64 'elsewhere' "$HOME_REPO elsewhere"
	broken "no such user" 78 'nobody-such' "$HOME_REPO --user nobody-such"
	broken "another user" 77 'sudo' "$HOME_REPO --user root"
	broken "no digest for the version" 78 '--nix-sha256' "$HOME_REPO --nix-version 9.9.9 --nix-sha256 ''"
	fault "$H" "$RELEASE slow=4000"
	on "$H" "/run/lab/movein apply $HOME_REPO --json >/tmp/first 2>&1; echo \$? >/tmp/first.code" &
	local first=$!
	on "$H" 'until grep -q "\"step\":\"nix-fetch\",\"status\":\"applying\"" /tmp/first 2>/dev/null; do sleep 0.02; done; pgrep -f "^/run/lab/movein apply" >/tmp/pid'
	broken "another movein runs" 79 "pid $(on "$H" 'cat /tmp/pid')" "$HOME_REPO"
	wait "$first"
	[[ $(on "$H" 'cat /tmp/first.code') == 0 ]] || bad "the first of two runs was disturbed: $(on "$H" 'cat /tmp/first')"
	fault "$H"
	fine "config: and the next changes nothing" false
}

lane_disk() {
	fresh disk
	as_root "$H" 'fallocate -l $(($(stat -f -c "%a*%S" /) - 50*1024*1024)) /var/full'
	broken "disk: the root file system is too full" 1 'df -h /' "$HOME_REPO"
	as_root "$H" 'rm /var/full && mkdir /nix && mount -t tmpfs -o size=2g,nr_inodes=300,mode=755 full /nix'
	broken "disk: /nix is full while Nix is unpacked" 1 'df -h' "$HOME_REPO"
	as_root "$H" 'umount /nix && mount -t tmpfs -o size=100m full /nix'
	broken "disk: /nix is too small" 1 'df -h /nix' "$HOME_REPO"
	as_root "$H" 'umount /nix && mount -t tmpfs -o ro,size=2g full /nix'
	broken "disk: /nix is read-only" 1 'read-only' "$HOME_REPO"
	as_root "$H" 'umount /nix && rmdir /nix && rm -rf /home/mitsio/.cache && install -d -o mitsio -g mitsio /home/mitsio/.cache && mount -t tmpfs -o size=100m,nr_inodes=2,uid=1000 full /home/mitsio/.cache'
	broken "disk: no room for the release" 1 'df -h' "$HOME_REPO"
	as_root "$H" 'umount /home/mitsio/.cache && mount -t tmpfs -o ro,size=100m,uid=1000 full /home/mitsio/.cache'
	broken "disk: the cache is read-only" 1 'findmnt' "$HOME_REPO"
	as_root "$H" 'umount /home/mitsio/.cache && rm -rf /home/mitsio/.config && install -d -o mitsio -g mitsio /home/mitsio/.config && mount -t tmpfs -o size=100m,nr_inodes=12,uid=1000 full /home/mitsio/.config'
	broken "disk: no room for the home repo" 1 'df -h' "$HOME_REPO"
	as_root "$H" 'umount /home/mitsio/.config && rm -rf /home/mitsio/.local && install -d -o mitsio -g mitsio /home/mitsio/.local && mount -t tmpfs -o ro,uid=1000 full /home/mitsio/.local'
	broken "disk: the state directory is read-only" 1 'findmnt' "$HOME_REPO"
	as_root "$H" 'umount /home/mitsio/.local && chown nobody: /home/mitsio/.local'
	broken "disk: the state directory is another's" 77 'chown' "$HOME_REPO"
	as_root "$H" 'chown mitsio: /home/mitsio/.local && mount -t tmpfs -o size=100m,nr_inodes=8,uid=1000 full /home/mitsio/.local'
	broken "disk: no room for the state" 1 'df -h' "$HOME_REPO"
	as_root "$H" 'umount /home/mitsio/.local && fallocate -l $(stat -f -c "%a" / | xargs -I{} expr {} "*" $(stat -f -c %S /) - 65536) /var/full || true; cat /dev/zero >/home/mitsio/.full 2>/dev/null || chown mitsio /home/mitsio/.full'
	broken "disk: the root file system is full, with Nix on it" 1 'df -h' "$HOME_REPO"
	as_root "$H" 'rm /var/full /home/mitsio/.full'
	converges
}

lane_rights() {
	local command
	fresh rights
	broken "rights: --no-root" 77 'administrator' "$HOME_REPO --no-root"
	command=$(sed -n 's/^ *sudo \(.* apply .*\)$/\1/p' <<<"$ERR" | head -n1)
	as_root "$H" 'mv /etc/sudoers.d/mitsio /tmp/sudoers && echo mitsio:secret | chpasswd'
	broken "rights: sudo asks, and nobody is there" 77 'sudo needs a password' "$HOME_REPO"
	as_root "$H" 'gpasswd --delete mitsio sudo >/dev/null'
	broken "rights: the user may not use sudo" 77 'administrator' "$HOME_REPO"
	as_root "$H" 'mv /usr/bin/sudo /usr/bin/sudo.not'
	broken "rights: there is no sudo" 77 'neither sudo nor doas' "$HOME_REPO"
	[[ -n $command ]] || bad "rights: no command for the administrator"
	echo "    $command"
	exits 0 as_root "$H" "$command"
	fine "rights: after the administrator ran it, it goes on without root" true "$HOME_REPO --no-root"
	fine "rights: and the next changes nothing" false
	as_root "$H" 'mv /usr/bin/sudo.not /usr/bin/sudo; mv /tmp/sudoers /etc/sudoers.d/mitsio; gpasswd --add mitsio sudo >/dev/null'
	fine "rights: nor with sudo back" false
}

# lane NAME: one of the functions above in a process of its own; its count is left in a file.
lane() {
	(
		trap clean EXIT
		"lane_$1"
		echo "$CHECKS" >"$WORK/$1"
	) >"$WORK/$1.log" 2>&1
}

WORK=$(mktemp -d "$HOSTLAB_WORK/faults-XXXXXX")
MIRROR=$WORK/mirror
trap 'clean "$WORK"' EXIT
mkdir "$WORK/garbage" && echo '{ outputs = ' >"$WORK/garbage/flake.nix"
"$LAB/hosts/make-mirror" --out "$MIRROR" --repo "github.com/mitsio/home-manager=$LAB/hosts/fixtures/home-manager" \
	--repo "github.com/mitsio/dotfiles=$LAB/hosts/fixtures/dotfiles" --repo "github.com/mitsio/garbage=$WORK/garbage" 2>/dev/null

LANES=${*:-stall pack release repo config disk rights}
declare -A PIDS
for name in $LANES; do
	lane "$name" &
	PIDS[$name]=$!
done
failed=
for name in $LANES; do
	wait "${PIDS[$name]}" || failed+=" $name"
	cat "$WORK/$name.log"
	[[ ! -f $WORK/$name ]] || CHECKS=$((CHECKS + $(<"$WORK/$name")))
done
for name in $failed; do tail -n 4 "$WORK/$name.log"; done
[[ -z $failed ]] || die "lanes:$failed"
figure faults "$CHECKS" checks
