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
	on a "set -eu; $HELP $damage" || die "$name: the damage could not be made"
	if [[ -n $says ]]; then
		exits 2 on a '/run/lab/movein plan --detailed-exitcode -v'
		says "$says"
	fi
	exits 0 on a "/run/lab/movein apply ${REPO:-} --json"
	[[ $(changed) == "$steps" ]] || { printf '%s\n' "$OUT" >&2 && die "$name: changed were: $(changed); expected: $steps"; }
	[[ $(summary changed) == $([[ -n $steps ]] && echo true || echo false) ]] || die "$name: changed is $(summary changed)"
	on a "set -eu; $HELP $check" || die "$name: the check after it does not hold"
	after=$(state)
	same "$STATE" "$after" "$may" || die "$name: the host is not as it was before (above)"
	STATE=$after
	exits 0 on a '/run/lab/movein apply --json'
	[[ $(summary changed) == false ]] || { printf '%s\n' "$OUT" >&2 && die "$name: the run after the repair changed: $(changed)"; }
	KINDS=$((KINDS + 1))
	echo "ok  $name"
}

# For DAMAGE and CHECK: a path of the release, a file in it; what the newest backup of the
# home says of a path, and its content there; a backup of root's; and what breaks a library.
HELP='
	store=/nix/store profiles=/nix/var/nix/profiles units=/etc/systemd/system repo=~/.config/home-manager
	lib() { ls -d $store/*-"$1"* | grep -v "\.drv$" | head -n1; }
	inside() { find "$(lib "$1")" -type f -name "$2" | head -n1; }
	backups=~/.local/state/movein/backups
	entry() { awk -v p="\"path\": \"$1\"" "index(\$0, p) { on = 1 } on { print } on && /^  }/ { exit }" "$(ls $backups/*/manifest.json | tail -n1)"; }
	kept() { s=$(entry "$1" | sed -n "s/.*\"sha256\": \"\([0-9a-f]*\)\".*/\1/p"); cat "$(ls $backups/*/objects/${s:0:2}/${s:2} | tail -n1)"; }
	rootkept() { sudo sh -c "cat \"\$(ls -d /var/lib/movein/backups/*$1 | tail -n1)\""; }
	append() { sudo chmod u+w "$1"; echo x | sudo tee -a "$1" >/dev/null; sudo chmod u-w "$1"; }
	tarball() { ls ~/.cache/movein/nix-*.tar.xz; }
	sha() { sha256sum "$(tarball)" | cut -d" " -f1; }
'

host a debian
exits 0 on a "/run/lab/movein apply $HOME_REPO --json"
# A second generation, and back to the first: the current one is not the newest.
on a 'cp ~/.config/home-manager/hosts/debian.nix /tmp/ && echo "{ aliases = \"second\"; }" >~/.config/home-manager/hosts/debian.nix'
exits 0 on a '/run/lab/movein apply --json'
on a 'cp /tmp/debian.nix ~/.config/home-manager/hosts/ && nix-env --profile ~/.local/state/nix/profiles/home-manager --switch-generation 1'
# Lines of the administrator's, before ours and after it.
as_root a '{ echo "cores = 2"; cat /etc/nix/nix.conf; echo "keep-outputs = false"; } >/tmp/nix.conf && cp /tmp/nix.conf /etc/nix/nix.conf'
exits 0 on a '/run/lab/movein apply --json'
exits 0 on a '/run/lab/movein plan --detailed-exitcode'
STATE=$(state)
ok "the current generation is the first of two" grep -q 'profiles/home-manager l .* home-manager-1-link$' <<<"$STATE"

# -- the store and its database
kind "database lost" "home-build nix-install" "db.sqlite" 'sudo rm -rf /nix/var/nix/db'
kind "database garbage" "home-build nix-install" "is no SQLite database" \
	'echo junk | sudo tee /nix/var/nix/db/db.sqlite >/dev/null' \
	'grep -qx junk /nix/var/nix/db.movein-broken-*/db.sqlite' 'nix/db\.movein-broken'
