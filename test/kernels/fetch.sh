#!/bin/sh
# Downloads and unpacks Debian's kernels for `npm run test:kernels`. It installs nothing, and the package sources of
# this machine stay as they are. fetch.sh [name]…: all kernels without a name.
set -eu
folder=/var/cache/udptun-fast-tests/kernels
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
archive=http://deb.debian.org

# What the kernel packages of these names need: the image, and, from 7.x on, the packages that it is split into.
parts() {
  apt-cache $options depends "$1" | sed -n 's/^ *Depends: \(linux-\(image\|binary\|modules\|base\)-[^ ]*-amd64\)$/\1/p'
}

fetch() { # name suite
  own=$folder/$1
  mkdir -p "$own/apt/lists/partial" "$own/apt/cache/archives/partial"
  echo "deb [signed-by=$keyring] $archive/debian $2 main" >"$own/apt/sources.list"
  [ "$2" = testing ] || echo "deb [signed-by=$keyring] $archive/debian-security $2-security main" >>"$own/apt/sources.list"
  options="-q -o Dir::Etc::SourceList=$own/apt/sources.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$own/apt/lists -o Dir::State::status=/dev/null -o Dir::Cache=$own/apt/cache -o APT::Sandbox::User=root"
  # shellcheck disable=SC2086 # a list of words
  apt-get $options update >/dev/null
  image=$(parts linux-image-amd64)
  version=$(apt-cache $options show "$image" | sed -n 's/^Version: //p' | head -n 1)
  if [ "$(cat "$own/version" 2>/dev/null)" = "$version" ]; then
    rm -rf "$own/apt"
    return
  fi
  rm -rf "$own/root" "$own/version"
  mkdir -p "$own/root" "$own/debs"
  # shellcheck disable=SC2046,SC2086
  (cd "$own/debs" && apt-get $options download "$image" $(parts "$image") >/dev/null)
  for deb in "$own"/debs/*.deb; do dpkg -x "$deb" "$own/root"; done
  rm -rf "$own/debs" "$own/apt"
  echo "$version" >"$own/version"
  echo "$1: $image $version"
}

[ $# -gt 0 ] || set -- 5.10 6.1 6.12 testing
for name in "$@"; do
  case $name in
  5.10) fetch 5.10 bullseye ;;
  6.1) fetch 6.1 bookworm ;;
  6.12) fetch 6.12 trixie ;;
  testing) fetch testing testing ;;
  *)
    echo "no such kernel: $name; there are 5.10, 6.1, 6.12 and testing" >&2
    exit 2
    ;;
  esac
done
