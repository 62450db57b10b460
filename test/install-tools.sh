#!/bin/sh
# Installs what the tests need beside Node: Debian packages, those that are missing and no others.
# install-tools.sh kernels: also what `npm run test:kernels` needs, and Debian's kernels.
set -eu
export DEBIAN_FRONTEND=noninteractive

packages='iproute2 iputils-ping iperf3 socat tcpdump tshark nftables ethtool procps util-linux libcap2-bin dnsmasq-base bsdutils openresolv gcc libc6-dev python3 wireguard-go wireguard-tools bash-completion zsh fish systemd git dpkg-dev lintian debootstrap netavark buildah podman crun prometheus tmux curl tinc n2n miniupnpd miniupnpd-nftables etcd-server etcd-client'
kernels='qemu-system-x86 busybox-static cpio kmod xz-utils charon-systemd strongswan-swanctl libstrongswan-standard-plugins'
if [ "${1:-}" = kernels ]; then
  sh "$0"
  packages=$kernels
fi

missing=''
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" -ne 0 ]; then
    echo "these Debian packages are missing and only root can install them:$missing" >&2
    exit 1
  fi
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of words
  apt-get install -y -qq --no-install-recommends $missing
fi
[ "${1:-}" = kernels ] && sh "$(dirname "$0")/kernels/fetch.sh"

# The tests start Prometheus themselves. Debian's package starts it at once, and at each boot.
case "$missing" in
*prometheus*)
  if [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet prometheus
  elif [ -x /etc/init.d/prometheus ]; then
    /etc/init.d/prometheus stop >/dev/null || true
  fi
  ;;
esac

# The tests use podman as a command. Debian's package also starts its services.
case "$missing" in
*podman*)
  if [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet podman.socket podman.service podman-restart.service podman-auto-update.timer
  fi
  ;;
esac

# The tests start miniupnpd themselves, in a namespace.
case "$missing" in
*miniupnpd*)
  if [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet miniupnpd
  elif [ -x /etc/init.d/miniupnpd ]; then
    /etc/init.d/miniupnpd stop >/dev/null || true
  fi
  ;;
esac

# The tests start strongSwan themselves, in a guest.
case "$missing" in
*charon-systemd*)
  if [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet strongswan
  fi
  ;;
esac

# The tests start etcd themselves, in a namespace.
case "$missing" in
*etcd-server*)
  if [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet etcd
  elif [ -x /etc/init.d/etcd ]; then
    /etc/init.d/etcd stop >/dev/null || true
  fi
  ;;
esac