kind "database corrupt inside" "home-build nix-install" "db.sqlite" \
	'cd /nix/var/nix/db; sudo rm -f db.sqlite-wal db.sqlite-shm; sudo dd if=/dev/zero of=db.sqlite bs=4096 seek=1 count=40 conv=notrunc status=none' \
	true 'nix/db\.movein-broken'
kind "database without a schema" "home-build nix-install" "has no readable schema" 'echo x | sudo tee /nix/var/nix/db/schema >/dev/null' true 'nix/db\.movein-broken'
kind "library changed" "nix-install" "was changed" 'append "$(inside libsodium "*.so*")"'
kind "library changed, its time set back" "nix-install" "was changed" \
	'f=$(inside libsodium "*.so*"); t=$(stat -c %y "$f"); append "$f"; sudo touch -d "$t" "$f"'
kind "library deleted" "nix-install" "is missing" 'sudo rm -rf "$(lib libsodium)"'
kind "Nix itself deleted" "nix-install" "is missing" 'sudo rm -rf "$(lib nix-2)"'
kind "store closed to users" "nix-install" "users cannot read it" 'sudo chmod 700 /nix/var/nix'
kind "cache emptied, library changed" "nix-fetch nix-install" "download" 'rm -rf ~/.cache/movein; append "$(inside libsodium "*.so*")"'
kind "part of a download, library deleted" "nix-fetch nix-install" "download" \
	'head -c 5000000 "$(tarball)" >~/.cache/movein/"$(sha)".part; rm "$(tarball)"; sudo rm -rf "$(lib libsodium)"' \
	'[ ! -e ~/.cache/movein/*.part ]'
ok "the download went on where it was" grep -q '"range":"bytes=5000000-","status":206' "$HOSTLAB_WORK/machines/$SCENARIO-a/mirror/access.log"
kind "junk for a part, library deleted" "nix-fetch nix-install" "download" \
	'echo junk >~/.cache/movein/"$(sha)".part; rm "$(tarball)"; sudo rm -rf "$(lib libsodium)"'
kind "download damaged, library deleted" "nix-fetch nix-install" "download" 'echo junk >>"$(tarball)"; sudo rm -rf "$(lib libsodium)"'
kind "half unpacked" "nix-install" "/nix/.movein-unpack" \
	'sudo mkdir -p /nix/.movein-unpack/store/junk /nix/.movein-trash/old; sudo touch /nix/.movein-unpack/store/junk/file; sudo chmod -R a-w /nix/.movein-unpack/store'

# -- the default profile
kind "default profile's generation lost" "nix-install" "/nix/var/nix/profiles/default" 'sudo rm $profiles/default-1-link'
kind "default profile lost" "nix-install" "/nix/var/nix/profiles/default" 'sudo rm $profiles/default'
kind "default profile's environment deleted" "nix-install" "/nix/var/nix/profiles/default" 'sudo rm -rf "$(readlink $profiles/default-1-link)"'

# -- units, settings, users
kind "unit edited" "nix-daemon" "nix-daemon.service" 'echo "# mine" | sudo tee -a $units/nix-daemon.service >/dev/null' \
	'rootkept $units/nix-daemon.service | grep -qx "# mine"'
kind "units deleted" "nix-daemon" "nix-daemon.socket" 'sudo rm $units/nix-daemon.service $units/nix-daemon.socket'
kind "units deleted, systemd knows" "nix-daemon" "nix-daemon.socket" \
	'sudo systemctl disable --quiet --now nix-daemon.socket; sudo rm $units/nix-daemon.service $units/nix-daemon.socket; sudo systemctl daemon-reload'
kind "unit masked" "nix-daemon" "nix-daemon.service" 'sudo ln -sfn /dev/null $units/nix-daemon.service; sudo systemctl daemon-reload' \
	'rootkept $units/nix-daemon.service | grep -q /dev/null'
