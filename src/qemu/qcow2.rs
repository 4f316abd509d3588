//! The header of an empty image in QEMU's qcow2 format, over a backing image and of another size: an overlay. (An overlay
//! that QEMU creates itself, by `snapshot=on`, has the size of the image under it.)
//!
//! Source: docs/interop/qcow2.rst of QEMU 10. All numbers are big-endian.

use std::path::Path;

const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// An L1 entry points to an L2 table of one cluster, with an entry of 8 bytes for each cluster of data.
const BYTES_PER_L1_ENTRY: u64 = CLUSTER / 8 * CLUSTER;
/// In clusters: the header, the refcount table, its one block, the L1 table.
const REFCOUNT_TABLE: u64 = 1;
const REFCOUNT_BLOCK: u64 = 2;
const L1_TABLE: u64 = 3;

const MAGIC: &[u8] = b"QFI\xfb";
/// Where the size of the disk is.
const SIZE_AT: usize = 24;

/// The formats of a disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Raw,
    Qcow2,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// The format of an image, and the size of the disk in it in bytes. `head`: its first bytes, at least 32; `length`: how many
/// it has.
pub fn format_and_size(head: &[u8], length: u64) -> (Format, u64) {
    match head.get(SIZE_AT..SIZE_AT + 8) {
        Some(size) if head.starts_with(MAGIC) => {
            (Format::Qcow2, u64::from_be_bytes(size.try_into().expect("eight bytes")))
        }
        _ => (Format::Raw, length),
    }
}

/// The fields of the header of [`header_over`] that its size decides, each with its position; so a disk grows. The L1 table has
/// a cluster of its own, which is enough for 4 TiB, and entries of zero for what was never written.
pub fn size_fields(size: u64) -> [(u64, Vec<u8>); 2] {
    let l1_entries = size.div_ceil(BYTES_PER_L1_ENTRY) as u32;
    [(SIZE_AT as u64, size.to_be_bytes().to_vec()), (36, l1_entries.to_be_bytes().to_vec())]
}

/// The header over the image at `backing`, of a disk of `size` bytes, up to 4 TiB; what is beyond the image's end is zeros.
/// None if the image's path is longer than the format allows (1023 bytes).
pub fn header_over(backing: &Path, format: Format, size: u64) -> Option<Vec<u8>> {
    let name = Some(backing.as_os_str().as_encoded_bytes()).filter(|name| name.len() < 1024)?;
    let format = format.name().as_bytes();
    let l1_entries = size.div_ceil(BYTES_PER_L1_ENTRY);
    let l1_clusters = (l1_entries * 8).div_ceil(CLUSTER).max(1);
    let clusters = L1_TABLE + l1_clusters;
    let mut image = vec![0; (clusters * CLUSTER) as usize];
    let mut put =
        |at: u64, bytes: &[u8]| image[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);

    const HEADER: u64 = 104;
    // The header's extensions: the backing format, padded to eight bytes, and the end marker.
    const EXTENSIONS: u64 = 24;
    put(0, MAGIC);
    put(4, &3u32.to_be_bytes());
    put(8, &(HEADER + EXTENSIONS).to_be_bytes());
    put(16, &(name.len() as u32).to_be_bytes());
    put(20, &CLUSTER_BITS.to_be_bytes());
    put(SIZE_AT as u64, &size.to_be_bytes());
    put(36, &(l1_entries as u32).to_be_bytes());
    put(40, &(L1_TABLE * CLUSTER).to_be_bytes());
    put(48, &(REFCOUNT_TABLE * CLUSTER).to_be_bytes());
    put(56, &1u32.to_be_bytes());
    // Refcounts have 2^4 bits.
    put(96, &4u32.to_be_bytes());
    put(100, &(HEADER as u32).to_be_bytes());
    put(HEADER, &0xe279_2acau32.to_be_bytes());
    put(HEADER + 4, &(format.len() as u32).to_be_bytes());
    put(HEADER + 8, format);
    put(HEADER + EXTENSIONS, name);
    put(REFCOUNT_TABLE * CLUSTER, &(REFCOUNT_BLOCK * CLUSTER).to_be_bytes());
    for cluster in 0..clusters {
        put(REFCOUNT_BLOCK * CLUSTER + cluster * 2, &1u16.to_be_bytes());
    }
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::skipped;
    use std::process::Command;

    #[test]
    fn a_path_that_is_too_long_for_the_format_is_refused() {
        assert!(header_over(Path::new(&"x".repeat(1023)), Format::Raw, 1).is_some());
        assert!(header_over(Path::new(&"x".repeat(1024)), Format::Raw, 1).is_none());
    }

    #[test]
    fn an_image_is_raw_unless_it_has_the_header() {
        let header = header_over(Path::new("x"), Format::Raw, 7 << 30).unwrap();
        assert_eq!(format_and_size(&header[..32], 512), (Format::Qcow2, 7 << 30));
        assert_eq!(format_and_size(&header[..31], 512), (Format::Raw, 512));
        assert_eq!(format_and_size(&[0; 32], 512), (Format::Raw, 512));
    }

    #[test]
    fn qemu_img_accepts_the_header_and_reads_the_backing_image() {
        if Command::new("qemu-img").arg("--version").output().is_err() {
            return skipped("qcow2: qemu-img accepts the header", "qemu-img is not installed");
        }
        let folder = tempfile::tempdir().unwrap();
        let [raw, image, over] = ["raw", "image", "over"].map(|name| folder.path().join(name));
        for size in [512u64, 8 << 30, 1 << 40] {
            std::fs::File::create(&raw).unwrap().set_len(size).unwrap();
            std::fs::write(&image, header_over(&raw, Format::Raw, size).unwrap()).unwrap();
            std::fs::write(&over, header_over(&image, Format::Qcow2, 3 << 40).unwrap()).unwrap();
            for (image, backing, format, size) in
                [(&image, &raw, "raw", size), (&over, &image, "qcow2", 3 << 40)]
            {
                let info =
                    Command::new("qemu-img").arg("info").arg("--output=json").arg(image).output().unwrap();
                let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
                assert_eq!(info["virtual-size"], size);
                assert_eq!(info["backing-filename"], backing.to_str().unwrap());
                assert_eq!(info["backing-filename-format"], format);
                let check = Command::new("qemu-img").arg("check").arg(image).output().unwrap();
                assert!(check.status.success(), "{check:?}");
            }
        }
    }
}
