//! What goes in comes out, and only that.

use super::super::Artifacts;
use super::super::error::PayloadError;
use super::super::manifest::{CHUNK, Manifest, blob_name, is_hole, stays_inside};
use super::*;
use crate::model::Arch;
use crate::testing::{Texts, assert_texts};
use std::os::unix::fs::{MetadataExt, symlink};

#[test]
fn files_come_out_as_they_went_in_and_read_only() {
    let lab = Lab::new();
    let installed = lab.install(&lab.payload()).unwrap();
    let same = |build: &str, path: &Path, mode: u32| {
        assert!(fs::read(lab.build(build)).unwrap() == fs::read(path).unwrap(), "{build} differs");
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, mode, "{build}");
        assert_eq!(path.parent().unwrap().metadata().unwrap().mode() & 0o7777, 0o700, "{build}'s folder");
    };
    let qemu = &installed.paths.qemu;
    same("kernel/vmlinux", &installed.paths.kernel, 0o400);
    same("rootfs/rootfs.img", &installed.paths.rootfs, 0o400);
    same("qemu/bin/qemu", &qemu.program, 0o500);
    same("qemu/lib/qemu/ui.so", &qemu.modules.join("ui.so"), 0o400);
    same("qemu/share/qemu/pvh.bin", &qemu.data.join("pvh.bin"), 0o400);
}

#[test]
fn a_sparse_image_stays_sparse() {
    let lab = Lab::new();
    let payload = lab.payload();
    assert!(payload.unpacked_bytes() < 30 << 20, "holes are counted");
    let image = lab.install(&payload).unwrap().paths.rootfs.metadata().unwrap();
    assert_eq!(image.len(), IMAGE_SIZE as u64);
    let used = image.blocks() * 512;
    assert!(used < 1 << 20, "three runs of 14 kB use {used} bytes");
}

#[test]
fn the_manifest_describes_the_payload() {
    let payload = Lab::new().payload();
    assert_eq!(payload.rootfs().terminal, "foot");
    assert_eq!((&payload.kernel().version[..], &payload.qemu().version[..]), ("6.12", "10"));
}

#[test]
fn ghostty_is_refused_where_the_image_does_not_have_it() {
    let lab = Lab::new();
    let check = |config: &str| {
        let spec = crate::testing::spec(&crate::testing::host(crate::model::Os::Linux), config).unwrap();
        Artifacts::check(&spec, Some(lab.payload()), &lab.path("cache")).map(drop)
    };
    let refused = check("terminal = \"ghostty\"").unwrap_err().to_string();
    assert!(refused.contains("foot"), "{refused}");
    for other in ["", "terminal = \"foot\"", "terminal = \"kitty\""] {
        assert!(check(other).is_ok(), "{other}");
    }
}

#[test]
fn the_same_bytes_give_the_same_version_and_other_bytes_another() {
    let lab = Lab::new();
    let first = lab.payload().digest().to_owned();
    assert_eq!(first, Lab::new().payload().digest());
    lab.write("qemu/lib/qemu/ui.so", b"modulE", 0o644);
    assert_ne!(first, lab.payload().digest());
}

#[test]
fn unchanged_files_are_not_compressed_again() {
    let lab = Lab::new();
    let (earlier, blob) = (lab.path("payload"), blob_name("qemu"));
    lab.payload();
    // A mark that only a copy can carry on.
    let mut marked = fs::read(earlier.join(&blob)).unwrap();
    marked[0] ^= 1;
    fs::write(earlier.join(&blob), &marked).unwrap();
    let again = |level: i32| {
        let fresh = lab.path(&format!("payload-{level}"));
        pack(&lab.path("build"), &fresh, level, &earlier).unwrap();
        fs::read(fresh.join(&blob)).unwrap()
    };
    assert!(again(1) == marked, "compressed again");
    assert!(again(2)[0] != marked[0], "frames of another level were reused");
}

#[test]
fn a_bundle_with_links_or_without_its_program_is_not_packed() {
    let lab = Lab::new();
    let pack = |name| pack(&lab.path("build"), &lab.path(name), 1, Path::new("/nonexistent"));
    symlink("ui.so", lab.build("qemu/lib/qemu/link.so")).unwrap();
    assert!(format!("{:#}", pack("a").unwrap_err()).contains("link.so"));
    fs::remove_file(lab.build("qemu/lib/qemu/link.so")).unwrap();
    fs::remove_file(lab.build("qemu/bin/qemu")).unwrap();
    assert!(format!("{:#}", pack("b").unwrap_err()).contains("bin/qemu"));
}

