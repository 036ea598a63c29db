#!/usr/bin/env bash
# The stripped static binary, and what its size is made of.
set -euo pipefail
printf 'what it is made of, MiB of code and data by module (go tool nm):\n'
unstripped=$(mktemp)
trap 'rm -f "$unstripped"' EXIT
(cd "$(dirname "$0")/../../.." && CGO_ENABLED=0 go build -trimpath -o "$unstripped" .)
go tool nm -size "$unstripped" | awk '
	$3 ~ /^[TtRrDd]$/ && $2 < 8388608 { # a larger one is zeroes, which take no space
		name = $4
		sub(/^(type:|go:itab\.)[.*]*/, "", name)
		if (name ~ /^(net\/http|crypto\/tls|crypto\/|net\.|net\/|vendor\/golang.org\/x\/net)/) group = "net/http, TLS and crypto"
		else if (name ~ /^github.com\/go-git/) group = "go-git"
		else if (name ~ /^github.com\/(ProtonMail|cloudflare)/ || name ~ /^golang.org\/x\/crypto/) group = "openpgp, ssh and curves (for go-git)"
		else if (name ~ /^github.com\/spf13/) group = "cobra, pflag"
		else if (name ~ /^github.com\/pelletier/) group = "go-toml"
		else if (name ~ /^github.com\//) { split(name, part, /[\/.]/); group = "other libraries" }
		else if (name ~ /^movein/ || name ~ /^main\./) group = "movein"
		else if (name ~ /^(runtime|internal)/) group = "Go runtime"
		else group = "standard library and the rest"
		size[group] += $2
	}
	END { for (g in size) printf "  %6.2f  %s\n", size[g] / 1048576, g }' | sort -rn
awk -v b="$(stat -c %s "$MOVEIN")" 'BEGIN { printf "binary-size %.2f MiB\n", b / 1048576 }'
