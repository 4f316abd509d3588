//! The payload in this executable: a manifest and a blob per component. Only the manifest (some ten
//! kilobytes) is read at every start; the blobs' pages stay on the disk until something is extracted.

use super::arch::Arch;
use super::error::{PayloadError, Result};
use super::manifest::{Chunk, Kernel, Manifest, Qemu, Rootfs, blob_name};
use std::borrow::Cow;
use std::path::PathBuf;

/// The folder that `build.rs` made, embedded by `main.rs`; empty if there was nothing to pack.
pub type Blobs = include_dir::Dir<'static>;

pub struct Payload {
    manifest: Manifest,
    digest: String,
    /// In the order of [`Manifest::components`].
    blobs: [Cow<'static, [u8]>; 3],
}

/// A file of the payload, with its path below the version's folder.
pub(super) struct Member<'a> {
    pub path: PathBuf,
    pub size: u64,
    pub executable: bool,
    pub chunks: &'a [Chunk],
    blob: &'a [u8],
}

impl Payload {
    /// The payload of this executable; None if it was built without one.
    pub fn embedded(blobs: &'static Blobs) -> Result<Option<Self>> {
        let Some(manifest) = blobs.get_file("manifest.json") else { return Ok(None) };
        Self::new(manifest.contents(), |blob| blobs.get_file(blob).map(|file| file.contents().into()))
            .map(Some)
    }

    pub(super) fn new(manifest: &[u8], blob: impl Fn(&str) -> Option<Cow<'static, [u8]>>) -> Result<Self> {
        let digest = blake3::hash(manifest).to_hex()[..DIGEST_LENGTH].to_owned();
        let damaged = |why: String| PayloadError::DamagedPayload { what: format!("its manifest: {why}") };
        let manifest: Manifest = serde_json::from_slice(manifest).map_err(|e| damaged(e.to_string()))?;
        manifest.check().map_err(damaged)?;
        let blobs = manifest.components().map(|(name, _)| blob(&blob_name(name)).unwrap_or_default());
        Ok(Self { manifest, digest, blobs })
    }

    /// The digest of the payload: that of the manifest, which has the digests of all chunks. It is the version's name in the
    /// cache.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The architecture of its VMs.
    pub fn arch(&self) -> Arch {
        self.manifest.arch()
    }

    pub fn kernel(&self) -> &Kernel {
        &self.manifest.kernel.about
    }

    pub fn rootfs(&self) -> &Rootfs {
        &self.manifest.rootfs.about
    }

    pub fn qemu(&self) -> &Qemu {
        &self.manifest.qemu.about
    }

    /// The first number of QEMU's version.
    pub fn qemu_major(&self) -> Option<u32> {
        self.qemu().version.split('.').next()?.parse().ok()
    }

    /// Bytes to be written to the cache, without holes.
    pub fn unpacked_bytes(&self) -> u64 {
        let files = self.manifest.components().into_iter().flat_map(|(_, files)| files);
        files.flat_map(|file| &file.chunks).map(|chunk| chunk.length).sum()
    }

    /// Every file.
    pub(super) fn members(&self) -> Vec<Member<'_>> {
        let mut members = Vec::new();
        for ((name, files), blob) in self.manifest.components().into_iter().zip(&self.blobs) {
            for file in files {
                let path = PathBuf::from(name).join(&file.path);
                let (size, executable, chunks) = (file.size, file.executable, &file.chunks[..]);
                members.push(Member { path, size, executable, chunks, blob });
            }
        }
        members
    }
}

/// Hexadecimal digits of a version's name: 80 bits.
pub(super) const DIGEST_LENGTH: usize = 20;

impl Member<'_> {
    /// The chunk's bytes, unpacked and verified.
    pub fn read(&self, chunk: &Chunk) -> Result<Vec<u8>> {
        let damaged = |why: &str| PayloadError::DamagedPayload {
            what: format!("{} in it, at byte {}: {why}", self.path.display(), chunk.offset),
        };
        let end = chunk.frame_offset.saturating_add(chunk.frame_length);
        let frame =
            self.blob.get(chunk.frame_offset as usize..end as usize).ok_or_else(|| damaged("cut off"))?;
        let bytes =
            zstd::bulk::decompress(frame, chunk.length as usize).map_err(|e| damaged(&e.to_string()))?;
        if is_intact(chunk, &bytes) { Ok(bytes) } else { Err(damaged("wrong digest")) }
    }
}

/// Whether these are the chunk's bytes.
pub(super) fn is_intact(chunk: &Chunk, bytes: &[u8]) -> bool {
    bytes.len() as u64 == chunk.length && blake3::hash(bytes).to_hex().as_str() == chunk.digest
}
