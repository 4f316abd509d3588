//! Checks the user's own root filesystem, initrd, QEMU and GPU pack before anything starts, so that a wrong file causes an
//! error message and not a VM that does not boot. The kernel has a file of its own, `kernel`.

use super::disk_image::{DiskImage, read_up_to};
use super::disk_kind;
use super::unfit::Unfit;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

/// # Errors
/// The file can't be opened, has no ext4 superblock, or is shorter than its filesystem; in a qcow2 image, the disk in it.
pub fn check_rootfs(path: &Path) -> Result<()> {
    // ext4's superblock (kernel documentation, filesystems/ext4/super): at byte 1024, little-endian.
    const SUPERBLOCK: usize = 0x154;
    let mut disk = DiskImage::open(open(path, "root filesystem")?, path)?;
    // What is compressed only QEMU can read.
    let Some(block) = disk.read(1024, SUPERBLOCK).with_context(|| cannot_read(path))? else { return Ok(()) };
    if block.len() < SUPERBLOCK || block[0x38..0x3a] != [0x53, 0xef] {
        let Some(kind) = disk_kind::of(&mut disk, path).with_context(|| cannot_read(path))? else {
            bail!("{} is not an ext4 filesystem: it has no superblock", path.display());
        };
        let what = format!("{} is not an ext4 filesystem: it is {}", path.display(), kind.name);
        bail!(Unfit::new(what, "make one of it", kind.command));
    }
    let u32_at = |at: usize| u64::from(u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes")));
    const INCOMPAT_64BIT: u64 = 0x80;
    let high = if u32_at(0x60) & INCOMPAT_64BIT != 0 { u32_at(0x150) } else { 0 };
    let blocks = high << 32 | u32_at(0x4);
    ensure_whole(path, disk.size(), u128::from(blocks) << (10 + u32_at(0x18).min(6)))
}

/// # Errors
/// The file can't be opened.
pub fn check_initrd(path: &Path) -> Result<()> {
    open(path, "initrd").map(drop)
}

/// # Errors
/// The file can't be opened, has no superblock of squashfs, or is shorter than its filesystem.
pub fn check_squashfs(path: &Path) -> Result<()> {
    // Linux, fs/squashfs/squashfs_fs.h: the magic number at 0, bytes_used at 40, little-endian.
    let mut file = open(path, "disk image")?;
    let mut block = [0; 96];
    let length = read_up_to(&mut file, &mut block).with_context(|| cannot_read(path))?;
    ensure!(
        length == block.len() && block.starts_with(b"hsqs"),
        "{} is not a squashfs image: it has no superblock",
        path.display()
    );
    let size = u64::from_le_bytes(block[40..48].try_into().expect("eight bytes"));
    let actual = file.seek(SeekFrom::End(0)).with_context(|| cannot_read(path))?;
    ensure_whole(path, actual, size.into())
}

fn ensure_whole(path: &Path, actual: u64, size: u128) -> Result<()> {
    ensure!(
        size <= u128::from(actual),
        "{} is truncated: its filesystem has {size} bytes, the file {actual}",
        path.display()
    );
    Ok(())
}

/// # Errors
/// The file can't be opened.
pub fn check_program(path: &Path) -> Result<()> {
    open(path, "QEMU program").map(drop)
}

fn open(path: &Path, what: &str) -> Result<File> {
    // On Windows a folder can't be opened.
    ensure!(!path.is_dir(), "the {what} {} is a folder", path.display());
    File::open(path).with_context(|| format!("can't open the {what} {}", path.display()))
}

fn cannot_read(path: &Path) -> String {
    format!("can't read {}", path.display())
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
