#!/usr/bin/env bash
# Builds kernel, root file system and QEMU bundle in containers (docker/Dockerfile): OUT/kernel, OUT/rootfs, OUT/qemu.
# Usage: [FLAVOUR=arch|debian] [CONTAINER=docker|podman|buildah] scripts/docker-build.sh OUT [kernel|rootfs|qemu]...
#   DEBIAN_BASE, ARCH_BASE  the base images (default: debian:bookworm, archlinux:latest)
#   MIRROR, ARCH_MIRROR     archives of packages (default: those of the base images)
#   CONTAINER_ARGS          more arguments for the engine's `build`, such as --no-cache (for the newest packages)
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

without="the debian flavour needs no container engine: make assets FLAVOUR=debian"
flavour=${FLAVOUR:-arch}
debian_base=${DEBIAN_BASE:-debian:bookworm}
arch_base=${ARCH_BASE:-archlinux:latest}
(($#)) || die "usage: scripts/docker-build.sh OUT [kernel|rootfs|qemu]..."
out=$1
parts=("${@:2}")
((${#parts[@]})) || parts=(artefacts)

# works ENGINE: the engine answers. A command of that name may be installed without a running engine.
works() { command -v "$1" >/dev/null && timeout 30 "$1" info >/dev/null 2>&1; }

find_engine() {
    local engine
    if [ -n "${CONTAINER:-}" ]; then
        works "$CONTAINER" || die "CONTAINER=$CONTAINER does not work (see: $CONTAINER info); $without"
        echo "$CONTAINER"
        return
    fi
    for engine in docker podman buildah; do
        if works "$engine"; then echo "$engine" && return; fi
    done
    die "no container engine works (tried: docker, podman, buildah); $without"
}

# have_base IMAGE HINT: the engine has the base image, or pulls it.
have_base() {
    local inspect=(image inspect)
    [ "${engine##*/}" != buildah ] || inspect=(inspect --type image)
    "$engine" "${inspect[@]}" "$1" >/dev/null 2>&1 || "$engine" pull "$1" >&2 ||
        die "$engine could not pull the base image $1; $2"
}

case $flavour in
arch | debian) ;;
*) die "no such flavour: $flavour (arch, debian)" ;;
esac
case ${GHOSTTY:-} in
'' | none | http://* | https://*) ;;
*) die "GHOSTTY=FILE is for a build without a container: make assets FLAVOUR=debian GHOSTTY=$GHOSTTY" ;;
esac
[ "$ARCH" = "$HOST_ARCH" ] || die "a container is of this machine's architecture, $HOST_ARCH; $without"
engine=$(find_engine)
say "building ${parts[*]} ($flavour) with $engine"
if [ "$flavour" = arch ] && [[ " ${parts[*]} " =~ \ (rootfs|artefacts)\  ]]; then
    have_base "$arch_base" "build the other flavour (make assets FLAVOUR=debian), or set ARCH_BASE=IMAGE"
fi
if [ "$flavour" = debian ] || [ "${parts[*]}" != rootfs ]; then
    have_base "$debian_base" "set DEBIAN_BASE=IMAGE, or build without a container: make assets FLAVOUR=debian"
fi

# The agent is compiled outside the container. It may need a C library at least as new as this machine's.
"$REPO/scripts/build-agent.sh" "$(build_path)/agent"
mkdir -p "$out"
export_dir=$(mktemp -d "$out/.container.XXXXXX")
trap 'rm -rf "$export_dir"' EXIT
read -ra more <<<"${CONTAINER_ARGS:-}"
for part in "${parts[@]}"; do
    DOCKER_BUILDKIT=1 "$engine" build -f "$REPO/docker/Dockerfile" --target "$part" --output "type=local,dest=$export_dir" \
        --build-arg "FLAVOUR=$flavour" --build-arg "DEBIAN_BASE=$debian_base" --build-arg "ARCH_BASE=$arch_base" \
        --build-arg "MIRROR=${MIRROR:-}" --build-arg "ARCH_MIRROR=${ARCH_MIRROR:-}" \
        --build-arg "SUITE=$SUITE" --build-arg "GHOSTTY=${GHOSTTY:-}" --build-arg "GHOSTTY_SHA256=${GHOSTTY_SHA256:-}" "${more[@]}" "$REPO" ||
        die "$engine could not build $part; its last lines say why"
done

for archive in "$export_dir"/*.tar.zst; do
    part=$(basename "$archive" .tar.zst)
    tar -C "$export_dir" --zstd -xSf "$archive"
    touch "$export_dir/$part/manifest.json" # newer than its prerequisites, for make
    rm -rf "${out:?}/$part"
    mv "$export_dir/$part" "$out/$part"
    say "$part: $out/$part"
done
