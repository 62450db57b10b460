#!/bin/bash
# Runs a program of the project in an arm64 guest, and ends the guest. PROJECT, and RUN with its words, are on the kernel's
# command line.
export HOME=/root PATH=/opt/node/bin:/usr/sbin:/usr/bin:/sbin:/bin TEST_PATIENCE_MS=150000
exec </dev/null >/dev/console 2>&1
modprobe tun
ip link set lo up
mkdir -p /run/netns
printf '127.0.0.1 localhost\n::1 localhost\n' >/etc/hosts
cd "$PROJECT" || exit
# shellcheck disable=SC2086 # a list of words
node --enable-source-maps ${RUN//,/ } >/results/lines
echo o >/proc/sysrq-trigger
sleep 60
