#!/usr/bin/env bash
# Private repositories over ssh: a real sshd that wants a key, the key in the vault, the vault on a USB stick or on an ssh server; a server that is not known, or not the one it was, is refused.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"
. "$LAB/lib/vault.sh"

for name in master render; do canary "$name"; done
for name in deploy own host other; do ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$WORK/$name"; done
canary key "$(sed -n 3p "$WORK/deploy")" # a line of it
mkdir -p "$WORK/keys" "$WORK/keeper"
cp "$WORK/deploy.pub" "$WORK/keys/git"
cp "$WORK/own.pub" "$WORK/keys/keeper"
vault "$WORK/keeper/my.kdbx" "$(
	entry Keys deploy ssh git.example.org 'a passphrase of something else' "$(<"$WORK/deploy")"
	entry Web render web render "${CANARY[render]}"
)"

SHA256=$(sha256sum "$WORK/keeper/my.kdbx" | cut -d' ' -f1)
cp "$WORK/keeper/my.kdbx" "$MIRROR/github.com/my.kdbx"

hm .config/plain
cz dot_config/with-secret.tmpl '{{ (keepassxc "render").Password }}'
cz .chezmoi.toml.tmpl '[keepassxc]
    database = "/run/media/mitsio/stick/my.kdbx"'
cat >"$WORK/flake/movein.toml" <<<'dotfiles = "git@git.example.org:mitsio/dotfiles.git"'
publish
HOME_REPO=git@git.example.org:mitsio/home-manager.git

# sshd NAME KEY: the sshd of this machine beside a host, with this host key, in place of the
# one before. Its users have the vault's key and the user's own, and are root in truth.
sshd() {
	no_sshd "$1"
	cat >"$WORK/passwd" <<-TXT
		root:x:0:0::/root:/bin/false
		sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
		git:x:0:0::$MIRROR/github.com:/usr/bin/git-shell
		keeper:x:0:0::$WORK/keeper:/bin/sh
	TXT
	cat >"$WORK/sshd_config" <<-TXT
		ListenAddress 127.0.0.1
		HostKey $WORK/$2
		AuthorizedKeysFile $WORK/keys/%u
		StrictModes no
		AuthenticationMethods publickey
		PermitRootLogin prohibit-password
		PidFile $WORK/sshd.pid
	TXT
	lab beside "$SCENARIO-$1" unshare --mount sh -c 'mount --bind "$1/passwd" /etc/passwd && mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "$1/sshd_config"' sh "$WORK"
	for ((i = 0; i < 200; i++)); do
		[[ ! -s $WORK/sshd.pid ]] || return 0
		sleep 0.05
	done
	die "no sshd: $(tail -n3 "$HOSTLAB_WORK/machines/$SCENARIO-$1/beside.log")"
}
no_sshd() {
	[[ ! -s $WORK/sshd.pid ]] || kill "$(<"$WORK/sshd.pid")"
	rm -f "$WORK/sshd.pid"
}
# run COMMAND...: movein, with the master password on standard input; what it says, in one line.
run() { on a "/run/lab/movein $*" <<<"${CANARY[master]}" | tr -s ' \n' ' '; }
cloned() { as_root a 'test -d /home/mitsio/.config/home-manager -a -d /home/mitsio/.local/share/chezmoi'; }
not() { ! "$@" 2>/dev/null; }

host a debian
as_root a 'echo "127.0.0.1 hostlab-ssh git.example.org" >>/etc/hosts; mkdir -p /run/media/mitsio/stick; loginctl enable-linger mitsio
	cat >/run/media/mitsio/stick/my.kdbx; chown -R mitsio: /run/media/mitsio; chmod 600 /run/media/mitsio/stick/my.kdbx' <"$WORK/keeper/my.kdbx"
sshd a host
spies a

exits 77 run apply "$HOME_REPO" --vault /run/media/mitsio/stick/my.kdbx --password-fd 0 --yes
says "the server's ssh key is not trusted: git.example.org shows ssh-ed25519 $(ssh-keygen -lf "$WORK/host.pub" | cut -d' ' -f2)"
says "--accept-new"
ok "a server that nobody knows: its fingerprint is told, and nothing is cloned" not cloned
exits 77 run apply "$HOME_REPO" --vault none --yes --accept-new
ok "without a key: nothing is cloned either" not cloned
run secret get web render --vault /run/media/mitsio/stick/my.kdbx --password-fd 0 >/dev/null # from here on it is open
exits 0 at_terminal a 'Is that the right one' "/run/lab/movein apply $HOME_REPO --vault /run/media/mitsio/stick/my.kdbx -v --log-file ~/log" <<<y
ok "somebody says that its fingerprint is right: with the key of the vault both repositories are there" cloned
ok "and the secret in the dotfiles" [ "$(on a 'cat ~/.config/with-secret')" = "${CANARY[render]}" ]
ok "the remotes are those that were given" [ "$(on a 'grep -h "url = " ~/.config/home-manager/.git/config ~/.local/share/chezmoi/.git/config | xargs')" = "url = $HOME_REPO url = git@git.example.org:mitsio/dotfiles.git" ]
exits 0 on a "/run/lab/movein apply --json </dev/null"
ok "again, the server is known: nothing to do" [ "$(summary changed)" = false ]

sshd a other
exits 0 run apply --yes --accept-new
ok "another key than before: nothing is taken from that server, whatever is accepted" says "the server's ssh key is another than before: git.example.org"
on a 'mv ~/.config/home-manager ~/away'
exits 1 run apply --password-fd 0 --yes --accept-new
ok "and nothing cloned" not cloned
exits 1 run apply git@github.com:mitsio/home-manager.git --yes --accept-new --vault none
ok "a server that says it is GitHub: refused, whatever is accepted" says "the server's ssh key is not the published one: github.com"
on a 'mv ~/away ~/.config/home-manager'

sshd a host
on a "/run/lab/movein secret lock"
exits 77 run secret get web render --vault keeper@git.example.org:my.kdbx --password-fd 0
ok "the vault is on an ssh server, which wants a key too" says "the server asks for a login"
as_root a 'install -d -o mitsio -m 700 /home/mitsio/.ssh; cat >/home/mitsio/.ssh/id_ed25519; chown mitsio: /home/mitsio/.ssh/id_ed25519; chmod 600 /home/mitsio/.ssh/id_ed25519' <"$WORK/own"
exits 0 run secret get web render --vault keeper@git.example.org:my.kdbx --password-fd 0
ok "with the user's own, the value is there" [ "$OUT" = "${CANARY[render]}" ]
on a "/run/lab/movein secret lock"
no_sshd a
exits 0 run secret get web render --password-fd 0
ok "and the next time without the server" [ "$OUT" = "${CANARY[render]}" ]
exits 78 run secret get web render --vault https://github.com/my.kdbx --password-fd 0 --yes
says "nobody confirmed that the vault at https://github.com/my.kdbx is the right one; its SHA-256 is $SHA256"
exits 0 run secret get web render --vault https://github.com/my.kdbx --vault-sha256 "$SHA256" --password-fd 0 --yes
ok "the vault is at an https address: with its digest" [ "$OUT" = "${CANARY[render]}" ]
ok "no secret is anywhere else" unseen a /home/mitsio/.config/with-secret render
figure private-ssh "$CHECKS" checks
