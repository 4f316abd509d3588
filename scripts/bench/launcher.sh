# shellcheck shell=bash disable=SC2154,SC2034,SC2016 # sourced by scripts/bench.sh
# The launcher's time before QEMU starts.

vg_env=(VIRTUALGHOST_QEMU="$work/stamp-qemu")
warm() { until_qemu become_vg --accel tcg --display none </dev/null; }
script() { until_qemu exec bash -c 'exec "$0" -M q35' "$work/stamp-qemu"; }
dry_run() { timed vg --accel tcg --dry-run; }
vng_dry_run() { timed env PATH="$work/vng/bin:$PATH" PYTHONPATH="$work/vng" vng --dry-run --qemu "$(assets)/qemu/bin/qemu-system-x86_64" -r "$(assets)/kernel/vmlinux" -- true; }

mapped_qemu "$work/mapped-qemu" "$work/mapped"
bytes_read() {
    local vg_env=(VIRTUALGHOST_QEMU="$work/mapped-qemu" VIRTUALGHOST_JAIL=off)
    vg --accel tcg --display none </dev/null >/dev/null 2>&1 || true
    took=$(awk -v all="$(stat -c %s "$executable")" '{print 100 * $1 / all}' "$work/mapped")
}

# The removal is not measured.
first_run() { rm -rf "$home/.cache" && sync && warm; }
# The same files, each written and synced.
copy() { rm -rf "$work/copy" && sync && timed copy_synced; }
copy_synced() { cp -r --sparse=always "$(assets)" "$work/copy" && find "$work/copy" -type f -print0 | xargs -0 sync; }
untar() { rm -rf "$work/untar" && mkdir "$work/untar" && sync && timed untar_synced; }
untar_synced() { zstd -d -q -c "$work/assets.tar.zst" | tar -C "$work/untar" -xS && find "$work/untar" -type f -print0 | xargs -0 sync; }

# For five minutes ext4 does not reuse the inode of a removed file, and skips each one (RECENTCY_DIRTY in
# fs/ext4/ialloc.c): shortly after a build, each file that a start makes costs more.
unpack
sync
sleep 3 # the disk still writes after sync returns
head_of_table "the launcher"
compare "warm start: process start to QEMU's execve" "at most 5 ms" warm "bash that starts QEMU" script
if fetch_vng; then
    compare "plan only (\`--dry-run\`)" "" dry_run "virtme-ng, \`vng --dry-run\`" vng_dry_run
else
    figure "plan only (\`--dry-run\`)" "" ms dry_run
fi
figure "share of the blob that a warm start reads, the launcher's constants counted with it" "under 1 %" % bytes_read
compare "first run: empty cache to QEMU's execve" "at most 1.2" first_run "\`cp\` of the same files, each synced" copy
tar -C "$(assets)" -cSf - . | zstd -9 -T0 -q -o "$work/assets.tar.zst"
compare "first run" "at most 0.5" first_run "\`zstd -d \\| tar x\`, each file synced" untar
