# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# A shared folder (virtio-fs) beside the VM's own disk, in one VM under TCG. The guest's cache is emptied before each reading
# of content; metadata are read warm too, as a second `git status` does.
mib=${SHARE_MIB:-256} files=${SHARE_FILES:-20000}
share=$work/share own=/home/ghost/own
mkdir "$share"

# in_place SCRIPT FOLDER: runs a script in a folder of the VM, and sets $took to its time there, without the connection.
in_place() {
    took=$(vg exec share --root --workdir "$2" -- bash -c "cold() { sync; echo 3 >/proc/sys/vm/drop_caches; }
        ${before:-:}; s=\$EPOCHREALTIME; { $1; } >/dev/null; e=\$EPOCHREALTIME; echo \$((\${e/./} - \${s/./}))") || die "$1"
    took=$(awk -v us="$took" 'BEGIN {printf "%.2f", us / 1000}')
}
shared() { in_place "$script" "$share"; }
owned() { in_place "$script" "$own"; }
# row WHAT GOAL SCRIPT [BEFORE]
row() {
    script=$3 before=${4:-}
    compare "$1" "$2" shared "the VM's own disk" owned
}

unpack
start_vm share --display none --start boot --share "$share=$share"
vg exec share --root -- sh -c "mkdir -p $own && head -c ${mib}M /dev/urandom >$own/large && cp $own/large $share/large"
tree="mkdir -p tree && cd tree && for d in \$(seq $((files / 100))); do mkdir -p \$d && (cd \$d && seq 100 | xargs touch); done"
vg exec share --root -- sh -c "cd $share && $tree; cd $own && $tree"
random='perl -e "open F, q(large); srand 1; for (1..5000) { sysseek F, 4096 * int rand '$((mib * 256))', 0; sysread F, \$b, 4096 }"'
# A whole run of a VM for one program, beside the copy alone.
copied() {
    rm -rf "$home/.local/share/virtualghost/working-copies"
    timed vg run --accel tcg --name copied --start boot --share "$share/tree:copy=/mnt" -- true
}
by_scp() {
    vg exec share --root -- rm -rf /var/tmp/tree
    timed scp -q -r -F "$home/.local/state/virtualghost/vms/share/ssh-config" "$share/tree" vg-share-root:/var/tmp/tree
}
head_of_table "a shared folder, TCG"
row "read $mib MiB" "at most 1.4" "cat large" cold
row "write $mib MiB and flush it" "" "dd if=/dev/zero of=written bs=1M count=$mib status=none && sync -f written" "rm -f written; sync"
row "5,000 reads of 4 KiB at random places" "" "$random" cold
row "properties of $files files, as git status reads them, cold" "at most 3" "find tree -newermt 2000-01-01" cold
row "... again" "" "find tree -newermt 2000-01-01"
row "unpack an archive of 2,000 files" "" "tar -xf many.tar -C unpacked" \
    "rm -rf unpacked; mkdir unpacked; [ -e many.tar ] || tar -cf many.tar tree/1 tree/2 tree/3 tree/4 tree/5 tree/6 tree/7 tree/8 tree/9 tree/1? tree/20"
compare "$files files: a VM that works on a copy of them, from start to end" "at most 0.2" copied "scp -r into a running VM" by_scp
stop_vm share
