#!/usr/bin/env bash
# Prints the bill of materials of an executable as SPDX 2.3: the root filesystem's packages, the kernel, QEMU with its
# packages, and the crates of Cargo.lock.
# Usage: scripts/sbom.sh BUILD > FILE      BUILD: the folder of kernel, rootfs and qemu
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
[ $# = 1 ] || die "usage: scripts/sbom.sh BUILD"
need jq

# crates: prints name and version of each, separated by a tab.
crates() {
    awk -F'"' '/^name = /{name = $2} /^version = /{if (name != "virtualghost") print name "\t" $2}' "$REPO/Cargo.lock"
}

crates | jq -Rn --arg version "$(project_version)" --slurpfile image "$1/rootfs/sbom.spdx.json" \
    --slurpfile kernel "$1/kernel/manifest.json" --slurpfile qemu "$1/qemu/manifest.json" '
    def id: gsub("[^A-Za-z0-9.-]"; "-");
    def package($id; $name; $version; $licence; $purpose): {SPDXID: $id, name: $name, versionInfo: $version,
        downloadLocation: "NOASSERTION", filesAnalyzed: false, licenseConcluded: "NOASSERTION", licenseDeclared: $licence,
        copyrightText: "NOASSERTION", primaryPackagePurpose: $purpose};
    def contains($from): map({spdxElementId: $from, relationshipType: "CONTAINS", relatedSpdxElement: .SPDXID});
    $image[0] as $image | $kernel[0] as $kernel | $qemu[0] as $qemu
    | [package("SPDXRef-Kernel"; "linux"; $kernel.version; "GPL-2.0-only WITH Linux-syscall-note"; "OPERATING-SYSTEM"),
       package("SPDXRef-QEMU"; "qemu"; $qemu.version; "GPL-2.0-only"; "APPLICATION")] as $parts
    | [$qemu.packages // {} | to_entries[] | package("SPDXRef-QEMU-" + (.key | id); .key; .value; "NOASSERTION"; "LIBRARY")] as $libraries
    | [inputs / "\t" | package("SPDXRef-Crate-" + (.[0] + "-" + .[1] | id); .[0]; .[1]; "NOASSERTION"; "LIBRARY")] as $crates
    | $image
    | .name = "virtualghost-" + $version
    | .documentNamespace = (.documentNamespace | sub("/virtualghost-rootfs-"; "/virtualghost-" + $version + "-"))
    | .documentDescribes = ["SPDXRef-Executable"]
    | .packages = [package("SPDXRef-Executable"; "virtualghost"; $version; "MIT"; "APPLICATION")] + $parts + $libraries + $crates + .packages
    | .relationships = [{spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: "SPDXRef-Executable"}]
        + ($parts + $crates + [{SPDXID: "SPDXRef-Image"}] | contains("SPDXRef-Executable")) + ($libraries | contains("SPDXRef-QEMU"))
        + (.relationships | map(select(.relationshipType != "DESCRIBES")))'
