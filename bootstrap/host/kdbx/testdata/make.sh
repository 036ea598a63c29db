#!/usr/bin/env bash
# Makes the vaults of this directory, with keepassxc-cli and python3-pykeepass (Debian's names:
# keepassxc, python3-pykeepass). PYTHON is the Python that has the latter.
set -euo pipefail
cd "$(dirname "$0")"
PYTHON=${PYTHON:-/usr/bin/python3}
password='correct horse ü'
twice() { printf '%s\n' "$password" "$password"; }
once() { printf '%s\n' "$password"; }
export QT_QPA_PLATFORM=offscreen LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -f ./*.kdbx ./*.key ./*.keyx
"$PYTHON" vault.py xml vault.xml

# The kinds of key files. new.keyx and new.key are made by keepassxc-cli.
key=$(printf 'key of 32 bytes, not more, no les' | head -c 32)
printf %s "$key" >raw.key
printf %s "$key" | od -An -v -tx1 | tr -d ' \n' >hex.key
printf 'any file will do\n' >any.key
printf '<?xml version="1.0" encoding="utf-8"?>\n<KeyFile>\n\t<Meta>\n\t\t<Version>1.00</Version>\n\t</Meta>\n\t<Key>\n\t\t<Data>%s</Data>\n\t</Key>\n</KeyFile>\n' "$(printf %s "$key" | base64)" >xml1.key

# keepassxc-cli: KDBX 3.1 with AES-KDF; 4.1 after an entry was moved.
twice | keepassxc-cli import -q -p vault.xml cli31.kdbx
printf -- '-----BEGIN KEY-----\n\000\377\n' >"$work/id_test"
: >"$work/empty"
"$PYTHON" -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 4)' >"$work/twice"
for name in id_test empty 'twice ü'; do
	once | keepassxc-cli attachment-import -q cli31.kdbx '/API Keys/Anthropic' "$name" "$work/${name% ü}"
done
cp cli31.kdbx cli4.kdbx
once | keepassxc-cli mv -q cli4.kdbx '/After/same' '/API Keys/Deep & er'
once | keepassxc-cli mv -q cli4.kdbx '/API Keys/Deep & er/same' /After
for kind in raw.key hex.key any.key xml1.key new.keyx new.key; do
	twice | keepassxc-cli import -q -p --set-key-file "$kind" vault.xml "cli31-${kind%%.*}-${kind##*.}.kdbx"
done
keepassxc-cli import -q --set-key-file any.key vault.xml cli31-only-key.kdbx </dev/null
chmod u+w ./*.key ./*.keyx

# pykeepass: KDBX 4.0 with every key derivation and cipher, groups and entries mixed.
for kdf in argon2 argon2id aeskdf; do
	for cipher in aes256 twofish chacha20; do
		"$PYTHON" vault.py vault "py4-$kdf-$cipher.kdbx" "$password" "$kdf" "$cipher"
	done
done
"$PYTHON" vault.py vault py4-raw.kdbx "$password" argon2 chacha20 raw
for cipher in twofish chacha20; do "$PYTHON" vault.py recrypt cli31.kdbx "py31-$cipher.kdbx" "$password" "$cipher"; done

# The same, saved by keepassxc-cli.
for kind in argon2-twofish argon2id-chacha20 argon2id-aes256; do
	cp "py4-$kind.kdbx" "cli4-$kind.kdbx"
	once | keepassxc-cli edit -q -u me2 "cli4-$kind.kdbx" '/API Keys/Anthropic'
done