kind "unit disabled" "nix-daemon" "enable" 'sudo systemctl disable --quiet nix-daemon.socket'
kind "socket dead, its file left" "nix-daemon" "does not answer" \
	'sudo systemctl kill --signal KILL nix-daemon.service || true; sudo systemctl stop nix-daemon.socket nix-daemon.service; [ -S /nix/var/nix/daemon-socket/socket ]'
kind "nix.conf without our line" "nix-config" "/etc/nix/nix.conf" 'sudo sed -i /movein.conf/d /etc/nix/nix.conf' \
	'[ "$(grep -c movein.conf /etc/nix/nix.conf)" = 1 ]; [ "$(grep -v movein.conf /etc/nix/nix.conf)" = "$(grep -v movein.conf /tmp/nix.conf)" ]' 'etc/nix/nix\.conf'
kind "nix.conf of another, no newline at its end" "nix-config" "/etc/nix/nix.conf" 'printf "cores = 3" | sudo tee /etc/nix/nix.conf >/dev/null' \
	'[ "$(head -n1 /etc/nix/nix.conf)" = "cores = 3" ]' 'etc/nix/nix\.conf'
kind "nix.conf deleted" "nix-config" "/etc/nix/nix.conf" 'sudo rm /etc/nix/nix.conf' true 'etc/nix/nix\.conf'
kind "movein.conf edited" "nix-config" "/etc/nix/movein.conf" 'echo "max-jobs = 1" | sudo tee -a /etc/nix/movein.conf >/dev/null' \
	'rootkept /etc/nix/movein.conf | grep -qx "max-jobs = 1"'
kind "movein.conf deleted" "nix-config" "/etc/nix/movein.conf" 'sudo rm /etc/nix/movein.conf'
kind "login hook edited" "nix-config" "movein-nix.sh" 'echo "# mine" | sudo tee /etc/profile.d/movein-nix.sh >/dev/null' \
	'[ "$(rootkept /etc/profile.d/movein-nix.sh)" = "# mine" ]'
kind "group emptied" "nix-install" "has no members" 'sudo gpasswd -M "" nixbld'
kind "group deleted, its users left" "nix-install" "nixbld" 'sudo sed -i /^nixbld:/d /etc/group /etc/gshadow'
kind "build users deleted" "nix-install" "nixbld" 'for i in $(seq 32); do sudo userdel "nixbld$i"; done'
kind "build users deleted, the group lists them" "nix-install" "nixbld" 'sudo sed -i /^nixbld/d /etc/passwd /etc/shadow'

# -- the home
kind "link deleted" "home-activate" ".config/hostlab/host" 'rm ~/.config/hostlab/host'
kind "link replaced by a file" "home-activate" "replace" 'rm ~/.config/hostlab/host; echo mine >~/.config/hostlab/host; chmod 600 ~/.config/hostlab/host' \
	'[ "$(kept .config/hostlab/host)" = mine ]; entry .config/hostlab/host | grep -q "\"mode\": \"0600\""'
kind "link replaced by a directory" "home-activate" "replace" 'rm ~/.config/hostlab/host; mkdir -p ~/.config/hostlab/host/a; echo mine >~/.config/hostlab/host/a/b' \
	'[ "$(kept .config/hostlab/host/a/b)" = mine ]'
kind "link replaced by another link" "home-activate" "replace" 'ln -sfn /etc/hostname ~/.config/hostlab/host' \
	'entry .config/hostlab/host | grep -q "\"target\": \"/etc/hostname\""'
kind "directory of links replaced by a file" "home-activate" "replace" 'rm -r ~/.config/hostlab; echo mine >~/.config/hostlab' \
	'[ "$(kept .config/hostlab)" = mine ]'
