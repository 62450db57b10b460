#!/bin/sh
# Fetches Debian trixie's wireguard-go, which has the kernel's offloads (2023-12), for the benchmark to measure beside
# the one that is installed: `npm run bench -- --peers wireguard-go-trixie,…`. Nothing is installed; it is
# unpacked in the folder given, or where the benchmark looks for it.
set -eu

folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/udptun-fast/wireguard-go-trixie}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$folder"
echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main' \
  > "$work/sources.list"
apt() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
apt update
(cd "$work" && apt download wireguard-go && dpkg -x wireguard-go_*.deb "$folder")
echo "$folder/usr/bin/wireguard-go"
