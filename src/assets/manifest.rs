//! What the executable carries, as data: the manifest that `build.rs` writes and the launcher reads.
//! Shared with `build.rs`, so it knows no other module.
//!
//! A file is cut into chunks. A chunk of zeros is a hole: it isn't listed. Every other
//! chunk is one zstd frame in its component's blob and can be unpacked by itself, in any order.

use super::arch::Arch;
use serde::{Deserialize, Serialize};
use std::path::{Component as PathPart, Path};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// zstd's level, from 1 to 22.
    pub level: i32,
    pub kernel: Component<Kernel>,
    pub rootfs: Component<Rootfs>,
    pub qemu: Component<Qemu>,
}

/// What one folder of `assets/build/` holds: what it says of itself, and its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Component<About> {
    pub about: About,
    pub files: Vec<PackedFile>,
}

/// The fields of `kernel/manifest.json` that the launcher uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    pub arch: Arch,
    pub version: String,
}

/// The fields of `rootfs/manifest.json` that the launcher uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rootfs {
    pub arch: Arch,
    pub flavour: String,
    pub terminal: String,
    pub terminal_version: String,
}

/// The fields of `qemu/manifest.json` that the launcher uses; the paths are relative to its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Qemu {
    /// Of the guests that it runs.
    pub arch: Arch,
    pub version: String,
    pub program: String,
    pub modules: String,
    pub data: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackedFile {
    /// Relative to the component's folder, with `/` on every OS.
    pub path: String,
    pub size: u64,
    pub executable: bool,
    /// In the order of their offsets; what lies between them is zeros.
    pub chunks: Vec<Chunk>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Where it belongs in the file.
    pub offset: u64,
    pub length: u64,
    /// BLAKE3 of the uncompressed bytes, in hexadecimal.
    pub digest: String,
    /// Where its frame lies in the component's blob.
    pub frame_offset: u64,
    pub frame_length: u64,
}

/// Bytes per chunk; the last of a file is shorter. Small enough for every core to have work in one file,
/// large enough to cost little in compression.
pub const CHUNK: u64 = 4 << 20;

impl Manifest {
    pub fn arch(&self) -> Arch {
        self.kernel.about.arch
    }

    /// Refuses what no packer makes: parts that don't fit together, a name that leads out of its folder, and a chunk that is too long, out of
    /// order or beyond the end of its file. Who has asked may add up a manifest's numbers and reserve room for a
    /// chunk.
    pub fn check(&self) -> Result<(), String> {
        let qemu = &self.qemu.about;
        let arch = self.arch();
        if self.rootfs.about.arch != arch || qemu.arch != arch {
            let (rootfs, qemu) = (self.rootfs.about.arch, qemu.arch);
            return Err(format!(
                "a kernel for {arch}, a root filesystem for {rootfs} and a QEMU for {qemu} make no VM"
            ));
        }
        let files = || self.components().into_iter().flat_map(|(_, files)| files);
        let paths = files().map(|file| &file.path).chain([&qemu.program, &qemu.modules, &qemu.data]);
        if let Some(path) = paths.into_iter().find(|path| !stays_inside(path)) {
            return Err(format!("{path:?} can't be a name in it"));
        }
        for file in files() {
            let mut end = 0;
            for Chunk { offset, length, .. } in &file.chunks {
                let next = offset.checked_add(*length).filter(|next| *next <= file.size);
                let Some(next) = next.filter(|_| *offset >= end && *length <= CHUNK) else {
                    return Err(format!("{} can't have {length} bytes at byte {offset}", file.path));
                };
                end = next;
            }
        }
        Ok(())
    }

    /// Each component's name (that of its folder, and with [`blob_name`] of its blob) and files.
    pub fn components(&self) -> [(&'static str, &[PackedFile]); 3] {
        [("kernel", &self.kernel.files), ("rootfs", &self.rootfs.files), ("qemu", &self.qemu.files)]
    }
}

/// The kernel and the root filesystem in their folders; QEMU's folder says itself where its program is.
pub fn kernel_file(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "vmlinux",
        Arch::Aarch64 => "Image",
    }
}
pub const ROOTFS_FILE: &str = "rootfs.img";

pub fn blob_name(component: &str) -> String {
    format!("{component}.zst")
}

/// Whether these bytes are all zero. Compared with themselves, one byte on: memcmp is fast in every build.
pub fn is_hole(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|first| *first == 0 && bytes[1..] == bytes[..bytes.len() - 1])
}

/// Whether `path` names something below the folder that it is joined to, on every OS: no `..`, no root,
/// no drive, no backslash.
pub fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':', '\0'])
        && Path::new(path).components().all(|part| matches!(part, PathPart::Normal(_)))
}
