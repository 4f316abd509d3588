//! An empty image in QEMU's qcow2 format, over another image: what is written goes to it, and what was not is read from
//! there. For a disk that a VM writes to under a name; one that is thrown away QEMU makes by itself (`snapshot=on`).
//!
//! Source: docs/interop/qcow2.rst of QEMU 10. All numbers are big-endian.

use std::path::Path;

const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// An L1 entry stands for an L2 table of one cluster, with an entry of 8 bytes for each cluster of data.
const BYTES_PER_L1_ENTRY: u64 = CLUSTER / 8 * CLUSTER;
/// In clusters: the header, the refcount table, its one block, the L1 table.
const REFCOUNT_TABLE: u64 = 1;
const REFCOUNT_BLOCK: u64 = 2;
const L1_TABLE: u64 = 3;

/// The bytes of one over the raw image at `backing`, which has `size` bytes, up to 4 TiB. None if its path is no UTF-8
/// or longer than the format allows (1023 bytes).
pub fn over(backing: &Path, size: u64) -> Option<Vec<u8>> {
    let name = backing.to_str().filter(|name| name.len() < 1024)?;
    let l1_entries = size.div_ceil(BYTES_PER_L1_ENTRY);
    let l1_clusters = (l1_entries * 8).div_ceil(CLUSTER).max(1);
    let clusters = L1_TABLE + l1_clusters;
    let mut image = vec![0; (clusters * CLUSTER) as usize];
    let mut put =
        |at: u64, bytes: &[u8]| image[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);

    const HEADER: u64 = 104;
    // After the header its extensions: the backing format, and the end of them.
    const EXTENSIONS: u64 = 24;
    put(0, b"QFI\xfb");
    put(4, &3u32.to_be_bytes());
    put(8, &(HEADER + EXTENSIONS).to_be_bytes());
    put(16, &(name.len() as u32).to_be_bytes());
    put(20, &CLUSTER_BITS.to_be_bytes());
    put(24, &size.to_be_bytes());
    put(36, &(l1_entries as u32).to_be_bytes());
    put(40, &(L1_TABLE * CLUSTER).to_be_bytes());
    put(48, &(REFCOUNT_TABLE * CLUSTER).to_be_bytes());
    put(56, &1u32.to_be_bytes());
    // Refcounts have 2^4 bits.
    put(96, &4u32.to_be_bytes());
    put(100, &(HEADER as u32).to_be_bytes());
    put(HEADER, &0xe279_2acau32.to_be_bytes());
    put(HEADER + 4, &3u32.to_be_bytes());
    put(HEADER + 8, b"raw");
    put(HEADER + EXTENSIONS, name.as_bytes());
    put(REFCOUNT_TABLE * CLUSTER, &(REFCOUNT_BLOCK * CLUSTER).to_be_bytes());
    for cluster in 0..clusters {
        put(REFCOUNT_BLOCK * CLUSTER + cluster * 2, &1u16.to_be_bytes());
    }
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_path_that_the_format_has_no_room_for_is_refused() {
        assert!(over(Path::new(&"x".repeat(1023)), 1).is_some());
        assert!(over(Path::new(&"x".repeat(1024)), 1).is_none());
    }

    /// By QEMU's own tool, where there is one.
    #[test]
    fn qemu_finds_nothing_wrong_with_it_and_reads_the_image_below() {
        let folder = tempfile::tempdir().unwrap();
        let (raw, image) = (folder.path().join("raw"), folder.path().join("image"));
        for size in [512u64, 8 << 30, 1 << 40] {
            std::fs::File::create(&raw).unwrap().set_len(size).unwrap();
            std::fs::write(&image, over(&raw, size).unwrap()).unwrap();
            let Ok(info) = Command::new("qemu-img").arg("info").arg("--output=json").arg(&image).output()
            else {
                return;
            };
            let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
            assert_eq!(info["virtual-size"], size);
            assert_eq!(info["backing-filename"], raw.to_str().unwrap());
            assert_eq!(info["backing-filename-format"], "raw");
            let check = Command::new("qemu-img").arg("check").arg(&image).output().unwrap();
            assert!(check.status.success(), "{check:?}");
        }
    }
}
