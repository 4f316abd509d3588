#!/usr/bin/env bash
# The build in containers: which engine is taken, what is said when none can do it, and a real build of the QEMU
# bundle with podman, without privileges and from a base image made here. With LAB=1 everything is built, and the
# root file system has to be the one that a build without a container gives.
# Usage: [LAB=1] tests/build/docker.sh
# shellcheck disable=SC2016 # programs for other shells
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need podman mmdebstrap jq zstd
unset CONTAINER FLAVOUR GHOSTTY
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OUT=$work/out # for the fake engine too
docker_build=("$REPO/scripts/docker-build.sh" "$OUT")

# fake ENGINE SCRIPT: a program of that name, found before the real one.
fake() {
    mkdir -p "$work/bin"
    printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
with_fakes() { env PATH="$work/bin:$PATH" "$@"; }

echo '--- which engine'
for engine in docker podman buildah; do fake $engine 'echo "no service" >&2; exit 1'; done
refuses 'no engine that works: the message names the way without' 'no container engine works.*make assets FLAVOUR=debian' \
    with_fakes "${docker_build[@]}"
refuses 'an engine that was asked for and does not work is named' 'CONTAINER=docker does not work.*FLAVOUR=debian' \
    with_fakes CONTAINER=docker "${docker_build[@]}"
# Answers as podman would, and builds nothing: one archive with a sparse file in it.
fake podman 'case $1 in
info | image) exit 0 ;;
build)
    printf "%s\n" "$@" >"$OUT/arguments"
    for a in "$@"; do case $a in type=local,dest=*) dest=${a#type=local,dest=} ;; esac; done
    mkdir -p "$dest/kernel" && echo "{}" >"$dest/kernel/manifest.json" && truncate -s 1G "$dest/kernel/vmlinux"
    tar -C "$dest" --zstd -cSf "$dest/kernel.tar.zst" kernel && rm -r "$dest/kernel" ;;
esac'
check 'an engine without a service behind it is passed over' with_fakes "${docker_build[@]}" kernel
check 'the default flavour is arch' grep -qx 'FLAVOUR=arch' "$OUT/arguments"
check 'no privileges are asked for' test -z "$(grep -E 'privileged|device|cap-add' "$OUT/arguments")"
check 'holes stay holes' test "$(stat -c %b "$OUT/kernel/vmlinux")" -lt 100
check 'nothing else is left' test -z "$(find "$OUT" -name '.container*')"
fake podman 'case $1 in info) exit 0 ;; *) exit 125 ;; esac'
refuses 'no Arch image to be had: the message names the debian flavour' "can't pull the base image archlinux:latest.*FLAVOUR=debian" \
    with_fakes "${docker_build[@]}"
refuses 'no Debian image to be had: the message names the way without' "can't pull the base image debian:bookworm.*make assets FLAVOUR=debian" \
    with_fakes FLAVOUR=debian "${docker_build[@]}"

echo '--- podman'
# Such a machine may have neither a registry nor namespaces: the base comes from mmdebstrap, the steps run in a chroot.
export CONTAINER=podman FLAVOUR=debian DEBIAN_BASE=localhost/virtualghost-test-base MIRROR CONTAINER_ARGS='--isolation=chroot --network host'
MIRROR=$(debian_mirror)
if ! podman image exists "$DEBIAN_BASE"; then
    mmdebstrap -q --mode=root --skip=chroot/mount --variant=minbase --format=tar bookworm "$work/base.tar" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR bookworm main"
    podman import -q "$work/base.tar" "$DEBIAN_BASE" >/dev/null
fi
check 'podman builds the QEMU bundle' "${docker_build[@]}" qemu
check 'its manifest came along' jq -e '.component == "qemu" and .version != null' "$OUT/qemu/manifest.json"
check 'its program is there' test -x "$OUT/qemu/bin/qemu-system-x86_64"

if [ -n "${LAB:-}" ]; then
    check 'podman builds everything' "${docker_build[@]}"
    for part in kernel rootfs qemu; do
        check "there is a $part" jq -e --arg part $part '.component == $part' "$OUT/$part/manifest.json"
    done
    check 'the same root file system is built without a container' "$REPO/scripts/build-rootfs.sh" "$work/rootfs"
    check 'byte for byte' cmp "$OUT/rootfs/rootfs.img" "$work/rootfs/rootfs.img"
fi
finish
