# Written by movein: keeps a Nix daemon running where no systemd does; comes back at once.
# A second daemon would take the socket away from the first, so there is one keeper, and
# it starts none while another's answers.
bin=@bin@ log=/var/log/nix-daemon.log lock=/run/movein-nix-daemon.lock
if [ "$1" != keep ]; then
	command -v setsid >/dev/null || setsid() { "$@"; }
	setsid /bin/sh "$0" keep </dev/null >>$log 2>&1 &
	exit 0
fi
exec 9>>$lock
! command -v flock >/dev/null || flock -n 9 || exit 0
answers() {
	NIX_REMOTE=daemon $bin/nix-store --check-validity --print-invalid /nix/store/00000000000000000000000000000000-none >/dev/null 2>&1 9>&-
}
while [ -e $bin/nix-daemon ]; do
	if answers; then sleep 30 9>&-; else
		HOME=/root USER=root $bin/nix-daemon --daemon 9>&-
		sleep 1 9>&-
	fi
done
