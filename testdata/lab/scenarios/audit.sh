#!/usr/bin/env bash
# What in a NixOS configuration belongs at home: by its syntax and by what the real Nix evaluates; drafts of modules; nothing of the configuration changes.
# shellcheck disable=SC2016,SC2088 # what stands in single quotes is for the shell of the host
. "$(dirname "$0")/lib.sh"
host a debian --ro "$(cd "$LAB/../audit" && pwd):/run/lab/audit"
AUDIT='/run/lab/movein audit'
on a 'cp -r /run/lab/audit/tree ~/tree; cp -r /run/lab/audit/evaluated ~/evaluated; chmod -R u+w ~/tree ~/evaluated'
trees() { on a 'cd && find tree evaluated -printf "%p %y %m %T@ %l\n" | LC_ALL=C sort; find tree evaluated -type f -exec sha256sum {} + | LC_ALL=C sort'; }
before=$(trees)

# without Nix, the syntax
exits 0 on a "$AUDIT ~/tree --json"
found() { grep -o "\"class\":\"$1\"" <<<"$OUT" | wc -l; }
ok "without Nix the syntax is read: home $(found home), system $(found system)" [ "$(found home)" -ge 40 -a "$(found system)" -ge 40 ]
exits 2 on a "$AUDIT ~/tree --exit-code"
exits 0 on a "$AUDIT ~/tree --markdown"
says '%'
exits 0 on a "$AUDIT ~/tree --write ~/drafts"
ok "drafts of modules are marked for review" on a 'ls ~/drafts/*.nix >/dev/null && grep -qi review ~/drafts/*.nix'
exits 73 on a "$AUDIT ~/tree --write ~/drafts"
exits 78 on a "$AUDIT ~/drafts/none"

# with Nix, what it evaluates
exits 0 on a '/run/lab/movein apply starter'
ok "the drafts parse" on a 'for f in ~/drafts/*.nix; do /nix/var/nix/profiles/default/bin/nix-instantiate --parse "$f" >/dev/null || exit 1; done'
exits 0 on a "$AUDIT ~/evaluated --source evaluate --json"
ok "what only an evaluation shows is found" grep -q '"option":"networking.hostName"' <<<"$OUT"
ok "and whose it is" grep -q '"hosts":\["one","two"\]' <<<"$OUT"
ok "nothing of the configurations changed" [ "$(trees)" = "$before" ]
figure audit "$CHECKS" checks
