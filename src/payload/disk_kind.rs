//! What a disk image holds that is no ext4 filesystem, by its content, and how to make one of it.

use super::disk_image::{DiskImage, shell};
use std::io;
use std::path::Path;

/// A kind of content, and the command that makes a root filesystem of it.
pub struct DiskKind {
    pub name: String,
    pub command: String,
}

/// How the command is made.
enum Way {
    /// Its files are copied out of where it is mounted.
    Mount,
    /// Its files are unpacked by this command, to the folder root.
    Unpack(&'static str),
    /// An image of a machine: QEMU's tools know it.
    Convert,
    /// It is packed by this program.
    Decompress(&'static str),
}

/// Where each kind has its mark: filesystems in their superblock, images and archives at their start (file(1)'s magic(5)
/// has them all).
const MARKS: &[(u64, &[u8], &str, Way)] = &[
    (0, b"XFSB", "an XFS filesystem", Way::Mount),
    (0x1_0040, b"_BHRfS_M", "a btrfs filesystem", Way::Mount),
    (1024, b"\x10\x20\xf5\xf2", "an F2FS filesystem", Way::Mount),
    (0, b"LUKS\xba\xbe", "an encrypted disk (LUKS)", Way::Mount),
    (0x8001, b"CD001", "an ISO image, the medium of an installer", Way::Unpack("bsdtar -xf {} -C root")),
    (0, b"hsqs", "a squashfs image", Way::Unpack("unsquashfs -f -d root {}")),
    (1024, b"\xe2\xe1\xf5\xe0", "an EROFS image", Way::Unpack("fsck.erofs --extract=root {}")),
    (257, b"ustar", "a tar archive", Way::Unpack("tar -xf {} -C root")),
    (0, b"KDMV", "a VMDK image", Way::Convert),
    (0, b"# Disk DescriptorFile", "a VMDK image", Way::Convert),
    (0x40, b"\x7f\x10\xda\xbe", "a VDI image", Way::Convert),
    (0, b"vhdxfile", "a VHDX image", Way::Convert),
    (0, b"conectix", "a VHD image", Way::Convert),
    (0, b"\x1f\x8b", "compressed with gzip", Way::Decompress("gzip")),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd", Way::Decompress("zstd")),
    (0, b"\xfd7zXZ\0", "compressed with xz", Way::Decompress("xz")),
    (0, b"BZh", "compressed with bzip2", Way::Decompress("bzip2")),
];

/// None if it is of no known kind.
///
/// # Errors
/// The image can't be read.
pub fn of(disk: &mut DiskImage, path: &Path) -> io::Result<Option<DiskKind>> {
    let word = shell(path);
    for (at, mark, name, way) in MARKS {
        if disk.read(*at, mark.len())?.as_deref() == Some(*mark) {
            return Ok(Some(DiskKind { name: (*name).to_owned(), command: way.command(&word) }));
        }
    }
    partitioned(disk, &word)
}

impl Way {
    fn command(&self, file: &str) -> String {
        const PACK: &str = "truncate -s 8G root.ext4 && sudo mkfs.ext4 -d";
        match self {
            Self::Mount => format!("sudo mount -o loop,ro {file} /mnt && {PACK} /mnt root.ext4"),
            Self::Unpack(command) => {
                format!("mkdir root && sudo {} && {PACK} root root.ext4", command.replace("{}", file))
            }
            Self::Convert => format!("qemu-img convert -O qcow2 {file} root.qcow2"),
            Self::Decompress(program) => format!("{program} -dc {file} >root.img"),
        }
    }
}

const SECTOR: u64 = 512;
/// As many as partition tables have.
const MOST_PARTITIONS: u32 = 128;

/// A partition, in sectors.
struct Partition {
    first: u64,
    sectors: u64,
}

/// A disk with a partition table: GPT (UEFI specification, 5.3) or MBR. The largest ext4 partition is its root filesystem.
fn partitioned(disk: &mut DiskImage, file: &str) -> io::Result<Option<DiskKind>> {
    let (name, partitions) = match gpt(disk)? {
        Some(partitions) => ("a disk with partitions (GPT)", partitions),
        None => match mbr(disk)? {
            Some(partitions) => ("a disk with partitions (MBR)", partitions),
            None => return Ok(None),
        },
    };
    let mut roots = Vec::new();
    for partition in partitions {
        let superblock = partition.first.saturating_mul(SECTOR).saturating_add(1024 + 0x38);
        if disk.read(superblock, 2)?.as_deref() == Some(b"\x53\xef") {
            roots.push(partition);
        }
    }
    let command = match roots.iter().max_by_key(|partition| partition.sectors) {
        Some(Partition { first, sectors }) => {
            // dd reads no qcow2.
            let raw = if disk.is_qcow2() { "disk.raw" } else { file };
            let convert = format!("qemu-img convert -O raw {file} {raw} && ");
            // Blocks of a MiB, where the partition has such bounds.
            let (block, unit) =
                if first % 2048 == 0 && sectors % 2048 == 0 { ("1M", 2048) } else { ("512", 1) };
            let (skip, count) = (first / unit, sectors / unit);
            let convert = if disk.is_qcow2() { convert.as_str() } else { "" };
            format!("{convert}dd if={raw} of=root.ext4 bs={block} skip={skip} count={count}")
        }
        None => format!(
            "sudo losetup --find --show --partscan {file}, and make a filesystem of what a partition holds"
        ),
    };
    Ok(Some(DiskKind { name: name.to_owned(), command }))
}

fn gpt(disk: &mut DiskImage) -> io::Result<Option<Vec<Partition>>> {
    let Some(header) =
        disk.read(SECTOR, 92)?.filter(|header| header.starts_with(b"EFI PART") && header.len() == 92)
    else {
        return Ok(None);
    };
    let (table, entries, size) = (u64_at(&header, 72), u32_at(&header, 80), u32_at(&header, 84));
    let mut partitions = Vec::new();
    for index in 0..entries.min(MOST_PARTITIONS) {
        let at = table.saturating_mul(SECTOR).saturating_add(u64::from(index) * u64::from(size));
        match disk.read(at, 48)? {
            Some(entry) if entry.len() == 48 && entry[..16] != [0; 16] => {
                let (first, last) = (u64_at(&entry, 32), u64_at(&entry, 40));
                partitions.push(Partition { first, sectors: last.saturating_sub(first).saturating_add(1) });
            }
            _ => {}
        }
    }
    Ok(Some(partitions))
}

fn mbr(disk: &mut DiskImage) -> io::Result<Option<Vec<Partition>>> {
    let Some(sector) =
        disk.read(0, 512)?.filter(|sector| sector.ends_with(&[0x55, 0xaa]) && sector.len() == 512)
    else {
        return Ok(None);
    };
    let partitions: Vec<_> = sector[446..510]
        .chunks(16)
        .filter(|entry| entry[4] != 0 && matches!(entry[0], 0 | 0x80))
        .map(|entry| Partition { first: u32_at(entry, 8).into(), sectors: u32_at(entry, 12).into() })
        .collect();
    Ok((!partitions.is_empty()).then_some(partitions))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