/// Packs, lets `damage` change the payload, and expects the installation to refuse it and to leave nothing.
fn refused(damage: impl Fn(&mut Manifest, &mut Vec<u8>)) -> String {
    let lab = Lab::new();
    lab.payload();
    let (manifest_path, blob_path) =
        (lab.path("payload/manifest.json"), lab.path("payload").join(blob_name("kernel")));
    let mut manifest = serde_json::from_slice(&fs::read(&manifest_path).unwrap()).unwrap();
    let mut blob = fs::read(&blob_path).unwrap();
    damage(&mut manifest, &mut blob);
    fs::write(manifest_path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    fs::write(blob_path, blob).unwrap();
    let error = lab.packed(&lab.path("payload")).and_then(|payload| lab.install(&payload)).unwrap_err();
    assert!(matches!(error, PayloadError::DamagedPayload { .. }), "{error}");
    assert_eq!(lab.versions(), Vec::<String>::new());
    error.to_string()
}

#[test]
fn a_damaged_payload_is_refused_and_leaves_nothing() {
    refused(|_, blob| *blob.last_mut().unwrap() ^= 1);
    assert!(refused(|_, blob| blob.truncate(blob.len() - 1)).contains("kernel/vmlinux"));
    let digest = refused(|manifest, _| manifest.kernel.files[0].chunks[1].digest = "0".repeat(64));
    assert!(digest.contains("kernel/vmlinux") && digest.contains("4194304"), "{digest}");
    refused(|manifest, _| manifest.kernel.files[0].chunks[0].length -= 1);
    refused(|manifest, _| manifest.kernel.files[0].chunks[0].frame_offset = u64::MAX);
    refused(|manifest, _| {
        let file = &mut manifest.kernel.files[0];
        file.size += 1;
        file.chunks.last_mut().unwrap().length += 1;
    });
}

#[test]
fn errors_of_a_damaged_payload() {
    let mut texts = Texts::default();
    texts.add("cut off", refused(|_, blob| blob.truncate(blob.len() - 1)));
    texts.add(
        "other bytes",
        refused(|manifest, _| manifest.kernel.files[0].chunks[1].digest = "0".repeat(64)),
    );
    texts.add("architectures", refused(|manifest, _| manifest.qemu.about.arch = Arch::Aarch64));
    texts.add("a path", refused(|manifest, _| manifest.kernel.files[0].path = "../evil".to_owned()));
    texts.add("a chunk", refused(|manifest, _| manifest.kernel.files[0].chunks[1].offset = 0));
    assert_texts!("damaged-payload", texts);
}

#[test]
fn parts_for_different_architectures_are_neither_packed_nor_installed() {
    assert!(refused(|manifest, _| manifest.qemu.about.arch = Arch::Aarch64).contains("aarch64"));
    refused(|manifest, _| manifest.rootfs.about.arch = Arch::Aarch64);
    let lab = Lab::new();
    let about = fs::read_to_string(lab.build("qemu/manifest.json")).unwrap().replace("x86_64", "aarch64");
    fs::write(lab.build("qemu/manifest.json"), about).unwrap();
    let packed = pack(&lab.path("build"), &lab.path("payload"), 1, Path::new("/nonexistent"));
    assert!(packed.unwrap_err().to_string().contains("aarch64"));
}

#[test]
fn a_path_that_leaves_the_version_is_refused() {
    for path in ["../evil", "a/../../evil", "/evil", "", ".", "a\\b", "C:evil"] {
        assert!(!stays_inside(path), "{path:?}");
        refused(|manifest, _| manifest.kernel.files[0].path = path.to_owned());
        refused(|manifest, _| manifest.qemu.about.program = path.to_owned());
    }
    assert!(stays_inside("lib/qemu/ui.so"));
}

#[test]
fn chunks_that_no_packer_makes_are_refused_before_they_are_added_up() {
    for (offset, length) in [(u64::MAX, 1), (0, u64::MAX), (0, CHUNK + 1), (14_000_000, 1), (0, CHUNK)] {
        refused(|manifest, _| {
            let chunk = &mut manifest.kernel.files[0].chunks[1];
            (chunk.offset, chunk.length) = (offset, length);
        });
    }
}

#[test]
fn a_hole_is_zeros_and_nothing_else() {
    assert!(is_hole(&[]) && is_hole(&[0]) && is_hole(&[0; 4096]));
    assert!(!is_hole(&[1]) && !is_hole(&[7; 4096]));
    for at in [0, 1, 2048, 4095] {
        let mut bytes = [0; 4096];
        bytes[at] = 1;
        assert!(!is_hole(&bytes), "{at}");
    }
}
