//! A kernel of the user's: whether QEMU boots it, whether it is compressed, and whether it finds the root disk by itself.
//!
//! ```text
//! x86_64    vmlinux (ELF with a PVH entry), bzImage            as they are
//!           vmlinux.gz, .zst, .xz                              unpacked for each start
//! aarch64   Image                                              as it is
//!           Image.gz, .zst, .xz; vmlinuz.efi (zboot)           unpacked for each start
//! ```

use super::disk_image::shell;
use super::unfit::Unfit;
use crate::model::Arch;
use anyhow::{Context, Result, bail, ensure};
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, ReadCache};
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// More than any kernel with its debug information has; a bomb has no end.
const MOST_BYTES: u64 = 1 << 30;

/// A compressed kernel in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    format: Compression,
    /// Where it begins, and how many bytes it has.
    at: u64,
    length: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
    Xz,
}

impl Compression {
    fn of(head: &[u8]) -> Option<Self> {
        let marks: [(&[u8], Self); 3] =
            [(b"\x1f\x8b\x08", Self::Gzip), (b"\x28\xb5\x2f\xfd", Self::Zstd), (b"\xfd7zXZ\0", Self::Xz)];
        marks.iter().find(|(mark, _)| head.starts_with(mark)).map(|(_, format)| *format)
    }

    fn reader<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::GzDecoder::new(packed)),
            // Each kernel's own size follows the frame.
            Self::Zstd => Box::new(zstd::Decoder::new(packed)?.single_frame()),
            Self::Xz => Box::new(lzma_rust2::XzReader::new(packed, false)),
        })
    }
}

impl Packed {
    /// The kernel in `file`, unpacked.
    ///
    /// # Errors
    /// It is damaged, or has more than a gibibyte.
    pub fn unpack(self, file: &mut File) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.at))?;
        let mut kernel = Vec::new();
        self.format.reader(file.take(self.length))?.take(MOST_BYTES + 1).read_to_end(&mut kernel)?;
        if kernel.len() as u64 > MOST_BYTES {
            return Err(io::Error::other("it has more than 1 GiB"));
        }
        Ok(kernel)
    }
}

/// What is in a kernel's file that QEMU boots only once it is unpacked. `has_initrd`: the VM has an initrd, which may bring
/// drivers.
///
/// # Errors
/// The file can't be read, or is no kernel that QEMU boots on this architecture, or one that does not find the root disk.
pub fn check(path: &Path, arch: Arch, has_initrd: bool) -> Result<Option<Packed>> {
    ensure!(!path.is_dir(), "the kernel {} is a folder", path.display());
    let mut file = File::open(path).with_context(|| format!("can't open the kernel {}", path.display()))?;
    let cannot_read = || format!("can't read {}", path.display());
    let packed = packed(&mut file).with_context(cannot_read)?;
    let drivers = match packed {
        Some(packed) => {
            let kernel = packed
                .unpack(&mut file)
                .with_context(|| format!("the kernel {} is damaged: it can't be unpacked", path.display()))?;
            check_plain(Cursor::new(&kernel), path, arch)?;
            has_drivers(&*kernel).with_context(cannot_read)?
        }
        None => {
            check_plain(&mut file, path, arch)?;
            drivers_of(&mut file).with_context(cannot_read)?
        }
    };
    if !drivers && !has_initrd {
        bail!(Unfit::new(
            format!(
                "the kernel {} has no driver for its root disk built in (virtio_blk, ext4): its modules are in an initrd",
                path.display()
            ),
            "pass that, too",
            format_args!("--initrd {}", initrd_of(path)),
        ));
    }
    Ok(packed)
}

/// The initrd beside a distribution's kernel, or a word for it.
fn initrd_of(kernel: &Path) -> String {
    let name = kernel.file_name().unwrap_or_default().to_string_lossy();
    let release = name.split_once('-').map_or("", |(_, release)| release);
    ["initrd.img-", "initramfs-", "initrd-"]
        .iter()
        .flat_map(|prefix| {
            ["", ".img"].map(|suffix| kernel.with_file_name(format!("{prefix}{release}{suffix}")))
        })
        .find(|initrd| !release.is_empty() && initrd.is_file())
        .map_or("FILE".to_owned(), |initrd| shell(&initrd))
}

fn packed(file: &mut File) -> io::Result<Option<Packed>> {
    let length = file.seek(SeekFrom::End(0))?;
    let head = head(file, 0, 64)?;
    if let Some(format) = Compression::of(&head) {
        return Ok(Some(Packed { format, at: 0, length }));
    }
    // Linux, drivers/firmware/efi/libstub/zboot-header.S: MZ, "zimg", offset and size of the payload.
    if head.len() < 64 || !head.starts_with(b"MZ") || &head[4..8] != b"zimg" {
        return Ok(None);
    }
    inner(file, u32_at(&head, 8).into(), u32_at(&head, 12).into())
}

/// What is compressed at `at`.
fn inner(file: &mut File, at: u64, length: u64) -> io::Result<Option<Packed>> {
    let head = head(file, at, 8)?;
    Ok(Compression::of(&head).map(|format| Packed { format, at, length }))
}