kind "all links lost" "home-activate" "aliases" 'rm -r ~/.config/hostlab'
kind "links of another generation" "home-activate" "to update" \
	'gen=$(readlink ~/.local/state/nix/profiles/home-manager-2-link); for f in host aliases; do ln -sfn "$gen/home-files/.config/hostlab/$f" ~/.config/hostlab/$f; done'
kind "profile lost" "home-activate" "is not the active generation" 'rm ~/.local/state/nix/profiles/home-manager'
kind "garbage collector's root lost" "home-build" "garbage collector" 'rm -r ~/.local/state/movein/gcroots'
kind "generation deleted from the store" "home-build nix-install" "no longer in the store" 'sudo rm -rf "$(readlink -f ~/.local/state/nix/profiles/home-manager)"'
kind "generation's link lost" "home-activate" "is not the active generation" 'rm ~/.local/state/nix/profiles/home-manager-1-link' true 'profiles/home-manager'
kind "all profiles of the home lost" "home-activate" "is not the active generation" 'rm -r ~/.local/state/nix' true 'profiles/home-manager'
kind "generation collected as garbage, and what Nix does not need" "home-activate home-build" "no longer in the store" \
	'rm -r ~/.local/state/nix ~/.local/state/movein/gcroots; nix-store --gc >/dev/null 2>&1' \
	true 'profiles/home-manager|nix/gc-socket'

# -- the repository
kind "clone's HEAD detached" "home-repo" "detached" 'cat $repo/.git/refs/heads/main >$repo/.git/HEAD.new; mv $repo/.git/HEAD.new $repo/.git/HEAD'
kind "clone deleted" "home-repo" "clone" 'rm -rf $repo'
kind "clone half deleted" "home-repo" "clone" 'rm -rf $repo; mkdir $repo'

# -- movein's own memory
REPO=$HOME_REPO kind "home.json deleted" "home-build" "not built yet" 'rm ~/.local/state/movein/home.json'
REPO=$HOME_REPO kind "home.json garbage" "home-build" "not built yet" 'echo "{" >~/.local/state/movein/home.json'
kind "receipt deleted" "nix-install" "nix.json" 'sudo rm /var/lib/movein/nix.json'
kind "receipt garbage" "nix-install" "nix.json" 'echo "{" | sudo tee /var/lib/movein/nix.json >/dev/null'
kind "journals deleted" "" "" 'sudo rm ~/.local/state/movein/journal.json /var/lib/movein/journal.json'
kind "memory of files deleted" "" "" 'sudo rm /var/lib/movein/files.json'
kind "cache emptied" "" "" 'rm -rf ~/.cache/movein'
kind "everything at once" "home-activate home-build home-repo nix-config nix-daemon nix-fetch nix-install" "db.sqlite" '
	sudo systemctl disable --quiet --now nix-daemon.socket nix-daemon.service
	sudo rm -rf /nix/var/nix/db $profiles/default $units/nix-daemon.* "$(lib libsodium)" /etc/nix ~/.config/hostlab ~/.config/home-manager
	sudo gpasswd -M "" nixbld; rm -rf ~/.cache/movein ~/.local/state/nix' true 'etc/nix/nix\.conf'
# -- and what is no damage
kind "another Nix in the default profile, ours removed" "home-build" "Nix changed" '
	old=$(lib nix-2); sudo cp -r "$old" /tmp/nix-2.99.0; new=$(sudo "$old/bin/nix-store" --add /tmp/nix-2.99.0)
	sudo "$old/bin/nix-env" --quiet --profile $profiles/default --set "$new"
	sudo "$old/bin/nix-env" --quiet --profile $profiles/default --delete-generations old
	sudo rm -rf "$old"' \
	'[ "$(readlink $profiles/default)" = default-2-link ]; [ ! -e $store/*-nix-2.3* ]' '^/nix/store|profiles/default|disappeared|not all store errors'
KINDS=$((KINDS - 1))
figure repair "$KINDS" kinds
