# shellcheck shell=bash
# Packs a folder into the image: ext4, without mounts, the same bytes for the same folder. Sourced by make.sh.

# The file is sparse, so only what is used takes space. In the VM the disk is larger (the setting root_size), and the file
# system grows to it, up to largest_size.
image_size=8G
largest_size=4T
# Fixed, so that two builds are equal; all runs have a throw-away copy, so it identifies nothing.
image_uuid=7661b5c1-0000-4000-8000-76676f7374ff

# pack ROOT IMAGE
pack() {
    local root=$1 image=$2
    stamp "$root"
    # The journal is for systems that are kept. It and inode tables that are not in use stay holes.
    # The image's own mkfs.ext4, for it sorts folders and knows SOURCE_DATE_EPOCH, which that of an older host does not.
    rm -f "$image"
    MKE2FS_CONFIG="$root/etc/mke2fs.conf" "$root/$(guest_loader)" --library-path "$root/usr/lib/$ARCH-linux-gnu:$root/usr/lib" \
        "$root/usr/sbin/mkfs.ext4" -q -L vgroot -U "$image_uuid" \
        -E "hash_seed=$image_uuid,root_owner=0:0,assume_storage_prezeroed=1,lazy_journal_init=1,nodiscard,resize=$largest_size" \
        -J size=32 -O 'none,has_journal,extent,dir_index,filetype,sparse_super,resize_inode,flex_bg,metadata_csum,64bit,huge_file,large_file,extra_isize,dir_nlink' \
        -I 256 -b 4096 -m 0 -i 16384 -d "$root" "$image" "$image_size"
}