/// # Errors
/// It is no kernel that QEMU boots on this architecture.
fn check_plain(mut kernel: impl Read + Seek, path: &Path, arch: Arch) -> Result<()> {
    let head = head(&mut kernel, 0, 0x206).with_context(|| format!("can't read {}", path.display()))?;
    // Linux's arm64 boot protocol (kernel documentation, arch/arm64/booting): the magic number at 56.
    let is_image = head.get(56..60) == Some(b"ARM\x64");
    if arch == Arch::Aarch64 {
        ensure!(is_image, "{} is not a kernel for aarch64 (an Image)", path.display());
        return Ok(());
    }
    ensure!(!is_image, "the kernel {} is for aarch64, but the VM is {arch}", path.display());
    if head.starts_with(b"\x7fELF") {
        ensure!(
            has_pvh_entry(kernel),
            "the kernel {} is an ELF file without a PVH entry (it must be an x86-64 vmlinux built with CONFIG_PVH=y)",
            path.display()
        );
        return Ok(());
    }
    ensure!(is_bzimage(&head), "{} is not a kernel: neither an ELF vmlinux nor a bzImage", path.display());
    Ok(())
}

/// Linux's x86 boot protocol (kernel documentation, arch/x86/boot): boot_flag at 0x1fe, "HdrS" at 0x202.
fn is_bzimage(head: &[u8]) -> bool {
    head.get(0x1fe..0x200) == Some(&[0x55, 0xaa]) && head.get(0x202..0x206) == Some(b"HdrS")
}

/// Whether the kernel in `file` has the drivers that it needs for its root disk; also if that can't be seen.
fn drivers_of(file: &mut File) -> io::Result<bool> {
    let head = head(file, 0, 0x260)?;
    if !is_bzimage(&head) {
        file.seek(SeekFrom::Start(0))?;
        return has_drivers(file);
    }
    // The same protocol: version at 0x206, setup_sects at 0x1f1, payload_offset and payload_length (from 2.08 on) at 0x248.
    if head.len() < 0x250 || u16::from_le_bytes([head[0x206], head[0x207]]) < 0x208 {
        return Ok(true);
    }
    let setup_sectors = if head[0x1f1] == 0 { 4 } else { u64::from(head[0x1f1]) };
    let at = (setup_sectors + 1) * 512 + u64::from(u32_at(&head, 0x248));
    let Some(packed) = inner(file, at, u32_at(&head, 0x24c).into())? else { return Ok(true) };
    file.seek(SeekFrom::Start(packed.at))?;
    packed.format.reader(file.take(packed.length)).and_then(has_drivers).or(Ok(true))
}

/// Both names are in the texts that a kernel with these drivers prints, and in no other kernel.
fn has_drivers(kernel: impl Read) -> io::Result<bool> {
    const AT_ONCE: usize = 1 << 20;
    let mut wanted = vec![&b"virtio_blk"[..], b"EXT4-fs"];
    let (mut kernel, mut part) = (kernel.take(MOST_BYTES), Vec::new());
    while !wanted.is_empty() {
        // A name may begin in the part before.
        let keep = part.len().min(16);
        part.drain(..part.len() - keep);
        if kernel.by_ref().take(AT_ONCE as u64).read_to_end(&mut part)? == 0 {
            return Ok(false);
        }
        wanted.retain(|text| memchr::memmem::find(&part, text).is_none());
    }
    Ok(true)
}

/// The first bytes from `at` on, as many as there are.
fn head(file: &mut (impl Read + Seek), at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(length).read_to_end(&mut head)?;
    Ok(head)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Whether an ELF64 x86-64 file has Xen's PHYS32_ENTRY note, by which QEMU starts a vmlinux (QEMU,
/// "PVH boot"; Xen's public/elfnote.h). A file that is not well-formed has none.
pub fn has_pvh_entry(file: impl Read + Seek) -> bool {
    const PHYS32_ENTRY: u32 = 18;
    // A kernel has five segments or so, and a few hundred bytes of notes. The reader keeps all that it has read.
    const MOST_SEGMENTS: u16 = 64;
    const MOST_NOTES: u64 = 1 << 16;
    let file = ReadCache::new(file);
    let search = || -> object::Result<bool> {
        let header = FileHeader64::<LittleEndian>::parse(&file)?;
        let endian = header.endian()?;
        if header.e_machine(endian) != elf::EM_X86_64 || header.e_phnum(endian) > MOST_SEGMENTS {
            return Ok(false);
        }
        for segment in header.program_headers(endian, &file)? {
            if segment.p_filesz(endian) > MOST_NOTES {
                continue;
            }
            let Some(mut notes) = segment.notes(endian, &file)? else { continue };
            while let Some(note) = notes.next()? {
                if note.name() == b"Xen" && note.n_type(endian).0 == PHYS32_ENTRY {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    };
    search().unwrap_or(false)
}

#[cfg(test)]
#[path = "kernel_tests.rs"]
mod tests;
