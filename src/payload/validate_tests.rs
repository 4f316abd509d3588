//! The user's own root filesystem, and the image of a GPU pack.

use super::*;
use crate::qemu::qcow2;
use proptest::prelude::*;
use std::io::Write;

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn ext4(blocks: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[1024 + 4..1024 + 8].copy_from_slice(&blocks.to_le_bytes());
    bytes[1024 + 0x18..1024 + 0x1c].copy_from_slice(&2u32.to_le_bytes());
    bytes[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
    bytes
}

/// The refusal, which names the file.
fn named(path: &Path, checked: Result<()>) -> String {
    let refusal = checked.unwrap_err().to_string();
    assert!(refusal.contains(path.to_str().unwrap()), "{refusal}");
    refusal
}

fn rootfs_refusal(bytes: &[u8]) -> String {
    let file = file(bytes);
    named(file.path(), check_rootfs(file.path()))
}

/// What a disk with `mark` at `at` is called, and the command that makes a root filesystem of it, with FILE for its path.
fn kind(at: usize, mark: &[u8]) -> (String, String) {
    let mut bytes = vec![0; 0x1_0100];
    bytes[at..at + mark.len()].copy_from_slice(mark);
    kind_of(&bytes)
}

fn kind_of(bytes: &[u8]) -> (String, String) {
    let file = file(bytes);
    let refusal = check_rootfs(file.path()).unwrap_err().downcast::<Unfit>().unwrap();
    (refusal.to_string(), refusal.fix().replace(file.path().to_str().unwrap(), "FILE"))
}

/// A qcow2 image whose first cluster is `disk`.
fn qcow2(disk: &[u8], size: u64) -> Vec<u8> {
    let mut image = qcow2::header_over(Path::new(""), qcow2::Format::Raw, size).unwrap();
    // No backing file.
    image[8..20].fill(0);
    const CLUSTER: usize = 1 << 16;
    const L1: usize = 3 * CLUSTER;
    let l2 = image.len();
    image[L1..L1 + 8].copy_from_slice(&(l2 as u64 | 1 << 63).to_be_bytes());
    image.resize(l2 + 2 * CLUSTER, 0);
    image[l2..l2 + 8].copy_from_slice(&((l2 + CLUSTER) as u64 | 1 << 63).to_be_bytes());
    image[l2 + CLUSTER..l2 + CLUSTER + disk.len()].copy_from_slice(disk);
    image
}

#[test]
fn a_root_filesystem_is_ext4_and_whole() {
    check_rootfs(file(&ext4(2, 8192)).path()).unwrap();
    assert!(rootfs_refusal(&ext4(3, 8192)).contains("12288"));
    rootfs_refusal(&[0; 8192]);
    rootfs_refusal(b"");
}

#[test]
fn another_kind_of_disk_is_named_with_the_command_that_converts_it() {
    for (at, mark, name, command) in [
        (0, &b"XFSB"[..], "XFS", "mount -o loop,ro FILE"),
        (0x1_0040, b"_BHRfS_M", "btrfs", "mount -o loop,ro FILE"),
        (0, b"hsqs", "squashfs", "unsquashfs -f -d root FILE"),
        (0x8001, b"CD001", "ISO", "bsdtar -xf FILE -C root"),
        (257, b"ustar", "tar", "tar -xf FILE -C root"),
        (0, b"KDMV", "VMDK", "qemu-img convert -O qcow2 FILE"),
        (0, b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc FILE"),
    ] {
        let (text, fix) = kind(at, mark);
        assert!(text.contains(name) && fix.contains(command), "{text}; {fix}");
    }
}

#[test]
fn a_disk_with_partitions_names_the_command_that_copies_the_one_with_the_root() {
    let mut disk = vec![0; 6 << 20];
    disk[512..520].copy_from_slice(b"EFI PART");
    for (at, number) in [(512 + 72, 2u64), (512 + 80, 128 | 128 << 32)] {
        disk[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    // Of the first there is only the kind; the second and the third are ext4.
    for (index, first, last) in [(0, 34u64, 2047u64), (1, 2048, 4095), (2, 4096, 10239)] {
        let at = 1024 + index * 128;
        disk[at..at + 16].fill(7);
        disk[at + 32..at + 40].copy_from_slice(&first.to_le_bytes());
        disk[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
        if index > 0 {
            let superblock = first as usize * 512 + 1024 + 0x38;
            disk[superblock..superblock + 2].copy_from_slice(b"\x53\xef");
        }
    }
    let (text, fix) = kind_of(&disk);
    assert!(text.contains("GPT"), "{text}");
    assert!(fix.ends_with(": dd if=FILE of=root.ext4 bs=1M skip=2 count=3"), "{fix}");
    let mut old = vec![0; 1 << 20];
    old[446 + 4] = 0x83;
    old[446 + 8..446 + 16].copy_from_slice(&[63, 0, 0, 0, 100, 0, 0, 0]);
    old[510..512].copy_from_slice(&[0x55, 0xaa]);
    old[63 * 512 + 1024 + 0x38..][..2].copy_from_slice(b"\x53\xef");
    let (text, fix) = kind_of(&old);
    assert!(text.contains("MBR") && fix.ends_with("bs=512 skip=63 count=100"), "{text} {fix}");
}

#[test]
fn a_qcow2_image_is_taken_for_the_disk_in_it() {
    let check = |bytes: &[u8]| check_rootfs(file(bytes).path());
    check(&qcow2(&ext4(2, 8192), 8192)).unwrap();
    assert!(rootfs_refusal(&qcow2(&ext4(3, 8192), 8192)).contains("12288"));
    let (text, _) = kind_of(&qcow2(b"XFSB", 1 << 30));
    assert!(text.contains("XFS"), "{text}");
    let image = qcow2(&ext4(2, 8192), 8192);
    for (at, value, what) in [(15, 1, "made from"), (35, 1, "encrypted"), (79, 4, "another file")] {
        let mut image = image.clone();
        image[at] = value;
        let (text, fix) = kind_of(&image);
        assert!(text.contains(what) && fix.contains("qemu-img convert -O qcow2 FILE"), "{text}; {fix}");
    }
    // What is compressed only QEMU reads.
    let mut compressed = image;
    let entry = 4 << 16;
    compressed[entry] = 0x40;
    check(&compressed).unwrap();
}

#[test]
fn a_gpu_packs_image_is_squashfs_and_whole() {
    let mut bytes = vec![0; 4096];
    bytes[..4].copy_from_slice(b"hsqs");
    bytes[40..48].copy_from_slice(&4096u64.to_le_bytes());
    check_squashfs(file(&bytes).path()).unwrap();
    let refusal = |bytes: &[u8]| {
        let file = file(bytes);
        named(file.path(), check_squashfs(file.path()))
    };
    assert!(refusal(&bytes[..4095]).contains("4095"));
    refusal(&bytes[..95]);
    refusal(&[0; 4096]);
}

proptest! {
    #[test]
    fn no_file_causes_a_panic(at in 0usize..256, garbage: Vec<u8>) {
        let mut bytes = ext4(2, 4096);
        bytes.splice(1024 + at.., garbage.iter().copied());
        let _ = check_rootfs(file(&bytes).path());
        let _ = check_squashfs(file(&bytes).path());
        let mut bytes = qcow2(&ext4(2, 4096), 4096);
        bytes.splice(at % 112.., garbage);
        let _ = check_rootfs(file(&bytes).path());
    }
}
