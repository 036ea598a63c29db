# shellcheck shell=sh
# shellcheck disable=SC2154 # config_user, config_home and store are set in lines before these
# Brings the home into the state of this generation. It does what home-manager's script of
# the same name does, with what every host has: a POSIX shell, coreutils or busybox, Nix.
#
#   activate [--driver-version 0|1]    0 (default): also make this the profile's generation
#                                      1: the caller has done or will do that
#   USER, HOME                         have to be those of the configuration
#   SKIP_SANITY_CHECKS=1               … unless this is set
#   DRY_RUN                            if set, change nothing; the exit status is that of the checks
#   HOME_MANAGER_BACKUP_EXT            files in the way are moved to NAME.EXT
#   HOME_MANAGER_BACKUP_OVERWRITE      … also if NAME.EXT exists
#   XDG_STATE_HOME                     where profile and garbage collector root are
set -eu

say() { printf '%s\n' "$*"; }
die() {
	say "Error: $*"
	exit 1
}

driver=0
while [ $# -gt 0 ]; do
	case $1=${2-} in
	--driver-version=0 | --driver-version=1) driver=$2 ;;
	--driver-version=*) die "unknown driver version \"${2-}\"" ;;
	*) die "unknown argument \"$1\"" ;;
	esac
	shift 2
done

[ -n "${USER-}" ] || die "USER is not set"
[ -n "${HOME-}" ] || die "HOME is not set"
if [ "${SKIP_SANITY_CHECKS-}" != 1 ]; then
	[ "$USER" = "$config_user" ] || die "USER is \"$USER\", expected \"$config_user\""
	[ "$(cd -P -- "$HOME" && pwd)" = "$(cd -P -- "$config_home" && pwd)" ] ||
		die "HOME is \"$HOME\", expected \"$config_home\""
fi
cd -- "$HOME"
for program in nix-env nix-store; do
	command -v "$program" >/dev/null || {
		say "Error: $program is not in PATH"
		exit 127
	}
done

case $0 in
*/*) generation=$(cd -P -- "${0%/*}" && pwd) ;;
*) die "call this by its path" ;;
esac
case $generation in
"$store"/*-home-manager-generation) ;;
*) die "$generation is not a generation" ;;
esac
state=${XDG_STATE_HOME:-$HOME/.local/state}
roots=$state/home-manager/gcroots
files=$(cd -P -- "$generation/home-files" && pwd)
old_files=
if [ -d "$roots/current-home/home-files" ]; then
	old_files=$(cd -P -- "$roots/current-home/home-files" && pwd)
fi

exists() { [ -e "$1" ] || [ -L "$1" ]; }

# walk TREE [SUBDIRECTORY/]: the paths of all files and links in TREE, one a line.
walk() {
	for entry in "$1/${2-}"* "$1/${2-}".[!.]* "$1/${2-}"..?*; do
		if [ -d "$entry" ] && [ ! -L "$entry" ]; then
			walk "$1" "${entry#"$1/"}/"
		elif exists "$entry"; then
			printf '%s\n' "${entry#"$1/"}"
		fi
	done
}

# leaf FILE: it is there and no directory of its own.
leaf() { exists "$1" && { [ -L "$1" ] || [ ! -d "$1" ]; }; }

# managed FILE: it is a link that some generation has made.
managed() {
	case $(readlink "$1") in
	"$store"/*-home-manager-files/*) ;;
	*) return 1 ;;
	esac
}

# same A B: both are files with the same contents. Not every host has cmp.
same() {
	[ -f "$1" ] && [ -f "$2" ] || return 1
	if command -v cmp >/dev/null; then
		cmp -s "$1" "$2"
	else
		[ "$(cat "$1" && echo .)" = "$(cat "$2" && echo .)" ]
	fi
}

collisions=
collision() {
	say "$*"
	collisions=yes
}

# check FILE: is anything in its way that must not be lost?
check() {
	dir=$1
	while [ "$dir" != "${dir%/*}" ]; do
		dir=${dir%/*}
		if exists "$dir" && [ ! -d "$dir" ] && ! managed "$dir"; then
			collision "Existing file '$HOME/$dir' would be clobbered by a directory"
			return 0
		fi
	done
	if [ ! -e "$1" ] || managed "$1"; then
		:
	elif same "$files/$1" "$1"; then
		[ -L "$1" ] || say "Existing file '$HOME/$1' is in the way of '$files/$1', will be skipped since they are the same"
	elif [ -L "$1" ] || [ -z "${HOME_MANAGER_BACKUP_EXT-}" ]; then
		collision "Existing file '$HOME/$1' would be clobbered"
	else
		backup=$1.$HOME_MANAGER_BACKUP_EXT
		if [ -d "$backup" ] || { exists "$backup" && [ -z "${HOME_MANAGER_BACKUP_OVERWRITE-}" ]; }; then
			collision "Existing file '$HOME/$backup' would be clobbered by backing up '$HOME/$1'"
		else
			say "Existing file '$HOME/$1' is in the way of '$files/$1', will be moved to '$HOME/$backup'"
		fi
	fi
}

# link FILE: make it lead to this generation. check has passed.
link() {
	if [ ! -L "$1" ] && same "$files/$1" "$1"; then
		return 0
	fi
	[ "$(readlink "$1")" != "$files/$1" ] || return 0
	if [ -n "${DRY_RUN+set}" ]; then
		say "Would link '$HOME/$1'"
		return 0
	fi
	if [ -e "$1" ] && [ ! -L "$1" ]; then
		mv -f -- "$1" "$1.$HOME_MANAGER_BACKUP_EXT"
	fi
	case $1 in
	*/*) mkdir -p -- "${1%/*}" ;;
	esac
	ln -sfn -- "$files/$1" "$1"
}

