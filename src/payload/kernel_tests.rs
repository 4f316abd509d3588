//! The user's own kernel.

use super::*;
use crate::model::Arch;
use proptest::prelude::*;
use std::io::Write;
use std::path::PathBuf;

const X86: Arch = Arch::X86_64;
/// What a kernel with the drivers for its root disk prints.
const DRIVERS: &[u8] = b"..virtio_blk..EXT4-fs..";

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A bzImage of two setup sectors, with a payload after them.
fn bzimage_of(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 2048];
    bytes[0x1f1] = 2;
    bytes[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    bytes[0x248..0x24c].copy_from_slice(&512u32.to_le_bytes());
    bytes[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes
}

fn bzimage() -> Vec<u8> {
    bzimage_of(&zstd::encode_all(DRIVERS, 1).unwrap())
}

/// An ELF64 header, one program header at 64, the note at 128.
fn vmlinux(note_type: u32) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[18..20].copy_from_slice(&62u16.to_le_bytes());
    bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
    bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&1u16.to_le_bytes());
    bytes[64..68].copy_from_slice(&4u32.to_le_bytes());
    bytes[72..80].copy_from_slice(&128u64.to_le_bytes());
    bytes[96..104].copy_from_slice(&20u64.to_le_bytes());
    bytes[128..132].copy_from_slice(&4u32.to_le_bytes());
    bytes[132..136].copy_from_slice(&4u32.to_le_bytes());
    bytes[136..140].copy_from_slice(&note_type.to_le_bytes());
    bytes[140..144].copy_from_slice(b"Xen\0");
    bytes.extend(DRIVERS);
    bytes
}

/// The refusal, which names the file.
fn named(path: &Path, checked: Result<Option<Packed>>) -> String {
    let refusal = checked.unwrap_err().to_string();
    assert!(refusal.contains(path.to_str().unwrap()), "{refusal}");
    refusal
}

fn refusal(bytes: &[u8]) -> String {
    let file = file(bytes);
    named(file.path(), check(file.path(), X86, false))
}

/// What a kernel that was compressed becomes.
fn unpacked(bytes: &[u8], arch: Arch) -> Vec<u8> {
    let file = file(bytes);
    let packed = check(file.path(), arch, false).unwrap().expect("it is compressed");
    packed.unpack(&mut File::open(file.path()).unwrap()).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn arm64_image() -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[56..60].copy_from_slice(b"ARM\x64");
    image.extend(DRIVERS);
    image
}

#[test]
fn a_bzimage_and_a_vmlinux_with_pvh_are_kernels_and_nothing_else_is() {
    assert_eq!(check(file(&bzimage()).path(), X86, false).unwrap(), None);
    assert_eq!(check(file(&vmlinux(18)).path(), X86, false).unwrap(), None);
    assert!(refusal(&vmlinux(6)).contains("CONFIG_PVH=y"));
    refusal(b"#!/bin/sh\n");
    refusal(b"");
    for path in [Path::new("/nowhere/vmlinux"), Path::new("/")] {
        named(path, check(path, X86, false));
    }
}

