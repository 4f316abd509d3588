#!/usr/bin/env bash
# Tests the image of the root filesystem.
# Usage: tests/build/rootfs.sh FOLDER   checks the image in FOLDER (rootfs.img, manifest.json, sbom.spdx.json); quick
#        tests/build/rootfs.sh --rebuild   builds twice without a cache, compares the bytes, then checks the second; minutes
# FLAVOUR and GHOSTTY as for scripts/build-rootfs.sh.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
need debugfs e2fsck jq readelf fc-list fc-match infocmp

passed=0 failed=0
# check PROMISE COMMAND...
check() {
    local promise=$1
    shift
    if "$@" >"$tmp/output" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $promise"
    else
        failed=$((failed + 1))
        echo "FAILED  $promise"
        sed 's/^/        /' "$tmp/output"
    fi
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

if [ "${1-}" = --rebuild ]; then
    # Two empty caches, one set of downloads.
    for n in 1 2; do
        export VIRTUALGHOST_BUILD_CACHE=$tmp/cache$n
        mkdir "$VIRTUALGHOST_BUILD_CACHE"
        for kept in apt downloads; do
            if [ "$n" = 2 ] && [ -d "$tmp/cache1/$kept" ]; then mv "$tmp/cache1/$kept" "$tmp/cache2/"; fi
        done
        "$REPO/scripts/build-rootfs.sh" "$tmp/image$n"
    done
    for file in rootfs.img manifest.json sbom.spdx.json; do
        check "two builds give the same $file" cmp "$tmp/image1/$file" "$tmp/image2/$file"
    done
    folder=$tmp/image2
elif [ -f "${1-}/rootfs.img" ]; then
    folder=$1
else
    die "usage: $0 FOLDER | --rebuild"
fi
image=$folder/rootfs.img manifest=$folder/manifest.json sbom=$folder/sbom.spdx.json

# in_image REQUEST: prints debugfs's output.
in_image() { debugfs -R "$1" "$image" 2>/dev/null; }
content() { in_image "cat $1"; }
present() { in_image "stat $1" | grep -q '^Inode:'; }
has_mode() { in_image "stat $1" | grep -qE "Mode: +0?$2 "; }
owned_by() { in_image "stat $1" | grep -qE "^User: +$2 +Group: +$3 "; }
absent() { ! present "$1"; }
content_has() { content "$1" | grep -qE -- "$2"; }

sparse() { (($(du -k "$image" | cut -f1) < 700000)) && (($(stat -c %s "$image") == 8 << 30)); }
# Linux grows no mounted file system with sparse_super2.
grows() {
    dumpe2fs -h "$image" 2>/dev/null >"$tmp/superblock"
    grep -q '^Filesystem features:.*resize_inode' "$tmp/superblock" && ! grep -q sparse_super2 "$tmp/superblock" &&
        (($(awk '/^Reserved GDT blocks:/ {print $NF}' "$tmp/superblock") >= 500))
}
clean() { e2fsck -fn "$image"; }
labelled() { dumpe2fs -h "$image" 2>/dev/null | grep -q '^Filesystem volume name: *vgroot$'; }
journal() {
    dumpe2fs -h "$image" 2>/dev/null >"$tmp/superblock"
    grep -q '^Filesystem features:.*has_journal' "$tmp/superblock" && ! grep -q needs_recovery "$tmp/superblock"
}
check "the file system is clean" clean
check "it is an ext4 with the label vgroot" labelled
check "it has an empty journal, for systems that are kept" journal
check "8 GiB, of which the file takes only what is used" sparse
check "it can grow to 4 TiB while it is mounted" grows

# Every file of the overlay, with its content.
overlay_is_inside() {
    local file
    while read -r -d '' file; do
        cmp "$REPO/assets/guest/$file" <(content "/$file") || return
    done < <(cd "$REPO/assets/guest" && find . -type f -printf '%P\0')
}
check "every file of assets/guest is in the image, unchanged" overlay_is_inside
agent_is_one_file() {
    content /usr/lib/virtualghost/ghostly-agent >"$tmp/agent"
    readelf -hld "$tmp/agent" >"$tmp/elf" && ! grep -E 'NEEDED|INTERP' "$tmp/elf"
}
check "the agent needs neither library nor loader" agent_is_one_file
check "the sudo rule has the mode that sudo insists on" has_mode /etc/sudoers.d/ghost 440
check "/tmp is for everyone" has_mode /tmp 1777
check "ghost's home is ghost's" owned_by /home/ghost 1000 1000
check "ghost is user 1000 with bash" content_has /etc/passwd '^ghost:x:1000:1000:.*:/home/ghost:/bin/bash$'
reports_to_the_host() { content_has /etc/group '^virtualghost:x:[0-9]{1,3}:ghost$'; }
check "ghost is in the group that may write to the host, which is the system's" reports_to_the_host
no_passwords() { ! content /etc/shadow | grep -qvE '^[^:]+:[!*]+:'; }
check "no user has a password" no_passwords
empty_machine_id() { present /etc/machine-id && [ -z "$(content /etc/machine-id)" ]; }
check "there is no first boot and no fixed machine-id" empty_machine_id
session_enabled() { present /etc/systemd/system/virtualghost.target; }
check "the session starts at boot" session_enabled
check "no logs are left from the build" absent /var/log/dpkg.log

# setuid and setgid programs: these and no others.
setuid_expected="chage chfn chsh dbus-daemon-launch-helper expiry gpasswd mount passwd su sudo umount unix_chkpwd"
setuid_found() {
    # debugfs prints: inode, mode, (links), uid, gid, size, date, name
    local folder
    for folder in /usr/bin /usr/sbin /usr/lib/dbus-1.0 /usr/libexec; do
        in_image "ls -l $folder" | awk '$2 ~ /^10[2467]/ {print $NF}'
    done | sort | tr '\n' ' ' | sed 's/ $//'
}
no_setuid_surprise() {
    local found
    found=$(setuid_found)
    echo "found:    $found"
    echo "expected: $setuid_expected"
    # Another flavour may have fewer.
    [ -z "$(comm -23 <(tr ' ' '\n' <<<"$found") <(tr ' ' '\n' <<<"$setuid_expected"))" ]
}
check "no setuid program but the known ones" no_setuid_surprise

# The scripts that Unicode recommends for names (UAX #31), each by a letter, and the four of Chinese, Japanese and Korean.
letters=(
    Arabic=0627 Armenian=0561 Bengali=0995 Bopomofo=3105 Cyrillic=0436 Devanagari=0939 Ethiopic=12a0 Georgian=10d0 Greek=03b1
    Gujarati=0a95 Gurmukhi=0a15 Han-simplified=95e8 Han-traditional=9580 Hangul=d55c Hebrew=05d0 Hiragana=3042 Kannada=0c95
    Katakana=30ab Khmer=1780 Lao=0e81 Latin=0061 Malayalam=0d15 Myanmar=1000 Oriya=0b15 Sinhala=0d9a Tamil=0b95 Telugu=0c15
    Thaana=0780 Thai=0e01 Tibetan=0f40
)
mkdir -p "$tmp/fonts/usr/share" "$tmp/fonts/etc"
in_image "rdump /usr/share/fonts $tmp/fonts/usr/share"
in_image "rdump /usr/share/fontconfig $tmp/fonts/usr/share"
in_image "rdump /etc/fonts $tmp/fonts/etc"
# The configuration that is switched on: links, which would lead to this machine's files.
mkdir "$tmp/fonts/conf.d"
for name in "$tmp"/fonts/etc/fonts/conf.d/*.conf; do
    [ ! -L "$name" ] || name=$tmp/fonts/usr/share/fontconfig/conf.avail/${name##*/}
    [ ! -f "$name" ] || cp "$name" "$tmp/fonts/conf.d/"
