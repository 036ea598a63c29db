#!/usr/bin/env bash
# With 1000 files of chezmoi's and 300 links of home-manager's a rerun writes nothing, and each real change is still seen.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
. "$LAB/lib/home.sh"
for ((i = 0; i < 1000; i++)); do cz "dot_config/cz-$((i % 40))/file-$i"; done
for ((i = 0; i < 300; i++)); do hm ".config/hm-$((i % 20))/file-$i"; done
publish
host a debian --ro "$CHEZMOI:/usr/local/bin/chezmoi"
exits 0 on a "$APPLY --json"
exits 0 on a '/run/lab/movein apply --json'
home a >"$WORK/settled"
as_root a 'touch /run/since'
exits 0 on a '/run/lab/movein apply --json'
ok "the rerun changes nothing" [ "$(summary changed)" = false ]
ok "and writes nothing but its lock and its journal" nothing "$(as_root a 'find /home /nix /etc /var/lib/movein -xdev -newer /run/since -type f -not -name lock -not -name journal.json -not -path "/nix/var/nix/*"')"

# mends WHAT COMMAND: after COMMAND a run changes something, and the home is as before but for times.
mends() {
	on a "cd ~/.config; $2"
	exits 0 on a '/run/lab/movein apply --on-modified backup --json'
	[[ $(summary changed) == true ]] || die "$1 is not seen"
	home a >"$WORK/now"
	ok "$1 is seen and mended" nothing "$(moved "$WORK/settled" "$WORK/now" | grep -v '	mtime [0-9. ]*$' || true)"
	exits 0 on a '/run/lab/movein apply --json'
	[[ $(summary changed) == false ]] || die "$1: the run after it changes something"
}
mends "one byte, the time and the size as they were" 'f=cz-3/file-3; touch -r $f ../t; printf "%s" "?" | dd of=$f bs=1 conv=notrunc status=none; touch -r ../t $f; rm ../t'
mends "a mode" 'chmod 600 cz-7/file-47'
mends "a file that is gone" 'rm cz-39/file-999'
mends "a file that is a link now" 'mv cz-1/file-1 x; ln -s ../x cz-1/file-1; rm x'
mends "another file by the same name and time" 'f=cz-5/file-5; cp -p $f y; echo other >y; touch -r $f y; mv y $f'
mends "a link that is gone" 'rm hm-4/file-4'
mends "a link that leads elsewhere" 'ln -sfn /etc/passwd hm-19/file-299'
mends "a directory that is gone" 'rm -r cz-11'
figure noop-1000 "$CHECKS" checks