#[test]
fn a_compressed_kernel_is_unpacked() {
    let xz = include_bytes!("testdata/vmlinux.xz");
    let kernel = vmlinux(18);
    for packed in [gzip(&kernel), zstd::encode_all(&*kernel, 1).unwrap(), xz.to_vec()] {
        assert_eq!(unpacked(&packed, X86), kernel);
        let cut = packed.len() - 40;
        assert!(refusal(&packed[..cut]).contains("damaged"));
    }
    assert!(refusal(&gzip(b"#!/bin/sh\n")).contains("not a kernel"));
    let image = arm64_image();
    assert_eq!(unpacked(&gzip(&image), Arch::Aarch64), image);
    // A kernel for UEFI: a program with the compressed Image in it.
    let payload = zstd::encode_all(&*image, 1).unwrap();
    let mut zboot = vec![0; 64];
    zboot[..8].copy_from_slice(b"MZ\0\0zimg");
    zboot[8..12].copy_from_slice(&64u32.to_le_bytes());
    zboot[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    zboot.extend(payload);
    assert_eq!(unpacked(&zboot, Arch::Aarch64), image);
}

#[test]
fn a_kernel_without_the_drivers_for_its_disk_needs_an_initrd_which_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let kernel: PathBuf = folder.path().join("vmlinuz-6.1.0-9-amd64");
    let modular = bzimage_of(&gzip(b"a kernel that has virtio_blk as a module"));
    std::fs::write(&kernel, &modular).unwrap();
    let fix = || check(&kernel, X86, false).unwrap_err().downcast::<Unfit>().unwrap().fix().to_owned();
    assert!(fix().ends_with("--initrd FILE"), "{}", fix());
    let initrd = folder.path().join("initrd.img-6.1.0-9-amd64");
    std::fs::write(&initrd, "").unwrap();
    assert!(fix().ends_with(&format!("--initrd {}", initrd.display())), "{}", fix());
    assert_eq!(check(&kernel, X86, true).unwrap(), None);
    // The names may be far from each other, and across the parts that are read at once.
    let mut long = vec![b'.'; (1 << 20) - 5];
    long.extend(b"virtio_blk");
    long.extend(vec![b'.'; 3 << 20]);
    long.extend(b"EXT4-fs");
    std::fs::write(&kernel, bzimage_of(&gzip(&long))).unwrap();
    assert_eq!(check(&kernel, X86, false).unwrap(), None);
    // A compression that is not known here: the kernel unpacks itself.
    std::fs::write(&kernel, bzimage_of(b"\x02\x21\x4c\x18lz4")).unwrap();
    assert_eq!(check(&kernel, X86, false).unwrap(), None);
}

/// Gives zeros for a file of a tebibyte, after what it begins with, and counts what is read.
struct Huge {
    head: Vec<u8>,
    at: u64,
    read: u64,
}

impl Read for &mut Huge {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = self.head.get(self.at as usize).copied().unwrap_or_default();
            self.at += 1;
        }
        self.read += buffer.len() as u64;
        Ok(buffer.len())
    }
}

impl Seek for &mut Huge {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(from_end) => (1u64 << 40).saturating_add_signed(from_end),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

#[test]
fn the_numbers_of_an_elf_header_do_not_decide_how_much_is_read() {
    let read = |change: &dyn Fn(&mut [u8])| {
        let mut head = vmlinux(6);
        change(&mut head);
        let mut huge = Huge { head, at: 0, read: 0 };
        assert!(!has_pvh_entry(&mut huge));
        huge.read
    };
    // e_phentsize and e_phnum; e_phnum alone; the segment's p_filesz, a MiB.
    let [both, number, size] = [
        read(&|head| head[54..58].fill(0xff)),
        read(&|head| head[56..58].copy_from_slice(&[0xfe, 0xff])),
        read(&|head| head[98] = 0x10),
    ];
    assert!(both.max(number).max(size) < 1 << 17, "{both}, {number} and {size} bytes");
}

#[test]
fn a_kernel_is_one_for_the_vms_architecture() {
    let image = arm64_image();
    check(file(&image).path(), Arch::Aarch64, false).unwrap();
    let refusal = refusal(&image);
    assert!(refusal.contains("aarch64") && refusal.contains("x86_64"), "{refusal}");
    for other in [bzimage(), vmlinux(18), Vec::new()] {
        let file = file(&other);
        named(file.path(), check(file.path(), Arch::Aarch64, false));
    }
}

proptest! {
    #[test]
    fn no_file_causes_a_panic(at in 0usize..0x250, garbage: Vec<u8>) {
        for mut bytes in [vmlinux(6), bzimage(), gzip(&vmlinux(18))] {
            bytes.splice(at.min(bytes.len()).., garbage.iter().copied());
            let _ = check(file(&bytes).path(), X86, false);
        }
    }
}