# drop FILE: remove what the old generation linked, and directories that are empty then.
drop() {
	if leaf "$files/$1" || [ ! -L "$1" ]; then
		return 0
	fi
	if ! managed "$1"; then
		say "Path '$HOME/$1' does not link into a generation. Skipping delete."
		return 0
	fi
	if [ -n "${DRY_RUN+set}" ]; then
		say "Would remove '$HOME/$1'"
		return 0
	fi
	rm -f -- "$1"
	dir=$1
	while [ "$dir" != "${dir%/*}" ]; do
		dir=${dir%/*}
		rmdir -- "$dir" 2>/dev/null || break
	done
}

# each FUNCTION TREE: call it for every file of the tree, in this shell.
each() {
	while IFS= read -r file; do
		[ -z "$file" ] || "$1" "$file"
	done <<-END
		$(walk "$2")
	END
}

say "Starting home activation of $generation"
each check "$files"
[ -z "$collisions" ] || die "nothing was changed. Move these files away, or set HOME_MANAGER_BACKUP_EXT (it does not apply to links)"

if [ -z "${DRY_RUN+set}" ]; then
	# From here on the garbage collector must not take it. This also asks Nix, before any change.
	mkdir -p -- "$roots"
	nix-store --realise "$generation" --add-root "$roots/new-home" >/dev/null
	if [ "$driver" = 0 ]; then
		profiles=$state/nix/profiles
		[ -d "$profiles" ] || [ ! -d "${NIX_STATE_DIR:-/nix/var/nix}/profiles/per-user/$USER" ] ||
			profiles=${NIX_STATE_DIR:-/nix/var/nix}/profiles/per-user/$USER
		mkdir -p -- "$profiles"
		if [ "$(cd -P -- "$profiles/home-manager" 2>/dev/null && pwd)" != "$generation" ]; then
			nix-env --profile "$profiles/home-manager" --set "$generation"
		fi
	fi
fi

[ -z "$old_files" ] || [ "$old_files" = "$files" ] || each drop "$old_files"
each link "$files"

if [ -z "${DRY_RUN+set}" ]; then
	nix-store --realise "$generation" --add-root "$roots/current-home" >/dev/null
	rm -f -- "$roots/new-home"
fi