done
cat >"$tmp/fonts.conf" <<END
<fontconfig>
  <dir>$tmp/fonts/usr/share/fonts</dir>
  <cachedir>$tmp/cache</cachedir>
  <include>$tmp/fonts/conf.d</include>
</fontconfig>
END
# of_image COMMAND…: a program of fontconfig with the fonts and the configuration of the image.
of_image() { FONTCONFIG_FILE=$tmp/fonts.conf XDG_CONFIG_HOME=$tmp XDG_DATA_HOME=$tmp "$@"; }
scripts_have_fonts() {
    local letter status=0
    for letter in "${letters[@]}"; do
        of_image fc-list ":charset=${letter#*=}" family >"$tmp/families"
        [ -s "$tmp/families" ] || { echo "no font has $letter" && status=1; }
    done
    return "$status"
}
check "every script in everyday use has a font" scripts_have_fonts
terminal_font() { of_image fc-match monospace family | tee /dev/stderr | grep -qx 'DejaVu Sans Mono'; }
check "the terminal's font is still DejaVu Sans Mono" terminal_font
few_faces() {
    find "$tmp/fonts/usr/share/fonts" -name 'Noto*' >"$tmp/faces"
    (($(wc -l <"$tmp/faces") < 30)) || { wc -l "$tmp/faces" && return 1; }
}
check "of Noto there are the faces that are used" few_faces
fonts_size() {
    local size
    size=$(tar -C "$tmp/fonts/usr/share/fonts" --exclude NotoColorEmoji.ttf -cf - . | zstd -q -19 | wc -c)
    echo "$size bytes"
    ((size < 12000000))
}
check "the fonts take less than 12 MB packed" fonts_size

