#!/usr/bin/env bash
# The real gnome-keyring and the real KeePassXC, each as the Secret Service of a bus of its own: what one program stores the other finds, and nothing waits for a window that nobody sees.
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/vault.sh"
for name in master token api stored; do canary "$name"; done

WORK=$(mktemp -d)
STARTED=()
ended() {
	local status=$?
	kill "${STARTED[@]}" 2>/dev/null || true
	wait "${STARTED[@]}" 2>/dev/null || true
	rm -rf "$WORK"
	exit "$status"
}
trap ended EXIT
export HOME=$WORK/home XDG_CONFIG_HOME=$WORK/home/.config XDG_STATE_HOME=$WORK/home/.local/state XDG_DATA_HOME=$WORK/home/.local/share XDG_CACHE_HOME=$WORK/home/.cache
export XDG_RUNTIME_DIR=$WORK/run LC_ALL=C.UTF-8 DISPLAY=
unset WAYLAND_DISPLAY
mkdir -p "$HOME/repo" "$XDG_CONFIG_HOME/movein"
mkdir -m 700 "$XDG_RUNTIME_DIR"
echo "{ outputs = _: { }; }" >"$HOME/repo/flake.nix"

vault "$WORK/my.kdbx" "$(
	entry Forges forge git git.example.org "${CANARY[token]}"
	entry Cloud api api token "${CANARY[api]}"
	entry Cloud by-title '' '' "${CANARY[stored]}"
)"
echo "${CANARY[master]}" >"$WORK/password"
chmod 600 "$WORK/password"
cat >"$XDG_CONFIG_HOME/movein/movein.toml" <<TOML
vault = "$WORK/my.kdbx"
vault-idle = "0"
yes = true
[secrets]
api = { service = "api", key = "token", keyring = true }
titled = { entry = "Cloud/by-title" }
TOML

# within SECONDS COMMAND...: COMMAND, its exit code, and no more than these seconds.
within() {
	local began=$EPOCHREALTIME code=0
	"${@:2}" </dev/null || code=$?
	awk -v a="$began" -v b="$EPOCHREALTIME" -v most="$1" 'BEGIN { exit b - a > most }' || { echo "it took more than $1 s: ${*:2}" >&2 && return 99; }
	return "$code"
}
get() { "$MOVEIN" secret get "$@"; }
is() { [[ $("${@:2}") == "$1" ]]; }
# Only what is handed on: nothing else of this machine is the scenario's business.
hand_on() {
	"$MOVEIN" apply "$HOME/repo" --password-file "$WORK/password" --json --only secrets \
		--skip nix-fetch,nix-install,nix-config,nix-daemon,home-build,chezmoi-fetch,home-activate,dotfiles-repo
}

