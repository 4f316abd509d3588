#!/usr/bin/env bash
# Prints the default flavour of the guest: the one that is built already; otherwise arch, if a container engine has its base
# image or can pull it and Arch supports the guest's architecture; otherwise debian.
# Usage: scripts/default-flavour.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

built=$(build_path)/rootfs/manifest.json
if [ -f "$built" ]; then
    sed -nE 's/.*"flavour": *"([a-z]+)".*/\1/p' "$built" | head -1 # jq may not be installed yet
    exit
fi

if [ "$ARCH" != x86_64 ] || [ "$SUITE" != trixie ]; then
    echo debian
    exit
fi

image=archlinux
for engine in docker podman; do
    # A docker command may be installed without a running engine, so the engine itself must answer.
    if ! command -v "$engine" >/dev/null || ! timeout 10 "$engine" info >/dev/null 2>&1; then continue; fi
    if "$engine" image inspect "$image" >/dev/null 2>&1 || timeout 300 "$engine" pull -q "$image" >/dev/null 2>&1; then
        echo arch
        exit
    fi
    say "$engine could not pull $image; using FLAVOUR=debian, which needs no container"
done
echo debian
