# Shared by the scenarios about the home: a home flake and dotfiles of their own, what may be
# in a home before, and what a home is. After lib.sh.
# shellcheck shell=bash
WORK=$(mktemp -d "$HOSTLAB_WORK/$SCENARIO-XXXXXX")
trap 'clean "$WORK"' EXIT
MIRROR=$WORK/mirror
cp -al "$HOSTLAB_WORK/mirror" "$MIRROR"
rm -rf "$MIRROR/github.com/mitsio"
cp -a "$LAB/lib/home" "$WORK/flake" # files/: the home's, by home-manager
mkdir -p "$WORK/dotfiles"
APPLY="/run/lab/movein apply $HOME_REPO --dotfiles $DOTFILES"

# publish: what is in $WORK/flake and $WORK/dotfiles becomes the next commit of each.
publish() {
	local repo
	for repo in home-manager=flake dotfiles=dotfiles; do
		(
			export GIT_DIR=$MIRROR/github.com/mitsio/${repo%=*}.git GIT_WORK_TREE=$WORK/${repo#*=} GIT_CONFIG_NOSYSTEM=1 HOME=/nonexistent
			export GIT_AUTHOR_NAME=hostlab GIT_AUTHOR_EMAIL=hostlab@example.org GIT_COMMITTER_NAME=hostlab GIT_COMMITTER_EMAIL=hostlab@example.org
			[[ -d $GIT_DIR ]] || env -u GIT_DIR -u GIT_WORK_TREE git init --quiet --bare --initial-branch=main "$GIT_DIR"
			git -c core.bare=false add --all --force .
			git -c core.bare=false diff --cached --quiet HEAD 2>/dev/null || git -c core.bare=false commit --quiet --message "$repo"
		)
	done
}

# with_input NAME SED: the home flake has an input, the directory $WORK/input/NAME, as GitHub has
# one, and locks it; SED makes it use that. Before publish.
with_input() {
	local rev hash
	rev=$(printf %s "$1" | sha1sum | cut -d' ' -f1)
	hash=$(nix --extra-experimental-features nix-command hash path "$WORK/input/$1")
	mkdir -p "$MIRROR/github.com/mitsio/$1/archive"
	tar -C "$WORK/input" --sort=name --mtime=@1 --owner=0 --group=0 --mode=u=rwX,go=rX -czf "$MIRROR/github.com/mitsio/$1/archive/$rev.tar.gz" "$1"
	sed -i "s/outputs = { self }:/inputs.$1 = { url = \"github:mitsio\\/$1\"; flake = false; };\n  outputs = { self, $1 }:/; $2" "$WORK/flake/flake.nix"
	cat >"$WORK/flake/flake.lock" <<-JSON
		{ "nodes": { "$1": { "flake": false,
		  "locked": { "lastModified": 1, "narHash": "$hash", "owner": "mitsio", "repo": "$1", "rev": "$rev", "type": "github" },
		  "original": { "owner": "mitsio", "repo": "$1", "type": "github" } },
		  "root": { "inputs": { "$1": "$1" } } }, "root": "root", "version": 7 }
	JSON
}

# hm PATH [TEXT]: home-manager brings PATH. cz NAME [TEXT]: chezmoi brings what the name
# in its source says.
hm() { put "$WORK/flake/files/$1" "${2:-# home-manager: $1}"; }
cz() { put "$WORK/dotfiles/$1" "${2:-# chezmoi: $1}"; }
put() {
	mkdir -p "$(dirname "$1")"
	printf '%s\n' "$2" >"$1"
}

# Where home NAME is on this machine: what the host's user sees in ~.
home_of() { echo "$HOSTLAB_WORK/machines/$SCENARIO-$1/disk/home/mitsio"; }

# home NAME: a tree of the home, but for what programs keep for themselves, and the file by
# which movein's step session has units and the desktop find the home's programs.
home() { "$LAB/lib/snap" tree "$(home_of "$1")" .cache .local .config/home-manager .config/chezmoi .config/environment.d .nix-defexpr .nix-profile .sudo_as_admin_successful; }

# moved BEFORE AFTER: the paths that are not the same in two trees, and why. Times of
# directories are none: they change with what is in them; and of links, which are made anew.
moved() { "$LAB/lib/snap" diff <(untimed "$1") <(untimed "$2"); }
untimed() { awk -F'\t' -v OFS='\t' '$2 ~ /[dl]/ { $6 = 0 } { print }' "$1"; }

# covers PLAN CHANGED: each path of the plan changed as it says, and what changed beside them is
# a directory that was made on the way or is empty now, or was below what was replaced.
covers() {
	awk -F'\t' '
		FNR == NR { plan[$4] = $1; next }
		{ changed[$1] = $2 }
		END {
			for (p in plan) {
				how = !(p in changed) ? "same" : changed[p] ~ /^new / ? "create" : changed[p] ~ /^gone / ? "delete" : "replace"
				if (how != (plan[p] == "update" ? "replace" : plan[p])) { print "planned: " plan[p] " " p "; but it is: " changed[p]; bad = 1 }
			}
			for (c in changed) {
				if (c in plan) continue
				why = changed[c] ~ /^twin [^,]*$/ ? "another name of it" : ""
				for (p in plan) {
					if (changed[c] == "new d" && index(p, c "/") == 1) why = "made on the way"
					if (changed[c] == "gone d" && plan[p] == "delete" && index(p, c "/") == 1) why = "empty now"
					if (changed[c] ~ /^gone / && plan[p] ~ /replace|delete/ && index(c, p "/") == 1) why = "went with it"
				}
				if (why == "") { print "not planned: " c ": " changed[c]; bad = 1 }
			}
			exit bad
		}' "$1" "$2" >&2
}

# identical WHAT BEFORE NAME: home NAME is what it was in all that can be seen of it.
identical() {
	home "$3" >"$WORK/now"
	ok "$1" nothing "$("$LAB/lib/snap" diff "$2" "$WORK/now" | grep -v "^.of-root	owner 0:0 1000:1000$" || true)" # who is not root cannot give to root
}
nothing() { [[ -z $1 ]] || { printf '%s\n' "$1" >&2 && false; }; }

# claims: what home-manager and chezmoi bring, each kind of it where PLANT has something else.
claims() {
	hm .stow/live
	hm .stow/equal
	hm .stow/dangling
	hm .config/folded/mine
	hm .config/folded/deep/mine
	hm .config/equal
	hm .config/collide
	hm .config/in-the-way
	hm .config/dir-is-file/mine
	hm .config/fifo
	hm .big
	hm .config/plain
	cz dot_bashrc
	cz dot_config/link
	cz dot_config/dangling
	cz dot_config/of-home-manager
	cz dot_config/content
	cz dot_config/cz-dir-is-file/mine
	cz dot_config/cz-folded/mine
	cz dot_config/equal-too
	cz dot_config/cz-fifo
	cz dot_hard
	cz executable_dot_setuid
	cz dot_acl
	cz dot_xattr
	cz dot_read-only
	cz readonly_dot_writable
	cz dot_of-root
	cz dot_socket
	cz private_dot_private/file
	cz $'new\nline'
	cz $'not-utf8-\xff'
	cz symlink_dot_to-link /etc/hostname
	cz dot_config/host.tmpl 'host = {{ .chezmoi.hostname }}'
}

# PLANT, for the user's shell: what is in the home before. The rest of it is root's.
# shellcheck disable=SC2016
PLANT='
	set -eu
	cd
	attr() { perl -e '\''my ($n, $k, $v) = @ARGV; $v = pack "H*", $v; syscall(188, $n, $k, $v, length $v, 0) == 0 or die "$n: $k: $!\n"'\'' "$@"; }
	umask 022
	mkdir -p .stow .config old-dotfiles/folded/deep old-dotfiles/folded/other old-dotfiles/cz-folded
	echo "old live" >old-dotfiles/live; ln -s ../old-dotfiles/live .stow/live
	echo "# home-manager: .stow/equal" >old-dotfiles/equal; ln -s ../old-dotfiles/equal .stow/equal
	ln -s ../old-dotfiles/gone .stow/dangling
	echo mine >old-dotfiles/folded/mine; echo other >old-dotfiles/folded/deep/other; echo more >old-dotfiles/folded/other/more; chmod 700 old-dotfiles/folded/deep
	ln -s ../old-dotfiles/folded .config/folded
	echo cz >old-dotfiles/cz-folded/other; ln -s "$HOME/old-dotfiles/cz-folded" .config/cz-folded
	echo "# home-manager: .config/equal" >.config/equal
	echo old >.config/collide; echo older >.config/collide.backup; echo oldest >.config/collide.hm-backup
	mkdir -p .config/in-the-way/sub .config/in-the-way/closed
	echo a >.config/in-the-way/a; ln .config/in-the-way/a .config/in-the-way/sub/a-too; ln .config/in-the-way/a .a-outside
	mkfifo .config/in-the-way/fifo; ln -s a .config/in-the-way/link
	echo n >".config/in-the-way/new
line"; printf x >"$(printf ".config/in-the-way/\\377")"; attr .config/in-the-way/sub user.hostlab 0001ff
	echo c >.config/in-the-way/closed/c; chmod 400 .config/in-the-way/closed/c; chmod 500 .config/in-the-way/closed
	echo file >.config/dir-is-file; echo file >.config/cz-dir-is-file; chmod 640 .config/cz-dir-is-file
	mkfifo -m 600 .config/fifo .config/cz-fifo
	echo "alias old=1" >>.bashrc
	echo linked >old-dotfiles/link; ln -s "$HOME/old-dotfiles/link" .config/link
	ln -s nowhere .config/dangling
	ln -s /nix/store/00000000000000000000000000000000-home-manager-files/.config/of-home-manager .config/of-home-manager
	mkdir -p .config/content; echo 1 >.config/content/1; echo 2 >.config/content/2
	echo "# chezmoi: dot_config/equal-too" >.config/equal-too
	echo hard >.hard; ln .hard .hard-too
	echo setuid >.setuid; chmod 4755 .setuid
	echo acl >.acl; attr .acl system.posix_acl_access 0200000001000600ffffffff020004000100000004000400ffffffff10000400ffffffff20000000ffffffff
	echo xattr >.xattr; attr .xattr user.hostlab 00ff0a; attr .xattr user.empty ""
	echo read-only >.read-only; chmod 444 .read-only
	echo writable >.writable; chmod 666 .writable
	perl -MSocket -e '\''my $s; socket($s, AF_UNIX, SOCK_STREAM, 0) && bind($s, sockaddr_un(".socket")) or die $!'\''
	mkdir -p .private; chmod 755 .private
	echo old >"new
line"; echo old >"$(printf "not-utf8-\\377")"
	ln -s /etc/hosts .to-link
	touch -d "2001-02-03 04:05:06.789" .bashrc .config/collide .config/in-the-way/a .config/in-the-way
	touch -h -d "2001-02-03 04:05:06.789" .stow/live
	head -c ${REAL:-20000000} /dev/urandom >.big; truncate -s 300M .big; printf end >>.big
'
# shellcheck disable=SC2016
PLANT_ROOT='echo root >/home/mitsio/.of-root; chmod 644 /home/mitsio/.of-root'