known_terminals() {
    local name
    mkdir "$tmp/terminfo"
    in_image "rdump /usr/share/terminfo $tmp/terminfo"
    for name in xterm-ghostty xterm-kitty foot alacritty wezterm tmux-256color screen-256color xterm-256color; do
        TERMINFO=$tmp/terminfo/terminfo TERMINFO_DIRS=/nowhere HOME=/nowhere infocmp "$name" >"$tmp/entry" || return
        grep -q 'colors#0x100' "$tmp/entry" || { echo "$name has no 256 colours" && return 1; }
    done
}
check "the terminals that people come from are known" known_terminals

terminal=$(jq -r .terminal "$manifest")
check "the manifest names flavour, suite, terminal and its version" \
    jq -e '.component == "rootfs" and (.flavour, .suite, .terminal, .terminal_version | strings | length > 0)' "$manifest"
check "the terminal of the manifest is in the image" present "/usr/bin/$terminal"
terminal_starts() { in_image "stat /usr/lib/virtualghost/terminal" | grep -q "terminals/$terminal"; }
check "the session starts the terminal of the manifest" terminal_starts
if [ "$(jq -r .flavour "$manifest")" = debian ]; then
    versions_agree() {
        diff <(jq -r '.packages | to_entries[] | "\(.key) \(.value)"' "$manifest" | sort) \
            <(content /var/lib/dpkg/status | awk '/^Package:/ {p=$2} /^Status:/ {s=$4} /^Version:/ {print p, $2}' | sort)
    }
    check "the manifest and the image's package database name the same versions" versions_agree
    licences_kept() {
        local p
        for p in $(jq -r '.packages | keys[]' "$manifest"); do
            present "/usr/share/doc/$p/copyright" || { echo "none for $p"; return 1; }
        done
    }
    check "every package's copyright file is kept" licences_kept
    # What comes along as a dependency today may not tomorrow.
    programs_come_by_name() {
        local word owner named
        mkdir "$tmp/dpkg"
        in_image "rdump /var/lib/dpkg/info $tmp/dpkg"
        # shellcheck source=scripts/rootfs/debian.sh
        . "$REPO/scripts/rootfs/debian.sh"
        named=$(printf '%s\n' "${debian_packages[@]}" ghostty && content /var/lib/dpkg/status | awk '/^Package:/ {p = $2} /^Essential: yes/ {print p}')
        # Every word of the guest's own files that is a program there.
        for word in $(find "$REPO/assets/guest" -type f -exec sed -E 's/^ *#.*//' {} + | grep -oE '[[:alnum:]][[:alnum:]._-]+' | sort -u); do
            grep -lxE "/usr/s?bin/$word" "$tmp"/dpkg/info/*.list >"$tmp/owners" || continue
            while read -r owner; do
                owner=$(basename "$owner" .list)
                grep -qxF "${owner%%:*}" <<<"$named" || { echo "$word comes with $owner, which no list names"; return 1; }
                echo "$word" >>"$tmp/programs"
            done <"$tmp/owners"
        done
        (($(wc -l <"$tmp/programs") > 20)) || { cat "$tmp/programs"; return 1; }
    }
    check "every program that the guest's own files start comes from a package that is named" programs_come_by_name
    mesas_llvm_only() {
        local libraries=/usr/lib/$ARCH-linux-gnu
        in_image "ls -p $libraries" | cut -d/ -f6 | grep -E '^lib(LLVM|z3)' >"$tmp/llvm"
        [ "$(<"$tmp/llvm")" = libLLVM-mesa.so ] && content "$libraries/libLLVM-mesa.so" >"$tmp/llvm" &&
            readelf -d "$tmp/llvm" | grep -q 'SONAME.*libLLVM-mesa.so'
    }
    check "of LLVM there is what Mesa uses" mesas_llvm_only
    check "apt reads Debian's own archive" content_has /etc/apt/sources.list.d/debian.sources "^Suites: $(jq -r .suite "$manifest")"
    check "apt has no other source" absent /etc/apt/sources.list
fi
check "the SBOM is SPDX 2.3 and describes the image" jq -e '
    .spdxVersion == "SPDX-2.3" and .dataLicense == "CC0-1.0" and .SPDXID == "SPDXRef-DOCUMENT" and
    (.documentNamespace | startswith("https://")) and .documentDescribes == ["SPDXRef-Image"] and
    (.creationInfo.created | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$")) and
    all(.packages[]; (.SPDXID | test("^SPDXRef-[A-Za-z0-9.-]+$")) and .name and .versionInfo and .downloadLocation)' "$sbom"
check "no two things in the SBOM share an id" jq -e '[.packages[].SPDXID] | length == (unique | length)' "$sbom"
same_packages() { diff <(jq -r '.packages | keys[]' "$manifest") <(jq -r '.packages[1:][].name' "$sbom" | sort); }
check "the SBOM lists the packages of the manifest" same_packages

echo "$passed passed, $failed failed"
((failed == 0))
