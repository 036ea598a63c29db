#!/usr/bin/env bash
# From a fresh host to an applied home, beside the official install script followed by
# "nix build" and activate, on identical hosts with the same mirror, in turn.
#
# OFFICIAL_INSTALLER: a directory with install-nix-from-tarball.sh, install-multi-user.sh and
# install-systemd-multi-user.sh as they are in the scripts/ of the Nix sources. Without it the
# rival is the same steps, one after another, with the programs that there are for them: it
# checks each store path, syncs, asks the daemon and looks what a build takes too, as movein
# does and the official one does not. In both cases the rival is given the clone.
. "$(dirname "$0")/../scenarios/lib.sh"
. "$(dirname "$0")/../lib/bench.sh"
PAIRS=${PAIRS:-5}
dir=$(mktemp -d)
tarball=$HOSTLAB_WORK/releases/nix/nix-$NIX_VERSION/nix-$NIX_VERSION-x86_64-linux.tar.xz
tar -C "$dir" -xJf "$tarball" --strip-components=1 --wildcards '*/.reginfo'
path_of() { grep -m1 -oP "^/nix/store/[0-9a-z]{32}-$1\$" "$dir/.reginfo"; }
NIX=$(path_of "nix-$NIX_VERSION") CACERT=$(path_of 'nss-cacert-.*') MANUAL=$(path_of "nix-manual-$NIX_VERSION-man")
mkdir "$dir/official"
rival="its steps one after another"
if [[ -n ${OFFICIAL_INSTALLER:-} ]]; then
	rival="the official install script"
	substitute() { sed "s|@nix@|$NIX|; s|@cacert@|$CACERT|; s|@nix-manual@|$MANUAL|" "$OFFICIAL_INSTALLER/$1" >"$dir/official/$2"; }
	substitute install-nix-from-tarball.sh install
	substitute install-multi-user.sh install-multi-user
	substitute install-systemd-multi-user.sh install-systemd-multi-user.sh
	chmod +x "$dir/official/install"
fi
git clone --quiet "$HOSTLAB_WORK/mirror/github.com/mitsio/home-manager.git" "$dir/clone"

cat >"$dir/rival.sh" <<'R'
set -euo pipefail
url=https://releases.nixos.org/nix/nix-$MOVEIN_NIX_VERSION/nix-$MOVEIN_NIX_VERSION-x86_64-linux.tar.xz
work=$(mktemp -d)
curl -fsSL -o "$work/nix.tar.xz" "$url"
echo "$MOVEIN_NIX_SHA256  $work/nix.tar.xz" | sha256sum --check --quiet
tar -C "$work" -xJf "$work/nix.tar.xz"
cd "$work"/nix-*
if [ -e /run/lab/official/install ]; then
	cp /run/lab/official/* .
	./install --daemon --yes --no-channel-add </dev/null
else
	sudo bash -euc '
		groupadd --system --gid 30000 nixbld
		for i in $(seq 32); do
			useradd --system --no-user-group --gid nixbld --groups nixbld --home-dir /var/empty --no-create-home --shell /usr/sbin/nologin --uid $((30000 + i)) "nixbld$i"
		done
		mkdir -p /nix/store /nix/var/nix/daemon-socket /etc/nix
		cp -RPp store/* /nix/store/
		chmod -R ugo-w /nix/store
		chown -R root:root /nix/store
		export HOME=/root
		"$1/bin/nix-store" --load-db <.reginfo
		"$1/bin/nix-store" --verify --check-contents
		sync --file-system /nix
		"$1/bin/nix-env" -i "$1" "$2"
		cp "$1"/lib/systemd/system/nix-daemon.* /etc/systemd/system/
		systemctl daemon-reload
		systemctl enable --now nix-daemon.socket
	' bash "$NIX" "$CACERT"
fi
export NIX_CONFIG="extra-experimental-features = nix-command flakes" PATH="/nix/var/nix/profiles/default/bin:$PATH"
checks() {
	[ -e /run/lab/official/install ] || "$@" >/dev/null 2>&1
}
checks nix store info
checks nix build --dry-run "path:$HOME/clone#homeConfigurations.\"mitsio@$(hostname)\".activationPackage"
nix build --out-link "$work/generation" "git+file://$HOME/clone#homeConfigurations.\"mitsio@$(hostname)\".activationPackage" ||
	nix build --out-link "$work/generation" "path:$HOME/clone#homeConfigurations.\"mitsio@$(hostname)\".activationPackage"
"$work/generation/activate"
test -L ~/.config/hostlab/host
checks systemctl --user list-units --failed
R

# timed COMMAND...: its seconds, on the last line of what it prints.
timed() {
	local start=$EPOCHREALTIME
	"$@" >"$dir/out" 2>&1 || { cat "$dir/out" >&2 && die "$*"; }
	awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}
for ((i = 0; i < PAIRS; i++)); do
	host ours debian
	timed on ours "/run/lab/movein apply $HOME_REPO --json" >>"$dir/ours"
	lab rm "$SCENARIO-ours"
	host rival debian --ro "$dir/official:/run/lab/official" --ro "$dir/rival.sh:/run/lab/rival.sh"
	lab push "$SCENARIO-rival" "$dir/clone" /home/mitsio/clone
	timed on rival --env "NIX=$NIX" --env "CACERT=$CACERT" 'bash /run/lab/rival.sh' >>"$dir/rival"
	lab rm "$SCENARIO-rival"
done
ours=$(median "$dir/ours") other=$(median "$dir/rival")
rm -rf "$dir"
figure fresh-install "$ours" s ratio "$(ratio "$ours" "$other")" vs "$rival ($other s)"
