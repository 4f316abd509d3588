//! The manifest of the payload, which `build.rs` writes and the launcher reads.
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

/// One folder of `assets/build/`: its description and its files.
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
    /// The architecture of the guests that it runs.
    pub arch: Arch,
    pub version: String,
    /// How new its packages are: a day such as 2026-11-25. Not known for a QEMU that was not built with the executable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
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
    /// In the order of their offsets; between them are zeros.
    pub chunks: Vec<Chunk>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its position in the file.
    pub offset: u64,
    pub length: u64,
    /// BLAKE3 of the uncompressed bytes, in hexadecimal.
    pub digest: String,
    /// The position of its frame in the component's blob.
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

    /// Refuses what no packer makes: artifacts that don't fit together, a path that leaves its folder, and a chunk that is too
    /// long, out of order or beyond the end of its file. After this check a manifest's numbers can be added up, and memory
    /// for a chunk reserved.
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
            return Err(format!("{path:?} is not allowed as a path"));
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

/// The files of the kernel and the root filesystem in their folders; QEMU's manifest has the path of its program.
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

/// Whether `path` stays below the folder that it is joined to, on every OS: no `..`, no root, no drive, no backslash.
pub fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':', '\0'])
        && Path::new(path).components().all(|part| matches!(part, PathPart::Normal(_)))
}
