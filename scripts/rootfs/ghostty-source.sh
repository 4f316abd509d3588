# shellcheck shell=bash
# Which Ghostty the debian flavour gets: the one that was handed in (GHOSTTY=), else the suite's own package, else the
# pinned one (ghostty.pin), else none, and foot is the terminal. Sourced by build-rootfs.sh, after lib.sh.
# shellcheck source=scripts/fetch.sh
. "$REPO/scripts/fetch.sh"
ghostty_pin_path=${GHOSTTY_PIN:-$REPO/scripts/rootfs/ghostty.pin} # another one is for tests

# pinned FIELD: suite, version, url, or the digest for an architecture.
pinned() { awk -v field="$1" '$1 == field {print $2}' "$ghostty_pin_path"; }

# pinned_url ARCH [VERSION]: where the package is. 1.3.1-0-ppa2 is the release's name, 1.3.1-0.ppa2 the package's.
pinned_url() {
    local url version=${2:-$(pinned version)}
    url=$(pinned url)
    url=${url//\{version\}/$version}
    url=${url//\{package\}/${version%-*}.${version##*-}}
    url=${url//\{arch\}/$1}
    printf '%s\n' "${url//\{suite\}/$(pinned suite)}"
}

# handed_in: GHOSTTY becomes a file that is there and verified, where it names one; ends with what is wrong.
handed_in() {
    case $GHOSTTY in
    '' | none) ;;
    http://* | https://*)
        [[ ${GHOSTTY_SHA256:-} =~ ^[0-9a-f]{64}$ ]] ||
            die "GHOSTTY=$GHOSTTY is downloaded only with GHOSTTY_SHA256=, the file's SHA-256 as sha256sum prints it"
        fetch "$GHOSTTY" "$GHOSTTY_SHA256" || die "GHOSTTY=$GHOSTTY was not downloaded: $fetch_failure"
        GHOSTTY=$fetched
        ;;
    *)
        [ -f "$GHOSTTY" ] || die "no such file: GHOSTTY=$GHOSTTY"
        [ -z "${GHOSTTY_SHA256:-}" ] || has_digest "$GHOSTTY" "$GHOSTTY_SHA256" ||
            die "GHOSTTY=$GHOSTTY has the SHA-256 $(sha256sum <"$GHOSTTY" | cut -d' ' -f1), not $GHOSTTY_SHA256"
        GHOSTTY=$(realpath "$GHOSTTY")
        ;;
    esac
}

# choose_ghostty PACKAGES: GHOSTTY becomes the file to install; `none` for foot; it stays empty where the suite's own
# package is among PACKAGES, the lines of bootstrap_inputs. One line says why it is foot and what to type.
choose_ghostty() {
    local pinned_suite why
    pinned_suite=$(pinned suite)
    if [ -n "$GHOSTTY" ] || grep -q '^ghostty ' <<<"$1"; then return; fi
    if [ "$SUITE" != "$pinned_suite" ]; then
        why="Debian $SUITE has no Ghostty, and the pinned package is for $pinned_suite"
    elif fetch "$(pinned_url "$DEB_ARCH")" "$(pinned "$DEB_ARCH")"; then
        GHOSTTY=$fetched
        return
    else
        why="Ghostty $(pinned version) was not downloaded ($fetch_failure); with a network, type: make fetch-ghostty && make run"
    fi
    GHOSTTY=none
    say "the terminal is foot: $why. To hand a Ghostty in, type: make run GHOSTTY=FILE (.deb or .tar.gz)"
}
