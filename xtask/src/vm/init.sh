#!/bin/dash
# The first process of relay's virtual machine: mounts, modules, then the one command to run. Kernel
# messages go to the first serial line; the second one carries the command's output and nothing else.
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/bin HOME=/root

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t bpf -o mode=0700 bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
ln -s /proc/self/fd /dev/fd
ln -s /run /var/run
mkdir -p /run/netns /run/lock
mount --make-rshared /
hostname relay-vm
ip link set lo up

dmesg -n 8
while read -r module; do
	insmod "/vm/modules/$module" || echo "relay-vm: cannot load $module" >/dev/kmsg
done </vm/modules/order

stty -F /dev/ttyS1 raw -echo
printf '\036relay-vm: ready\n' >/dev/ttyS1
if [ -e /vm/shell ]; then
	stty -F /dev/ttyS1 sane
	setsid -c bash -i </dev/ttyS1 >/dev/ttyS1 2>&1
else
	cd /root
	setsid dash /vm/command </dev/null >/dev/ttyS1 2>&1
fi
code=$?
printf '\036relay-vm: exit %d\n' "$code" >/dev/ttyS1
# Setting the line waits until everything written to it is out.
stty -F /dev/ttyS1 raw
poweroff -f
