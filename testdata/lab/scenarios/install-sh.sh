#!/usr/bin/env bash
# install.sh on fresh hosts, by Debian's dash and curl and by Alpine's busybox, through a proxy, without root: from it to an applied home. What is cut short or changed on the way installs nothing.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
"$LAB/hosts/make-host" debian alpine-like >"$HOSTLAB_WORK/hosts.log" 2>&1 || die "building hosts: see $HOSTLAB_WORK/hosts.log"
WORK=$(mktemp -d "$HOSTLAB_WORK/$SCENARIO-XXXXXX")
trap 'clean "$WORK"' EXIT
MIRROR=$WORK/mirror
cp -al "$HOSTLAB_WORK/mirror" "$MIRROR"
release=$MIRROR/movein.invalid/releases/latest/download
mkdir -p "$release"
cp "$MOVEIN" "$release/movein-linux-amd64"
cp "$LAB/../../embed/install.sh" "$release/install.sh"
(cd "$release" && sha256sum movein-linux-amd64 >SHA256SUMS)
BASE=https://movein.invalid/releases/latest/download
size=$(stat -c %s "$MOVEIN")

host debian debian
host alpine-like alpine-like
for name in debian alpine-like; do as_root "$name" 'umount /run/lab/movein 2>/dev/null || true'; done
nothing_there() { on "$1" '[ ! -e ~/.local/bin/movein ] && [ -z "$(ls -A ~/.local/bin 2>/dev/null)" ]'; }

# -- Debian: curl, which checks who answers
INSTALL="curl -fsSL $BASE/install.sh | sh -s --"
for ((percent = 5; percent < 100; percent += 5)); do
	fault debian "movein-linux-amd64$ truncate=$((size * percent / 100))"
	exits 1 on debian "$INSTALL version"
	nothing_there debian || die "something is there after $percent % of the program"
done
ok "a program cut short at every 5 % installs nothing" nothing_there debian
script=$(stat -c %s "$release/install.sh")
for ((percent = 5; percent < 100; percent += 5)); do
	fault debian "install.sh$ short=$((script * percent / 100))"
	on debian "$INSTALL version" >/dev/null 2>&1 || true
	nothing_there debian || die "something is there after $percent % of the script"
done
ok "a script cut short at every 5 % installs nothing" nothing_there debian
fault debian "movein-linux-amd64$ corrupt=$((size / 2))"
exits 1 on debian "$INSTALL version"
says 'nothing was installed'
fault debian "SHA256SUMS$ corrupt=3"
exits 1 on debian "$INSTALL version"
fault debian "SHA256SUMS$ redirect=http://movein.invalid/releases/latest/download/install.sh"
exits 1 on debian "$INSTALL version"
fault debian
ok "nor does another program, another digest, or one that is fetched in the clear" nothing_there debian
as_root debian 'mv /usr/bin/curl /usr/bin/curl.away'
exits 1 on debian 'sh -s -- version' <"$release/install.sh"
says 'curl or wget is needed'
as_root debian 'mv /usr/bin/curl.away /usr/bin/curl'
exits 0 on debian "$INSTALL apply starter --json"
ok "a user's own directory, and an applied home" on debian '[ "$(stat -c %U%a ~/.local/bin/movein)" = mitsio755 ] && ~/.local/bin/hello-movein | grep -q moved'
exits 0 on debian "$INSTALL apply --json"
says 'is current'
ok "again: nothing is fetched, nothing changes" [ "$(summary changed)" = false ]

# -- Alpine's busybox, whose wget does not check who answers: so somebody in between is refused by a digest
fault alpine-like "movein-linux-amd64$ corrupt=$((size / 2))"
as_root alpine-like "wget -q -O /root/install.sh http://movein.invalid/releases/latest/download/install.sh"
exits 1 as_root alpine-like 'MOVEIN_BASE_URL=http://movein.invalid/releases sh /root/install.sh version'
ok "busybox: another program is refused" as_root alpine-like '[ ! -e /usr/local/bin/movein ]'
fault alpine-like
exits 0 as_root alpine-like 'http_proxy=http://127.0.0.1:80 MOVEIN_BASE_URL=http://movein.invalid/releases sh /root/install.sh apply --user mitsio starter --json'
ok "busybox, root, a proxy: the home of the user" on alpine-like '~/.local/bin/hello-movein | grep -q moved'
figure install-sh "$CHECKS" checks
