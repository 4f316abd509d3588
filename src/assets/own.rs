//! A kernel, a root filesystem and a GPU pack that the executable does not carry: looked at before anything starts, so that a wrong
//! file is one sentence and not a VM that does not boot.

use crate::arch::Arch;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// # Errors
/// The file does not open, or is no kernel that QEMU boots on this architecture: for x86_64 an ELF with a PVH entry or a
/// bzImage, for aarch64 an Image.
pub fn check_kernel(path: &Path, arch: Arch) -> Result<()> {
    let mut file = open(path, "kernel")?;
    let mut head = [0; 0x206];
    let length = read_up_to(&mut file, &mut head).with_context(|| cannot_read(path))?;
    let head = &head[..length];
    // Linux's arm64 boot protocol (kernel documentation, arch/arm64/booting): the magic number at 56.
    let is_image = head.get(56..60) == Some(b"ARM\x64");
    if arch == Arch::Aarch64 {
        ensure!(is_image, "{} is no kernel for aarch64: no Image, uncompressed", path.display());
        return Ok(());
    }
    ensure!(!is_image, "the kernel {} is for aarch64, and this executable's VM is {arch}", path.display());
    if head.starts_with(b"\x7fELF") {
        let has_entry = has_pvh_entry(&mut file, head).with_context(|| cannot_read(path))?;
        ensure!(
            has_entry,
            "the kernel {} is an ELF file without a PVH entry (it takes an x86-64 vmlinux built with CONFIG_PVH=y)",
            path.display()
        );
        return Ok(());
    }
    // Linux's x86 boot protocol: boot_flag at 0x1fe, "HdrS" at 0x202.
    let is_bzimage = head.get(0x1fe..0x200) == Some(&[0x55, 0xaa]) && head.get(0x202..0x206) == Some(b"HdrS");
    ensure!(is_bzimage, "{} is no kernel: neither an ELF vmlinux nor a bzImage", path.display());
    Ok(())
}

/// # Errors
/// The file does not open, has no ext4 superblock, or is shorter than its filesystem.
pub fn check_rootfs(path: &Path) -> Result<()> {
    // ext4's superblock (kernel documentation, filesystems/ext4/super): at byte 1024, little-endian.
    let mut file = open(path, "root filesystem")?;
    let mut block = [0; 0x154];
    file.seek(SeekFrom::Start(1024)).with_context(|| cannot_read(path))?;
    let length = read_up_to(&mut file, &mut block).with_context(|| cannot_read(path))?;
    if length < block.len() || block[0x38..0x3a] != [0x53, 0xef] {
        bail!("{} is no ext4 filesystem: it has no superblock", path.display());
    }
    let u32_at = |at: usize| u64::from(u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes")));
    const INCOMPAT_64BIT: u64 = 0x80;
    let high = if u32_at(0x60) & INCOMPAT_64BIT != 0 { u32_at(0x150) } else { 0 };
    let blocks = high << 32 | u32_at(0x4);
    let size = u128::from(blocks) << (10 + u32_at(0x18).min(6));
    ensure_whole(path, &mut file, size)
}

/// # Errors
/// The file does not open, has no superblock of squashfs, or is shorter than its filesystem.
pub fn check_squashfs(path: &Path) -> Result<()> {
    // Linux, fs/squashfs/squashfs_fs.h: the magic number at 0, bytes_used at 40, little-endian.
    let mut file = open(path, "disk image")?;
    let mut block = [0; 96];
    let length = read_up_to(&mut file, &mut block).with_context(|| cannot_read(path))?;
    ensure!(
        length == block.len() && block.starts_with(b"hsqs"),
        "{} is no squashfs image: it has no superblock",
        path.display()
    );
    let size = u64::from_le_bytes(block[40..48].try_into().expect("eight bytes"));
    ensure_whole(path, &mut file, size.into())
}

fn ensure_whole(path: &Path, file: &mut File, size: u128) -> Result<()> {
    let actual = file.seek(SeekFrom::End(0)).with_context(|| cannot_read(path))?;
    ensure!(
        size <= u128::from(actual),
        "{} is cut short: its filesystem has {size} bytes, the file {actual}",
        path.display()
    );
    Ok(())
}

/// # Errors
/// The file does not open.
pub fn check_program(path: &Path) -> Result<()> {
    open(path, "QEMU program").map(drop)
}

fn open(path: &Path, what: &str) -> Result<File> {
    // Windows opens none.
    ensure!(!path.is_dir(), "the {what} {} is a folder", path.display());
    File::open(path).with_context(|| format!("the {what} {} does not open", path.display()))
}

fn cannot_read(path: &Path) -> String {
    format!("{} can't be read", path.display())
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            n => length += n,
        }
    }
    Ok(length)
}

