#!/bin/dash
# First process of the virtual machine: mounts, loads modules, runs the command. Kernel messages go to
# a serial line of their own, output of the command to the one that the kernel's parameter `line` names.
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/bin HOME=/root

busybox mount -t proc proc /proc
# Links to its programs, except where there is another of the name.
busybox --install -s /bin
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
lists=order
[ ! -e /vm/forwarded ] || lists="order card"
for list in $lists; do
	while read -r module; do
		[ -e "/sys/module/${module%.ko}" ] || insmod "/vm/modules/$module" ||
			echo "relay-vm: cannot load $module" >/dev/kmsg
	done <"/vm/modules/$list"
done

stty -F "/dev/$line" raw -echo
printf '\036relay-vm: ready\n' >"/dev/$line"
if [ -e /vm/shell ]; then
	stty -F "/dev/$line" sane
	setsid -c bash -i <"/dev/$line" >"/dev/$line" 2>&1
else
	cd /root
	setsid dash /vm/command </dev/null >"/dev/$line" 2>&1
fi
code=$?
printf '\036relay-vm: exit %d\n' "$code" >"/dev/$line"
# stty waits until all output is sent.
stty -F "/dev/$line" raw
poweroff -f
