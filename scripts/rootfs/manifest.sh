# shellcheck shell=bash
# The image's list of contents: manifest.json for the launcher, sbom.spdx.json (SPDX 2.3) for everyone. Sourced by make.sh.

# write_manifest ROOT OUT
write_manifest() {
    local root=$1 out=$2 packages terminal handed_in=$1/usr/share/virtualghost/terminal.json
    terminal=$(terminal "$root")
    packages=$(installed_packages "$root" | jq -R -s '
        [splits("\n") | select(. != "") | split("\t") | {name: .[0], version: .[1], licence: .[2]}] | sort_by(.name)')
    jq -n --argjson packages "$packages" --arg arch "$ARCH" --arg flavour "$FLAVOUR" --arg suite "$(suite)" \
        --arg terminal "$terminal" '{
        component: "rootfs", $arch, flavour: $flavour, suite: $suite, terminal: $terminal,
        terminal_version: ($packages | map(select(.name == $terminal))[0].version),
        packages: ($packages | map({(.name): .version}) | add)
    }' >"$out/manifest.json"
    # A terminal that was handed in says itself which version it is, and its file is named.
    if [ -f "$handed_in" ]; then
        jq -s 'add' "$out/manifest.json" "$handed_in" >"$out/manifest.new"
        mv "$out/manifest.new" "$out/manifest.json"
    fi
    jq -e '.terminal_version' "$out/manifest.json" >/dev/null || die "the terminal $terminal is not among the installed packages"
    spdx "$packages" >"$out/sbom.spdx.json"
}

# spdx PACKAGES: the namespace is made of the content, so that the same image has the same one.
spdx() {
    local digest
    digest=$(sha256sum <<<"$1" | cut -d' ' -f1)
    jq -n --argjson packages "$1" --arg digest "$digest" --arg flavour "$FLAVOUR" --arg suite "$(suite)" \
        --arg created "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" '
        def id: gsub("[^A-Za-z0-9.-]"; "-");
        def package($id; $name; $version; $licence; $purpose): {
            SPDXID: $id, name: $name, versionInfo: $version, downloadLocation: "NOASSERTION", filesAnalyzed: false,
            licenseConcluded: "NOASSERTION", licenseDeclared: $licence, copyrightText: "NOASSERTION",
            primaryPackagePurpose: $purpose};
        {
            spdxVersion: "SPDX-2.3", dataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT",
            name: "virtualghost-rootfs-\($flavour)-\($suite)",
            documentNamespace: "https://spdx.org/spdxdocs/virtualghost-rootfs-\($digest)",
            creationInfo: {created: $created, creators: ["Tool: virtualghost-build-rootfs"]},
            documentDescribes: ["SPDXRef-Image"],
            packages: ([package("SPDXRef-Image"; "virtualghost-rootfs"; $suite; "NOASSERTION"; "OPERATING-SYSTEM")] +
                ($packages | map(package("SPDXRef-Package-" + (.name | id); .name; .version; .licence; "APPLICATION")))),
            relationships: ([{spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: "SPDXRef-Image"}] +
                ($packages | map({spdxElementId: "SPDXRef-Image", relationshipType: "CONTAINS",
                    relatedSpdxElement: ("SPDXRef-Package-" + (.name | id))})))
        }'
}
