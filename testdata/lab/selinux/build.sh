#!/usr/bin/env bash
# build.sh WORKDIR: out/base.img, the disk of a Debian that enforces SELinux's reference policy, with
# labels from its first boot on, and a boot entry as ../kinoite/vm.sh reads it.

# shellcheck source=../kinoite/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../kinoite/lib.sh"
use_workdir "${1:-}"
need_root
need mmdebstrap mkfs.ext4=e2fsprogs ssh-keygen=openssh-client openssl
[[ ! -s $OUT/base.img ]] || exit 0
# In a mount namespace of its own: nothing has to be unmounted.
[[ ${LAB_PRIVATE:-} ]] || LAB_PRIVATE=1 exec unshare --mount --propagation private bash "$0" "$@"

readonly PACKAGES=systemd-sysv,udev,kmod,dbus,dbus-user-session,libpam-systemd,systemd-resolved,linux-image-cloud-amd64,\
initramfs-tools,zstd,selinux-policy-default,policycoreutils,selinux-utils,setools,auditd,openssh-server,\
sudo,passwd,curl,ca-certificates,xz-utils,procps,iproute2,less,attr

t=$(mktemp -d "$WORK/build.XXXXXX")
cleanup() {
	umount "$t"
	rmdir "$t"
}
trap cleanup EXIT
mount -t tmpfs -o size=4g,mode=0755 lab-build "$t"

log "mmdebstrap"
# The kernel's hook makes no initramfs: it is made below, with what a QEMU guest needs.
INITRD=No mmdebstrap --quiet --mode=root --variant=minbase --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' --include="$PACKAGES" \
	trixie "$t" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror_uri) trixie main" >"$WORK/mmdebstrap.log" 2>&1 ||
	die "mmdebstrap failed, see $WORK/mmdebstrap.log"
rm -rf "$t"/etc/apt/sources.list* "$t"/var/lib/apt/lists/* "$t"/var/cache/apt/* "$t"/etc/ssh/ssh_host_*

kver=$(basename "$t"/usr/lib/modules/*)
log "initramfs for $kver"
sed -i 's/^MODULES=.*/MODULES=list/; s/^FSTYPE=.*/FSTYPE=ext4/' "$t/etc/initramfs-tools/initramfs.conf"
printf '%s\n' virtio_pci virtio_blk ext4 >"$t/etc/initramfs-tools/modules"
in_root "$t" mkinitramfs -o "/boot/initrd.img-$kver" "$kver"

log "the host"
echo selinux >"$t/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 selinux\n' >"$t/etc/hosts"
echo 'LABEL=sysroot / ext4 defaults 0 1' >"$t/etc/fstab"
: >"$t/etc/machine-id"
printf 'SELINUX=enforcing\nSELINUXTYPE=default\n' >"$t/etc/selinux/config"
printf '[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' >"$t/etc/systemd/network/80-lab.network"
printf 'PermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\n' >"$t/etc/ssh/sshd_config.d/lab.conf"
in_root "$t" bash -euc "
	useradd --create-home --shell /bin/bash --uid 1000 --groups sudo $LAB_USER
	systemctl --quiet enable systemd-networkd ssh auditd
	systemctl --quiet mask getty@tty1.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
		fstrim.timer e2scrub_reap.service systemd-networkd-wait-online.service
"
echo "$LAB_USER ALL=(ALL) NOPASSWD: ALL" >"$t/etc/sudoers.d/$LAB_USER"
[[ -f $OUT/id_ed25519 ]] || ssh-keygen -q -t ed25519 -N '' -C lab -f "$OUT/id_ed25519"
ssh-keygen -q -t ed25519 -N '' -C selinux -f "$t/etc/ssh/ssh_host_ed25519_key"
for home in root "home/$LAB_USER"; do install -D -m 0600 "$OUT/id_ed25519.pub" "$t/$home/.ssh/authorized_keys"; done
in_root "$t" chown -R "$LAB_USER:" "/home/$LAB_USER"
mkdir -p "$t/boot/loader/entries"
cat >"$t/boot/loader/entries/lab.conf" <<TEXT
title Debian with SELinux
version 1
linux /vmlinuz-$kver
initrd /initrd.img-$kver
options root=LABEL=sysroot rw console=ttyS0 quiet systemd.show_status=no mitigations=off security=selinux selinux=1 enforcing=1 audit=1 audit_backlog_limit=8192
TEXT

log "labels"
rm -rf "${t:?}"/{run,tmp,dev,proc,sys}/*
# -m: this machine's own kernel need not know of labels.
chroot "$t" setfiles -m -F /etc/selinux/default/contexts/files/file_contexts / >"$WORK/setfiles.log" 2>&1 || die "setfiles failed, see $WORK/setfiles.log"

log "disk image"
truncate -s 8G "$OUT/base.img.part"
mkfs.ext4 -q -F -d "$t" -L sysroot -m 0 -E lazy_itable_init=1,lazy_journal_init=1 "$OUT/base.img.part"
mv "$OUT/base.img.part" "$OUT/base.img"
log "base.img: $(du -h "$OUT/base.img" | cut -f1) on disk, SELinux policy $(chroot "$t" dpkg-query -Wf '${Version}' selinux-policy-default)"