/// Whether an ELF64 x86-64 file has Xen's PHYS32_ENTRY note, by which QEMU starts a vmlinux (QEMU,
/// "PVH boot"; Xen's public/elfnote.h).
fn has_pvh_entry(file: &mut File, head: &[u8]) -> std::io::Result<bool> {
    const PT_NOTE: u32 = 4;
    const PHYS32_ENTRY: u32 = 18;
    const EM_X86_64: u16 = 62;
    let u16_at = |b: &[u8], at: usize| b.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
    let u32_at = |b: &[u8], at: usize| {
        b.get(at..at + 4).map_or(0, |b| u32::from_le_bytes(b.try_into().expect("four")))
    };
    let u64_at = |b: &[u8], at: usize| {
        b.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().expect("eight")))
    };
    if head.get(4..6) != Some(&[2, 1]) || u16_at(head, 18) != EM_X86_64 {
        return Ok(false);
    }
    let mut headers = vec![0; usize::from(u16_at(head, 54)) * usize::from(u16_at(head, 56))];
    file.seek(SeekFrom::Start(u64_at(head, 32)))?;
    let length = read_up_to(file, &mut headers)?;
    headers.truncate(length);
    for header in headers.chunks(usize::from(u16_at(head, 54)).max(1)) {
        if u32_at(header, 0) != PT_NOTE {
            continue;
        }
        // A kernel's notes are a few hundred bytes.
        let mut notes = vec![0; u64_at(header, 32).min(1 << 16) as usize];
        file.seek(SeekFrom::Start(u64_at(header, 8)))?;
        let length = read_up_to(file, &mut notes)?;
        let mut rest = &notes[..length];
        while rest.len() >= 12 {
            let padded = |at| (u32_at(rest, at) as usize).next_multiple_of(4);
            if u32_at(rest, 8) == PHYS32_ENTRY && rest.get(12..16) == Some(b"Xen\0") {
                return Ok(true);
            }
            rest = rest.get(12 + padded(0) + padded(4)..).unwrap_or_default();
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn bzimage() -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        bytes[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes
    }

    /// An ELF64 header, one program header at 64, the note at 128.
    fn vmlinux(note_type: u32) -> Vec<u8> {
        let mut bytes = vec![0; 256];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
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
        bytes
    }

    fn ext4(blocks: u32, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[1024 + 4..1024 + 8].copy_from_slice(&blocks.to_le_bytes());
        bytes[1024 + 0x18..1024 + 0x1c].copy_from_slice(&2u32.to_le_bytes());
        bytes[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
        bytes
    }

    fn kernel_refusal(bytes: &[u8]) -> String {
        check_kernel(file(bytes).path(), Arch::X86_64).unwrap_err().to_string()
    }

    fn rootfs_refusal(bytes: &[u8]) -> String {
        check_rootfs(file(bytes).path()).unwrap_err().to_string()
    }

    #[test]
    fn a_bzimage_and_a_vmlinux_with_pvh_are_kernels_and_nothing_else_is() {
        check_kernel(file(&bzimage()).path(), Arch::X86_64).unwrap();
        check_kernel(file(&vmlinux(18)).path(), Arch::X86_64).unwrap();
        assert!(kernel_refusal(&vmlinux(6)).contains("CONFIG_PVH=y"));
        assert!(kernel_refusal(b"#!/bin/sh\n").contains("is no kernel"));
        assert!(kernel_refusal(b"").contains("is no kernel"));
        let missing = check_kernel(Path::new("/nowhere/vmlinux"), Arch::X86_64).unwrap_err().to_string();
        assert!(missing.contains("the kernel /nowhere/vmlinux does not open"), "{missing}");
        assert!(check_kernel(Path::new("/"), Arch::X86_64).unwrap_err().to_string().contains("is a folder"));
    }

    #[test]
    fn a_kernel_is_one_for_the_vms_architecture() {
        let mut image = vec![0; 4096];
        image[56..60].copy_from_slice(b"ARM\x64");
        check_kernel(file(&image).path(), Arch::Aarch64).unwrap();
        assert!(kernel_refusal(&image).contains("is for aarch64, and this executable's VM is x86_64"));
        for other in [bzimage(), vmlinux(18), Vec::new()] {
            let refusal = check_kernel(file(&other).path(), Arch::Aarch64).unwrap_err().to_string();
            assert!(refusal.contains("is no kernel for aarch64"), "{refusal}");
        }
    }

    #[test]
    fn a_root_filesystem_is_ext4_and_whole() {
        check_rootfs(file(&ext4(2, 8192)).path()).unwrap();
        assert!(rootfs_refusal(&ext4(3, 8192)).contains("is cut short"));
        assert!(rootfs_refusal(&[0; 8192]).contains("is no ext4"));
        assert!(rootfs_refusal(b"").contains("is no ext4"));
    }

    #[test]
    fn a_gpu_packs_image_is_squashfs_and_whole() {
        let mut bytes = vec![0; 4096];
        bytes[..4].copy_from_slice(b"hsqs");
        bytes[40..48].copy_from_slice(&4096u64.to_le_bytes());
        check_squashfs(file(&bytes).path()).unwrap();
        let refusal = |bytes: &[u8]| check_squashfs(file(bytes).path()).unwrap_err().to_string();
        assert!(refusal(&bytes[..4095]).contains("is cut short"));
        assert!(refusal(&bytes[..95]).contains("is no squashfs"));
        assert!(refusal(&[0; 4096]).contains("is no squashfs"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_checks_panic(at in 0usize..256, garbage: Vec<u8>) {
            let mut bytes = vmlinux(6);
            bytes.splice(at.., garbage.iter().copied());
            let _ = check_kernel(file(&bytes).path(), Arch::X86_64);
            let mut bytes = ext4(2, 4096);
            bytes.splice(1024 + at.., garbage);
            let _ = check_rootfs(file(&bytes).path());
            let _ = check_squashfs(file(&bytes).path());
        }
    }
}
