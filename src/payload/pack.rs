//! Makes the payload from the folders of `assets/build/`: blobs of zstd frames, and a manifest. Used by `build.rs` and the
//! tests; the launcher only reads it.

use super::manifest::{
    CHUNK, Chunk, Component, Manifest, PackedFile, ROOTFS_FILE, blob_name, is_hole, kernel_file,
};
use super::{parallel, sparse};
use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Packs `build/{kernel,rootfs,qemu}` into the new folder `payload`. Frames that have not changed since `earlier` (a
/// payload, or a path that does not exist) are copied from there, if it was packed at the same level.
pub fn pack(build: &Path, payload: &Path, level: i32, earlier: &Path) -> Result<()> {
    fs::create_dir_all(payload).with_context(|| format!("can't create {}", payload.display()))?;
    let packer = Packer { build, payload, level, frames: Frames::of(earlier, level).unwrap_or_default() };
    let manifest = Manifest {
        level,
        kernel: packer.component("kernel")?,
        rootfs: packer.component("rootfs")?,
        qemu: packer.component("qemu")?,
    };
    let needed = [kernel_file(manifest.arch()), ROOTFS_FILE, &manifest.qemu.about.program];
    for ((name, files), needed) in manifest.components().into_iter().zip(needed) {
        ensure!(
            files.iter().any(|file| file.path == needed),
            "{} contains no {needed}",
            build.join(name).display()
        );
    }
    manifest.check().map_err(anyhow::Error::msg)?;
    fs::write(payload.join("manifest.json"), serde_json::to_vec(&manifest)?)?;
    Ok(())
}

struct Packer<'a> {
    build: &'a Path,
    payload: &'a Path,
    level: i32,
    frames: Frames,
}

/// A chunk-sized part of a file, still to be read.
struct Part<'a> {
    /// Its place in the list of files.
    file: usize,
    path: &'a Path,
    offset: u64,
    length: u64,
}

impl Packer<'_> {
    fn component<About: DeserializeOwned>(&self, name: &str) -> Result<Component<About>> {
        let folder = self.build.join(name);
        let about = folder.join("manifest.json");
        let about = serde_json::from_slice(&fs::read(&about)?)
            .with_context(|| format!("{} is incomplete", about.display()))?;
        let mut blob = Vec::new();
        let files =
            self.files(&folder, &mut blob).with_context(|| format!("can't pack {}", folder.display()))?;
        fs::write(self.payload.join(blob_name(name)), blob)?;
        Ok(Component { about, files })
    }

    fn files(&self, folder: &Path, blob: &mut Vec<u8>) -> Result<Vec<PackedFile>> {
        let mut paths = Vec::new();
        list(folder, &mut paths)?;
        paths.retain(|path| *path != folder.join("manifest.json"));
        paths.sort();
        let mut parts = Vec::new();
        let mut packed = Vec::new();
        for (file, path) in paths.iter().enumerate() {
            let meta = fs::symlink_metadata(path)?;
            let relative = path.strip_prefix(folder)?.to_str().context("a file name is not UTF-8")?;
            let relative = relative.replace(std::path::MAIN_SEPARATOR, "/");
            let size = meta.len();
            let source = File::open(path)?;
            let mut end = 0;
            while let Some(data) = sparse::next_data(&source, end)? {
                let offset = data / CHUNK * CHUNK;
                end = size.min(offset + CHUNK);
                parts.push(Part { file, path, offset, length: end - offset });
            }
            let executable = sparse::is_program(&meta);
            packed.push(PackedFile { path: relative, size, executable, chunks: Vec::new() });
        }
        for (part, frame) in parts.iter().zip(parallel::map(&parts, |part| self.part(part))?) {
            let Some((digest, frame)) = frame else { continue };
            let (offset, length) = (part.offset, part.length);
            let (frame_offset, frame_length) = (blob.len() as u64, frame.len() as u64);
            packed[part.file].chunks.push(Chunk { offset, length, digest, frame_offset, frame_length });
            blob.extend(frame);
        }
        Ok(packed)
    }

    /// Digest and frame of a part; None for a hole.
    fn part(&self, part: &Part<'_>) -> Result<Option<(String, Vec<u8>)>> {
        let mut bytes = vec![0; part.length as usize];
        let mut file = File::open(part.path)?;
        file.seek(SeekFrom::Start(part.offset))?;
        file.read_exact(&mut bytes).with_context(|| format!("can't read {}", part.path.display()))?;
        if is_hole(&bytes) {
            return Ok(None);
        }
        let digest = blake3::hash(&bytes).to_hex().to_string();
        let frame = match self.frames.get(&digest) {
            Some(frame) => frame.to_vec(),
            None => zstd::bulk::compress(&bytes, self.level)?,
        };
        Ok(Some((digest, frame)))
    }
}

/// The frames of an earlier payload, by the digest of their content.
#[derive(Default)]
struct Frames {
    blobs: Vec<Vec<u8>>,
    places: HashMap<String, (usize, std::ops::Range<usize>)>,
}

impl Frames {
    fn of(payload: &Path, level: i32) -> Option<Self> {
        let manifest: Manifest =
            serde_json::from_slice(&fs::read(payload.join("manifest.json")).ok()?).ok()?;
        if manifest.level != level {
            return None;
        }
        let mut frames = Self::default();
        for (name, files) in manifest.components() {
            for chunk in files.iter().flat_map(|file| &file.chunks) {
                let start = chunk.frame_offset as usize;
                let place = (frames.blobs.len(), start..start + chunk.frame_length as usize);
                frames.places.insert(chunk.digest.clone(), place);
            }
            frames.blobs.push(fs::read(payload.join(blob_name(name))).ok()?);
        }
        Some(frames)
    }

    fn get(&self, digest: &str) -> Option<&[u8]> {
        let (blob, place) = self.places.get(digest)?;
        self.blobs[*blob].get(place.clone())
    }
}

/// Every file below `folder`. Links and other special files are refused: they don't exist everywhere, and
/// a bundle doesn't need them.
fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), paths)?;
        } else {
            ensure!(kind.is_file(), "{} is not a plain file (for a link, use cp -L)", entry.path().display());
            paths.push(entry.path());
        }
    }
    Ok(())
}
