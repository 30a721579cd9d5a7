#!/bin/bash
# What four local disks become, at boot after boot; each line that it prints is compared by the test.
# striped_disks.sh PROGRAM DISK...: where arrays can be made, as root, in a mount namespace of its own.
program=$1 && shift
disks=("$@")
export SKYRIG_SCRATCH_DISKS="$*" SKYRIG_SCRATCH=/run/scratch

array() { basename /sys/class/block/"$(basename "${disks[0]}")"/holders/md*; }
boot() { echo "boot: $("$program" 2>&1) ($?)"; }
reboot() {
  umount /run/scratch
  mdadm --quiet --stop "/dev/$(array)"
}

boot
echo "level: $(cat /sys/block/"$(array)"/md/level) of $(cat /sys/block/"$(array)"/md/raid_disks)"
echo "type: $(findmnt -n -o FSTYPE,SOURCE /run/scratch | tr -s ' ' | sed "s/$(array)/ARRAY/")"
echo one >/run/scratch/kept
boot
reboot
boot
echo "kept after a reboot: $(cat /run/scratch/kept)"
umount /run/scratch
boot
echo "kept where the kernel has assembled it: $(cat /run/scratch/kept)"
umount /run/scratch
mkdir -p /run/elsewhere
mount "/dev/$(array)" /run/elsewhere
boot
echo "mounted elsewhere, and still: $(cat /run/elsewhere/kept)"
umount /run/elsewhere
mdadm --quiet --stop "/dev/$(array)"
wipefs --quiet --all "${disks[1]}"
boot
echo "anew where a disk was changed: $(ls /run/scratch)"
reboot
wipefs --quiet --all "${disks[1]}"
mkfs.ext4 -q -L mine "${disks[1]}"
boot
echo "one is somebody's: $(cat /sys/block/"$(array)"/md/raid_disks) striped, $(blkid -p -s LABEL -o value "${disks[1]}") kept"
reboot
