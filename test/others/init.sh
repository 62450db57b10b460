#!/bin/busybox sh
# The first program of an arm64 guest. Its files are those of Debian for arm64 and, at its place, the project with koffi
# for arm64, all under a layer of memory. What it prints goes to a folder of the machine that runs it.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
share() { # tag place options
  mkdir -p "$2"
  mount -t 9p -o "trans=virtio,version=9p2000.L,msize=262144,$3" "$1" "$2"
}
share system /system ro,cache=loose
share project /project ro,cache=loose
share results /results rw
mkdir /layer /new
mount -t tmpfs -o size=80% layer /layer
layered() { # name below place
  mkdir -p "/layer/$1/upper" "/layer/$1/work" "$3"
  mount -t overlay -o "lowerdir=$2,upperdir=/layer/$1/upper,workdir=/layer/$1/work" overlay "$3"
}
layered system /system /new
layered project /project "/new$PROJECT"
mount -t proc proc /new/proc
mount -t sysfs sys /new/sys
mount -t devtmpfs dev /new/dev
mount -t tmpfs run /new/run
mkdir -p /new/dev/shm /new/results
mount -t tmpfs shm /new/dev/shm
mount --bind /results /new/results
cp -r /new/opt/koffi "/new$PROJECT/node_modules/@koromix/koffi-linux-arm64"
exec switch_root /new /bin/bash "$PROJECT/test/others/guest.sh"
