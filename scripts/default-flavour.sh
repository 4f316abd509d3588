#!/usr/bin/env bash
# Prints the flavour of the guest that `make` takes when none is said: the one that is built already; else arch
# if a container engine has its base image or can pull it, and the guest is one that Arch is for; else debian.
# Usage: scripts/default-flavour.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

built=$(build_path)/rootfs/manifest.json
if [ -f "$built" ]; then
    sed -nE 's/.*"flavour": *"([a-z]+)".*/\1/p' "$built" | head -1 # jq may not be installed yet
    exit
fi

if [ "$ARCH" != x86_64 ]; then
    echo debian
    exit
fi

image=archlinux
for engine in docker podman; do
    # A docker command may be there with no engine behind it: only the engine's own answer counts.
    if ! command -v "$engine" >/dev/null || ! timeout 10 "$engine" info >/dev/null 2>&1; then continue; fi
    if "$engine" image inspect "$image" >/dev/null 2>&1 || timeout 300 "$engine" pull -q "$image" >/dev/null 2>&1; then
        echo arch
        exit
    fi
    say "$engine can't pull $image: taking FLAVOUR=debian, which needs no container"
done
echo debian
