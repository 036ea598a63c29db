#!/usr/bin/env bash
# Damage of many kinds on one host: plan names each, one apply mends it and nothing else, the next changes nothing.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
KINDS=0

# state: everything that a repair must leave or give back, one thing a line: names,
# modes, owners, links and contents. Not in it: times, caches, journals, and what of
# the store is only garbage.
state() {
	as_root a '
		cd /
		find nix nix/var/nix -maxdepth 1 -printf "%p %y %m %U %l\n"
		find nix/var/nix/profiles nix/var/nix/daemon-socket etc/nix etc/systemd/system etc/profile.d \
			home/mitsio/.local/state/nix home/mitsio/.local/state/movein/gcroots home/mitsio/.config var/lib/movein/nix.json \
			-not -path "*/.git/*" -printf "%p %y %m %U %l\n"
		find etc/nix etc/systemd/system etc/profile.d home/mitsio/.config -not -path "*/.git/*" -type f -exec sha256sum {} +
		grep nixbld etc/group etc/gshadow etc/passwd
		cat home/mitsio/.config/home-manager/.git/HEAD home/mitsio/.config/home-manager/.git/config
		stat -c "%n %a %U %G" nix/store
		for root in nix/var/nix/profiles/default home/mitsio/.local/state/nix/profiles/home-manager; do
			/nix/var/nix/profiles/default/bin/nix-store --query --requisites "$root" || echo "$root is not valid"
		done
		/nix/var/nix/profiles/default/bin/nix-store --verify --check-contents 2>&1 | grep -v "^reading the Nix store\|^checking" || true
		systemctl is-active nix-daemon.socket; systemctl is-enabled nix-daemon.socket; systemctl list-units --failed --plain --no-legend
		find home/mitsio -uid 0
	' | LC_ALL=C sort
}

# same BEFORE AFTER MAY: the states differ in lines that match MAY only.
same() {
	diff <(grep -Ev "$3" <<<"$1") <(grep -Ev "$3" <<<"$2")
}

# changed: the steps that the run in $OUT changed, sorted.
changed() { printf '%s\n' "$OUT" | grep '"event":"step"' | grep '"status":"changed"' | grep -oP '"step":"\K[^"]*' | sort | xargs; }

# kind NAME STEPS SAYS DAMAGE [CHECK [MAY]]: the user's shell does DAMAGE; plan finds
# it and says SAYS ("": it is nothing that plan would see); apply changes STEPS and
# no other, after which CHECK holds and everything is as it was, but for the lines
# of the state that match MAY.
kind() {
	local name=$1 steps=$2 says=$3 damage=$4 check=${5:-true} may=${6:-^$} after
	on a "set -eu; $damage" || die "$name: the damage could not be made"
	if [[ -n $says ]]; then
		exits 2 on a '/run/lab/movein plan --detailed-exitcode -v'
		says "$says"
	fi
	exits 0 on a "/run/lab/movein apply ${REPO:-} --json"
	[[ $(changed) == "$steps" ]] || { printf '%s\n' "$OUT" >&2 && die "$name: changed were: $(changed); expected: $steps"; }
	[[ $(summary changed) == $([[ -n $steps ]] && echo true || echo false) ]] || die "$name: changed is $(summary changed)"
	on a "set -eu; $check" || die "$name: the check after it does not hold"
	after=$(state)
	same "$STATE" "$after" "$may" || die "$name: the host is not as it was before (above)"
	STATE=$after
	exits 0 on a '/run/lab/movein apply --json'
	[[ $(summary changed) == false ]] || { printf '%s\n' "$OUT" >&2 && die "$name: the run after the repair changed: $(changed)"; }
	KINDS=$((KINDS + 1))
	echo "ok  $name"
}

# The latest backup of a file, by the user's half and by root's. For CHECK.
KEPT='kept() { ls -d ~/.local/state/movein/backups/*/"$1" | tail -n1; }; '
ROOTKEPT='kept() { sudo sh -c "cat \"\$(ls -d /var/lib/movein/backups/*$1 | tail -n1)\""; }; '
# The store path of the release whose name matches. For DAMAGE.
LIB='lib() { ls -d /nix/store/*-"$1"* | head -n1; }; '

host a debian
exits 0 on a "/run/lab/movein apply $HOME_REPO --json"
# A second generation, and back to the first: the current one is not the newest.
on a 'echo "{ aliases = \"second\"; }" >~/.config/home-manager/hosts/debian.nix'
exits 0 on a '/run/lab/movein apply --json'
