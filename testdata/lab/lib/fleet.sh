# Hosts that an Ansible of this machine reaches over ssh, each through its own network
# namespace. For scenarios, after lib.sh; WORK is a directory for what it writes.
# shellcheck shell=bash
: "${WORK:?a directory}"
FLEET=() # names of the hosts
declare -A FLEET_VARS=()
export ANSIBLE_COLLECTIONS_PATH=$WORK/fleet ANSIBLE_COLLECTIONS_PATHS=$WORK/fleet # the second for 2.14
export ANSIBLE_CONFIG=$WORK/ansible.cfg ANSIBLE_HOME=$WORK/.ansible ANSIBLE_LOCAL_TEMP=$WORK/tmp ANSIBLE_SSH_CONTROL_PATH_DIR=$WORK/cp

# fleet_setup: Ansible, the images of the KINDs, keys, and the collection as movein exports it.
fleet_setup() {
	local kind kinds=()
	for tool in ansible-core openssh-client; do
		[[ $(dpkg-query -Wf '${db:Status-Status}' "$tool" 2>/dev/null) == installed ]] || {
			apt-get update -qq
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ansible-core openssh-client >/dev/null
		}
	done
	for kind; do kinds+=("$kind+ssh"); done
	"$LAB/hosts/make-host" "${kinds[@]}" 2>"$WORK/images.log" || { cat "$WORK/images.log" >&2 && exit 1; }
	ssh-keygen -q -t ed25519 -N '' -f "$WORK/key"
	printf '[defaults]\nhost_key_checking = false\ntimeout = 30\nforks = 20\nretry_files_enabled = false\ninterpreter_python = auto_silent\n' >"$ANSIBLE_CONFIG"
	"$MOVEIN" ansible export "$WORK/fleet" >/dev/null
}

# member NAME KIND [VARIABLE=VALUE]...: a fresh host that answers to ssh, in the inventory.
member() {
	host "$1" "$2+ssh"
	as_root "$1" "install -d -m 700 ~root/.ssh && install -d -m 700 -o mitsio -g mitsio ~mitsio/.ssh
		echo '$(<"$WORK/key.pub")' | tee ~mitsio/.ssh/authorized_keys >~root/.ssh/authorized_keys
		chown mitsio: ~mitsio/.ssh/authorized_keys
		mkdir -p /run/sshd && ssh-keygen -A >/dev/null && rm -f /etc/systemd/system/ssh.service
		if [ -d /run/systemd/system ]; then systemctl daemon-reload && systemctl -q enable --now ssh; else /usr/sbin/sshd; fi"
	FLEET+=("$1")
	FLEET_VARS[$1]="${*:3}"
}

# inventory [NAME]...: of these hosts, or all; to $WORK/hosts.ini.
inventory() {
	local name
	(($#)) || set -- "${FLEET[@]}"
	{
		for name; do
			echo "$name ansible_host=$name ansible_ssh_common_args='-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ProxyCommand=\"nsenter --net=/run/netns/$(lab netns "$SCENARIO-$name") busybox nc 127.0.0.1 22\"' ${FLEET_VARS[$name]}"
		done
		printf '[all:vars]\nansible_user=mitsio\nansible_ssh_private_key_file=%s\n' "$WORK/key"
		# What is fetched is the lab's.
		printf 'movein_settings={"nix-version": "%s", "nix-sha256": "%s", "chezmoi-version": "%s", "chezmoi-sha256": "%s"}\n' "$NIX_VERSION" "$NIX_SHA256" "$CHEZMOI_VERSION" "$CHEZMOI_SHA256"
	} >"$WORK/hosts.ini"
}

# play PLAYBOOK [OPTION]...: its output is in $OUT, its exit code in $CODE.
play() {
	CODE=0
	OUT=$(cd "$WORK" && ansible-playbook -i hosts.ini "$@" 2>&1 </dev/null) || CODE=$?
}

# recap NAME KEY: a figure of a host in the last recap.
recap() { grep -oP "^$1 .*\b$2=\K[0-9]+" <<<"$OUT" | tail -n1; }
