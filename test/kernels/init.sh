#!/bin/busybox sh
# The first program of a guest: puts a layer of memory over the machine's own files, and goes on there.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
mkdir /below /layer /new
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro,cache=loose below /below
mount -t tmpfs -o size=80% layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/below,upperdir=/layer/upper,workdir=/layer/work overlay /new
release=$(uname -r)
mkdir -p "/new/usr/lib/modules/$release"
mount --bind "/below$MODULES" "/new/usr/lib/modules/$release"
mount -t proc proc /new/proc
mount -t sysfs sys /new/sys
mount -t devtmpfs dev /new/dev
mkdir -p /new/dev/shm /new/run
mount -t tmpfs run /new/run
mount -t tmpfs shm /new/dev/shm
exec switch_root /new /bin/bash "$PROJECT/test/kernels/guest.sh"
