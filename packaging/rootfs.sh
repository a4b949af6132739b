# For check-packages and check-docker, which source it: a Debian 12 in a folder, with this machine's
# package sources. As root, with debootstrap.

# root_make FOLDER
root_make() {
    debootstrap --variant=minbase bookworm "$1" >/dev/null
    rm -f "$1/etc/apt/sources.list"
    cp -r /etc/apt/sources.list* /etc/apt/apt.conf.d "$1/etc/apt/"
    root_enter "$1"
}

# What programs in it need of the kernel; also for a copy of such a folder.
root_enter() {
    mount -t proc proc "$1/proc"
}

root_remove() {
    umount "$1/proc" 2>/dev/null || true
    rm -rf --one-file-system "$1"
}
