#!/bin/bash
# Runs checks in a guest, one after the other, and ends the guest. What they find goes to the second serial line. It gets
# its settings from the kernel's command line: PROJECT, CHECKS (names with commas between), LIMIT_S (of each check).
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export TEST_PATIENCE_MS=150000
exec </dev/null >/dev/ttyS0 2>&1
stty -F /dev/ttyS1 raw -echo
exec 3>/dev/ttyS1
# Systems make /dev/net/tun at boot, from what depmod says. Without it, nothing would load the module.
modprobe tun
ip link set lo up
mkdir -p /run/netns
cd "$PROJECT" || exit
echo "{\"release\":\"$(uname -r)\"}" >&3
for check in ${CHECKS//,/ }; do
  echo "{\"check\":\"$check\"}" >&3
  timeout -k 5 "$LIMIT_S" node --enable-source-maps "dist/test/kernels/checks/$check.js" >&3
  code=$?
  # What a check has left would disturb the next one.
  kill -9 -1
  sleep 0.5
  echo "{\"check\":\"$check\",\"code\":$code,\"tun_users\":\"$(cat /sys/module/tun/refcnt 2>/dev/null)\"}" >&3
done
echo '{"end":true}' >&3
echo o >/proc/sysrq-trigger
sleep 60
