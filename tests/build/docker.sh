#!/usr/bin/env bash
# The build in containers: which engine is used, the messages if none works, and the QEMU bundle with podman, without
# privileges and from a base image made here. It is compiled once for all: the container takes it from the build cache of this
# machine. With LAB=1 everything is built there, and the root filesystem and QEMU must be identical to those of a build without
# a container.
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
refuses 'no engine works: the message has the build without a container' 'no container engine works.*make assets FLAVOUR=debian' \
    with_fakes "${docker_build[@]}"
refuses 'CONTAINER= names an engine that does not work: the message names it' 'CONTAINER=docker does not work.*FLAVOUR=debian' \
    with_fakes CONTAINER=docker "${docker_build[@]}"
# Behaves like podman, but builds nothing: its output is one archive with a sparse file.
fake podman 'case $1 in
info | image) exit 0 ;;
build)
    printf "%s\n" "$@" >"$OUT/arguments"
    for a in "$@"; do case $a in type=local,dest=*) dest=${a#type=local,dest=} ;; esac; done
    mkdir -p "$dest/kernel" && echo "{}" >"$dest/kernel/manifest.json" && truncate -s 1G "$dest/kernel/vmlinux"
    tar -C "$dest" --zstd -cSf "$dest/kernel.tar.zst" kernel && rm -r "$dest/kernel" ;;
esac'
check 'an engine without a running service is skipped' with_fakes "${docker_build[@]}" kernel
check 'the default flavour is arch' grep -qx 'FLAVOUR=arch' "$OUT/arguments"
check 'no privileges are requested' test -z "$(grep -E 'privileged|device|cap-add' "$OUT/arguments")"
check 'holes stay holes' test "$(stat -c %b "$OUT/kernel/vmlinux")" -lt 100
check 'nothing else is left' test -z "$(find "$OUT" -name '.container*')"
fake podman 'case $1 in info) exit 0 ;; *) exit 125 ;; esac'
refuses 'no Arch image: the message names the debian flavour' "could not pull the base image archlinux:latest.*FLAVOUR=debian" \
    with_fakes "${docker_build[@]}"
refuses 'no Debian image: the message has the build without a container' "could not pull the base image debian:bookworm.*make assets FLAVOUR=debian" \
    with_fakes FLAVOUR=debian "${docker_build[@]}"

echo '--- podman'
# A test machine may have neither a registry nor namespaces: mmdebstrap makes the base image, and the steps run in a chroot.
export CONTAINER=podman FLAVOUR=debian DEBIAN_BASE=localhost/virtualghost-test-base MIRROR CONTAINER_ARGS='--isolation=chroot --network host'
MIRROR=$(debian_mirror)
if ! podman image exists "$DEBIAN_BASE"; then
    mmdebstrap -q --mode=root --skip=chroot/mount --variant=minbase --format=tar bookworm "$work/base.tar" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR bookworm main"
    podman import -q "$work/base.tar" "$DEBIAN_BASE" >/dev/null
fi
cache=$(build_cache_path)/qemu
"$REPO/scripts/package-qemu.sh" "$work/qemu"
CONTAINER_ARGS+=" --volume $cache:/compiled:ro" check 'podman makes the QEMU bundle' "${docker_build[@]}" qemu
check 'it is the one of a build without a container' diff -r "$work/qemu" "$OUT/qemu"
check 'its manifest is there' jq -e '.component == "qemu" and .version != null' "$OUT/qemu/manifest.json"
check 'its program is there' test -x "$OUT/qemu/bin/qemu-system-x86_64"

if [ -n "${LAB:-}" ]; then
    check 'podman builds everything' env CONTAINER_ARGS="$CONTAINER_ARGS --no-cache" "${docker_build[@]}"
    for part in kernel rootfs qemu; do
        check "there is a $part" jq -e --arg part $part '.component == $part' "$OUT/$part/manifest.json"
    done
    check 'the same root file system is built without a container' "$REPO/scripts/build-rootfs.sh" "$work/rootfs"
    check 'QEMU, compiled in a container, is the one of a build without' diff -r "$work/qemu" "$OUT/qemu"
    check 'byte for byte' cmp "$OUT/rootfs/rootfs.img" "$work/rootfs/rootfs.img"
fi
finish