# bus: a bus of its own, on which nothing is started by itself.
bus() {
	cat >"$WORK/bus.conf" <<-XML
		<busconfig><type>session</type><listen>unix:path=$WORK/$1.bus</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
	XML
	dbus-daemon --config-file="$WORK/bus.conf" --nofork --nopidfile 2>"$WORK/bus.log" &
	STARTED+=($!)
	export DBUS_SESSION_BUS_ADDRESS=unix:path=$WORK/$1.bus
	await test -S "$WORK/$1.bus"
}
await() {
	for ((i = 0; i < 400; i++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.05
	done
	die "in vain waited for: $*"
}
# service LOCKED COMMAND...: start a program as the Secret Service, in place of the one
# before, and wait until its keyring is there, locked (true) or open (false).
SERVICE=
service() {
	if [[ -n $SERVICE ]]; then
		kill "$SERVICE"
		wait "$SERVICE" 2>/dev/null || true
	fi
	"${@:2}" <&0 >"$WORK/service.log" 2>&1 & # the shell would give it no input
	SERVICE=$!
	STARTED+=("$SERVICE")
	await locked "$1"
}
locked() {
	[[ $(busctl --address="$DBUS_SESSION_BUS_ADDRESS" get-property org.freedesktop.secrets /org/freedesktop/secrets/aliases/default org.freedesktop.Secret.Collection Locked) == "b $1" ]]
}

bus gnome
gnome() { exec gnome-keyring-daemon --foreground --components=secrets --control-directory="$XDG_RUNTIME_DIR" "$@"; }
service false gnome --unlock <<<login
await test -f "$XDG_DATA_HOME/keyrings/login.keyring"
secret-tool store --label=stored service rclone key config-password <<<"${CANARY[stored]}"
ok "gnome-keyring: what secret-tool stored is found" is "${CANARY[stored]}" within 2 get rclone config-password --vault none
exits 0 hand_on
ok "gnome-keyring: what is handed on secret-tool finds" is "${CANARY[api]}" secret-tool lookup service api key token
exits 0 hand_on
ok "gnome-keyring: and a second time it has it already" [ "$(summary changed)" = false ]
exits 77 within 2 get titled
ok "gnome-keyring: remembered, the master password opens the vault" is "${CANARY[stored]}" get titled --remember --password-file "$WORK/password"
ok "gnome-keyring: and nobody has to give it again" is "${CANARY[stored]}" within 5 get titled
exits 0 "$MOVEIN" secret forget
exits 77 within 2 get titled
ok "gnome-keyring: forgotten, it does not" nothing "$(secret-tool search --all service movein 2>/dev/null)"
service true gnome
exits 77 within 2 get rclone config-password --vault none
says "the keyring is locked"
exits 77 within 2 get titled
ok "gnome-keyring, locked: nothing waits" nothing "$(pgrep --parent "$SERVICE")"

bus keepassxc
mkfifo "$WORK/display"
Xvfb -displayfd 5 -screen 0 640x480x24 -nolisten tcp 5>"$WORK/display" >/dev/null 2>&1 &
STARTED+=($!)
read -r display <"$WORK/display"
# keepassxc CONFIRM [option]: KeePassXC, with nobody before the display.
keepassxc() {
	printf '[General]\nConfigVersion=2\n[GUI]\nCheckForUpdates=false\n[FdoSecrets]\nEnabled=true\nShowNotification=false\nConfirmAccessItem=%s\n' "$1" >"$WORK/keepassxc.ini"
	exec env DISPLAY=":$display" keepassxc --config "$WORK/keepassxc.ini" "${@:2}" "$WORK/my.kdbx"
}
service false keepassxc false --pw-stdin <"$WORK/password"
ok "KeePassXC: what is in its vault is found, by the same names" is "${CANARY[token]}" within 2 get git git.example.org --vault none
ok "KeePassXC: secret-tool finds the same" is "${CANARY[token]}" secret-tool lookup service git key git.example.org
secret-tool store --label=stored service rclone key config-password <<<"${CANARY[stored]}"
ok "KeePassXC: what secret-tool stored is found" is "${CANARY[stored]}" within 2 get rclone config-password --vault none
await env DBUS_SESSION_BUS_ADDRESS= "$MOVEIN" secret get rclone config-password --password-file "$WORK/password" # it saves a moment later
ok "KeePassXC: and is in the vault, without it" is "${CANARY[stored]}" env DBUS_SESSION_BUS_ADDRESS= "$MOVEIN" secret get rclone config-password --password-file "$WORK/password"
exits 0 hand_on
ok "KeePassXC: what its vault has is handed on" [ "$(summary changed)" = false ]
exits 0 "$MOVEIN" secret get titled --remember --password-file "$WORK/password"
says "what opens the vault would be in the vault"
service false keepassxc true --pw-stdin <"$WORK/password" # its default: it asks, in a window that nobody sees
exits 77 within 4 get git git.example.org --vault none
ok "KeePassXC, which wants to ask: nothing waits for that" says "keepassxc (process $SERVICE)"
exits 0 within 8 hand_on
ok "KeePassXC, which wants to ask: what it has needs no handing on" nothing "$(grep '"warning"' <<<"$OUT")"
service true keepassxc true
exits 77 within 4 get git git.example.org --vault none
ok "KeePassXC, locked: nothing waits" says "the keyring is locked"
ok "KeePassXC, locked: the vault itself has it" is "${CANARY[token]}" within 5 get git git.example.org --password-file "$WORK/password"

figure keyrings "$CHECKS" checks
