#!/usr/bin/env bash
# Prints what takes space in a release executable, part by part, as a Markdown table (MB are 10^6 bytes).
# Usage: scripts/size-table.sh [RELEASE [BUILD]]      RELEASE: cargo's folder of the executable, by default that of `make dist`
#                                                     BUILD: the folder of what it was made of, else assets/build
#
# The executable and its components are measured. The parts of a component are packed together, so a part's own figure is an
# estimate: its share of the parts' sizes when zstd compresses each alone at a fast level.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
need debugfs zstd jq

release=${1:-$REPO/target/dist/$HOST_ARCH-unknown-linux-gnu/release}
build=$(realpath "${2:-$REPO/assets/build}")
executable=$release/virtualghost
[ -x "$executable" ] || die "no $executable; run: make dist"
# Each set of features has a build folder; this is the newest.
payload=$(find "$release"/build/virtualghost-*/out/payload -name manifest.json -printf '%T@ %h\n' | sort -n | tail -n1 | cut -d' ' -f2)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

row() { printf '| %s | %s | %s |\n' "$1" "$(mb "$2")" "$(mb "$3")"; }
mb() { awk -v bytes="$1" 'BEGIN {printf bytes < 95000 ? "%.2f" : "%.1f", bytes / 1e6}'; }
unpacked() { jq "[.$1.files[].chunks[].length] | add" "$payload/manifest.json"; }
packed() { stat -c %s "$payload/$1.zst"; }

# parts COMPONENT FOLDER NAME=PATTERN...: prints a row for each; a file belongs to the first pattern that matches it.
parts() {
    local component=$1 folder=$2 part i names=() sizes=() weights=()
    shift 2
    find "$folder" -type f -printf '%P\n' >"$work/left"
    for part in "$@" 'everything else=.*'; do
        grep -E "^(${part#*=})" "$work/left" >"$work/files" || continue
        grep -vE "^(${part#*=})" "$work/left" >"$work/rest" || true
        mv "$work/rest" "$work/left"
        tar -C "$folder" --no-recursion -cf "$work/tar" -T "$work/files"
        names+=("${part%%=*}") sizes+=("$(stat -c %s "$work/tar")") weights+=("$(zstd -5 -q -c "$work/tar" | wc -c)")
    done
    for i in "${!names[@]}"; do
        row "$component: ${names[i]}" "${sizes[i]}" "$(awk -v w="${weights[i]}" -v all="${weights[*]}" -v packed="$(packed "$component")" \
            'BEGIN {n = split(all, x, " "); for (i = 1; i <= n; i++) sum += x[i]; printf "%d", packed * w / sum}')"
    done
}

mkdir "$work/root"
(cd "$work/root" && debugfs -R 'rdump / .' "$build/rootfs/rootfs.img" >/dev/null 2>&1)
library=usr/lib/x86_64-linux-gnu
total=$(stat -c %s "$executable")
echo "| part | unpacked, MB | packed, MB |"
echo "|---|---|---|"
row "**executable**" "$total" "$total"
row "launcher" $((total - $(packed kernel) - $(packed rootfs) - $(packed qemu))) $((total - $(packed kernel) - $(packed rootfs) - $(packed qemu)))
row "**kernel**" "$(unpacked kernel)" "$(packed kernel)"
row "**rootfs**" "$(unpacked rootfs)" "$(packed rootfs)"
parts rootfs "$work/root" \
    "Ghostty=usr/(bin/ghostty|lib/libghostty|share/ghostty)" \
    "GTK=($library/(gtk-4|gdk|lib(gtk|gdk|adwaita|pango|cairo|rsvg|harfbuzz|appstream|dav1d|epoxy|graphene|cups|avahi|colord))|usr/share/(gtk-4|icons|mime))" \
    "LLVM=$library/libLLVM" "Mesa's drivers=$library/libgallium" "emoji=usr/share/fonts/truetype/noto" "other fonts=usr/share/fonts" \
    "ghostly-agent=usr/lib/virtualghost/ghostly-agent" "Xwayland=usr/bin/Xwayland" "character sets (gconv)=$library/gconv" \
    "Perl=usr/(bin/perl|lib/[^/]*/perl|share/perl)" "OpenSSL, GnuTLS=$library/lib(crypto|ssl|gnutls|gcrypt|p11-kit)" \
    "systemd, udev=(usr/lib/systemd|usr/lib/udev|$library/systemd|$library/libsystemd|$library/libudev)" \
    "apt, dpkg and their data=(var/lib/(apt|dpkg)|usr/lib/(apt|dpkg)|usr/bin/(apt|dpkg|sqv)|$library/libapt)" \
    "licences=usr/share/doc" "other libraries=$library"
row "**QEMU**" "$(unpacked qemu)" "$(packed qemu)"
parts qemu "$build/qemu" "program=bin" "GTK=lib/lib(gtk|gdk|gio|glib|cairo|pango|harfbuzz|atk|atspi|epoxy)" \
    "SDL=lib/libSDL" "modules=lib/qemu" "firmware=share/qemu" "font=share/fonts" "licences=share/doc" "other libraries=lib"
