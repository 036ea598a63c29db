#!/bin/sh
# Installs movein and runs it with the arguments given here:
#
#   curl -fsSL URL/install.sh | sh -s -- apply REPO
#
# Settings, all optional:
#   MOVEIN_VERSION    a release's tag; default: the latest release
#   MOVEIN_BIN_DIR    where to; default: /usr/local/bin as root, ~/.local/bin otherwise
#   MOVEIN_BASE_URL   where releases are: BASE/latest/download/FILE, BASE/download/TAG/FILE
#   MOVEIN_SHA256     the program's expected digest; default: as the release's SHA256SUMS says
#   MOVEIN_MINISIGN_KEY
#                     the public key that SHA256SUMS must be signed with; needs minisign
#   MOVEIN_NO_RUN     if not empty: install only
#
# Everything is inside one brace group: a shell that gets only the beginning of this
# script sees a syntax error and runs nothing of it.
{
  set -eu

  # The release fills in its own address.
  MOVEIN_BASE_URL=${MOVEIN_BASE_URL:-https://movein.invalid/releases}
  MOVEIN_MINISIGN_KEY=${MOVEIN_MINISIGN_KEY:-}

  say() { printf 'movein-install: %s\n' "$*" >&2; }
  die() {
    say "error: $*"
    exit 1
  }
  have() { command -v "$1" >/dev/null 2>&1; }

  # Sets asset: the name of the program for this host in a release.
  find_asset() {
    [ "$(uname -s)" = Linux ] || die "there is a build for Linux only, and this is $(uname -s)"
    case $(uname -m) in
      x86_64 | amd64) asset=movein-linux-amd64 ;;
      aarch64 | arm64) asset=movein-linux-arm64 ;;
      *) die "there is no build for $(uname -m)" ;;
    esac
  }

  # Sets bin_dir, an absolute path.
  find_bin_dir() {
    bin_dir=${MOVEIN_BIN_DIR:-}
    if [ -z "$bin_dir" ] && [ "$(id -u)" -eq 0 ]; then
      bin_dir=/usr/local/bin
    elif [ -z "$bin_dir" ]; then
      [ -n "${HOME:-}" ] || die "HOME is not set; MOVEIN_BIN_DIR can say where to install"
      bin_dir=$HOME/.local/bin
    fi
    case $bin_dir in
      /*) ;;
      *) bin_dir=$PWD/$bin_dir ;;
    esac
  }

  # fetch URL FILE
  fetch() {
    if have curl; then
      case $1 in
        # Redirections, too, must stay on HTTPS.
        https://*) curl --proto '=https' --tlsv1.2 -fsSL --retry 3 --connect-timeout 15 --speed-limit 1024 --speed-time 30 -o "$2" "$1" ;;
        *) curl -fsSL --retry 3 --connect-timeout 15 --speed-limit 1024 --speed-time 30 -o "$2" "$1" ;;
      esac
    elif have wget; then
      case $(wget --help 2>&1) in
        *BusyBox*)
          case $1 in
            https://*) say "note: busybox wget does not check who it talks to; install curl, or give MOVEIN_SHA256" ;;
          esac
          # No -T: with it, the wget of Debian 12's busybox crashes.
          wget -q -O "$2" "$1"
          ;;
        *) wget -q --tries=3 --timeout=30 -O "$2" "$1" ;;
      esac
    else
      die "curl or wget is needed to download"
    fi || die "downloading $1 went wrong"
  }

  # sha256 FILE: prints its digest.
  sha256() {
    if have sha256sum; then
      sha256sum <"$1"
    elif have shasum; then
      shasum -a 256 <"$1"
    else
      openssl dgst -sha256 -r <"$1"
    fi | {
      read -r sum _
      printf '%s\n' "$sum"
    }
  }

  # listed FILE NAME: prints the digest of NAME in a list that sha256sum has made.
  listed() {
    while read -r sum name || [ -n "$sum" ]; do
      case $name in
        "$2" | "*$2")
          printf '%s\n' "$sum"
          return 0
          ;;
      esac
    done <"$1"
  }

  is_digest() {
    case $1 in
      *[!0-9a-f]*) return 1 ;;
    esac
    [ "${#1}" -eq 64 ]
  }

  # Looks whether $work/sums is signed with the key, if there is one.
  check_signature() {
    [ -n "$MOVEIN_MINISIGN_KEY" ] || return 0
    have minisign || die "minisign is needed to check the signature, as MOVEIN_MINISIGN_KEY asks; or give MOVEIN_SHA256"
    fetch "$url/SHA256SUMS.minisig" "$work/sums.minisig"
    minisign -V -q -P "$MOVEIN_MINISIGN_KEY" -m "$work/sums" -x "$work/sums.minisig" >&2 ||
      die "$url/SHA256SUMS is not signed with $MOVEIN_MINISIGN_KEY; nothing was installed"
  }

  # Makes $bin the release's program, or leaves everything as it was.
  install_release() {
    have sha256sum || have shasum || have openssl ||
      die "sha256sum, shasum or openssl is needed to check the download"
    [ ! -d "$bin" ] || die "$bin is a directory"
    mkdir -p -- "$bin_dir" || die "cannot create $bin_dir"
    # Work in the target directory: mv is atomic there.
    work=$(mktemp -d "$bin_dir/.movein.XXXXXX") || die "cannot write to $bin_dir"
    trap 'rm -rf -- "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM

    case ${MOVEIN_VERSION:-latest} in
      latest) url=${MOVEIN_BASE_URL%/}/latest/download ;;
      *) url=${MOVEIN_BASE_URL%/}/download/$MOVEIN_VERSION ;;
    esac
    want=${MOVEIN_SHA256:-}
    if [ -z "$want" ]; then
      fetch "$url/SHA256SUMS" "$work/sums"
      check_signature
      want=$(listed "$work/sums" "$asset")
    fi
    is_digest "$want" || die "no usable digest of $asset in ${MOVEIN_SHA256:-$url/SHA256SUMS}"

    if [ -x "$bin" ] && [ "$(sha256 "$bin")" = "$want" ]; then
      say "$bin is current"
    else
      fetch "$url/$asset" "$work/movein"
      got=$(sha256 "$work/movein")
      [ "$got" = "$want" ] || die "the digest of $asset is $got, expected $want; nothing was installed"
      chmod 0755 "$work/movein"
      mv -f -- "$work/movein" "$bin"
      say "installed $bin"
    fi
    rm -rf -- "$work"
    trap - EXIT HUP INT TERM
  }

  # run ARGUMENTS...: replaces this shell.
  run() {
    if [ -t 0 ]; then
      exec "$bin" "$@"
    elif (: </dev/tty) 2>/dev/null; then
      # stdin is the pipe that this script comes through; the program may have questions.
      exec "$bin" "$@" </dev/tty
    else
      exec "$bin" "$@" </dev/null
    fi
  }

  main() {
    find_asset
    find_bin_dir
    bin=$bin_dir/movein
    install_release
    case :${PATH:-}: in
      *":$bin_dir:"*) ;;
      *) say "note: $bin_dir is not in PATH" ;;
    esac
    [ -z "${MOVEIN_NO_RUN:-}" ] || return 0
    if [ "$#" -eq 0 ]; then
      say "next: $bin apply HOME_REPO (or \"starter\", to try it)"
      return 0
    fi
    run "$@"
  }

  main "$@"
  exit
}
