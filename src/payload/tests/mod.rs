//! The cache as a whole, with small payloads made by the code that `build.rs` uses.

// Modes, links, holes, and locked files that can be read: Unix's.
#[cfg(unix)]
mod damage;
#[cfg(unix)]
mod disk;
mod install;
#[cfg(unix)]
mod removal;
#[cfg(unix)]
mod round_trip;
#[cfg(unix)]
mod together;

use super::error::Result;
use super::pack::pack;
use super::{Installed, Payload, Progress, install};
use std::fs;
use std::path::{Path, PathBuf};

/// Dirs to build, pack and install in; removed at the end.
struct Lab {
    folder: tempfile::TempDir,
}

/// The files of the small VM: path, bytes, mode. The image has data at both ends and in the middle.
const IMAGE_SIZE: usize = 40 << 20;
const DATA: &str = "virtual ghost ";

impl Lab {
    fn new() -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        let about = [
            (
                "kernel",
                r#"{"component":"kernel","arch":"x86_64","version":"6.12","package":"p","config_options":1}"#,
            ),
            (
                "rootfs",
                r#"{"arch":"x86_64","flavour":"debian","terminal":"foot","terminal_version":"1","packages":{"a":"1"}}"#,
            ),
            (
                "qemu",
                r#"{"arch":"x86_64","version":"10","program":"bin/qemu","modules":"lib/qemu","data":"share/qemu"}"#,
            ),
        ];
        for (component, about) in about {
            lab.write(&format!("{component}/manifest.json"), about.as_bytes(), 0o644);
        }
        let mut image = vec![0; IMAGE_SIZE];
        for start in [0, 17 << 20, IMAGE_SIZE - DATA.len() * 1000] {
            image[start..start + DATA.len() * 1000].copy_from_slice(DATA.repeat(1000).as_bytes());
        }
        lab.write("kernel/vmlinux", DATA.repeat(1_000_000).as_bytes(), 0o644);
        lab.write("rootfs/rootfs.img", &image, 0o644);
        lab.write("qemu/bin/qemu", b"#!/bin/sh\n", 0o755);
        lab.write("qemu/lib/qemu/ui.so", b"module", 0o644);
        lab.write("qemu/share/qemu/pvh.bin", b"", 0o644);
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn build(&self, file: &str) -> PathBuf {
        self.path("build").join(file)
    }

    fn write(&self, file: &str, bytes: &[u8], mode: u32) {
        let path = self.build(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        set_mode(&path, mode);
    }

    fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// What `build.rs` makes of the build folder, read back.
    fn payload(&self) -> Payload {
        let folder = self.path("payload");
        let _ = fs::remove_dir_all(&folder);
        pack(&self.path("build"), &folder, 1, Path::new("/nonexistent")).unwrap();
        self.packed(&folder).unwrap()
    }

    fn packed(&self, folder: &Path) -> Result<Payload> {
        let manifest = fs::read(folder.join("manifest.json")).unwrap();
        Payload::new(&manifest, |blob| fs::read(folder.join(blob)).ok().map(Into::into))
    }

    /// A payload that differs from all others by its kernel.
    fn version(&self, kernel: &str) -> Payload {
        self.write("kernel/vmlinux", kernel.as_bytes(), 0o644);
        self.payload()
    }

    fn install(&self, payload: &Payload) -> Result<Installed> {
        install(payload, &self.cache(), &"test".parse().unwrap(), &Silent)
    }

    /// The names in the cache's folder of versions.
    fn versions(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.cache().join("assets")) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn assert_intact(&self, payload: &Payload) {
        assert!(payload.is_installed(&self.cache()));
        assert_eq!(payload.damaged_files(&self.cache()).unwrap(), Vec::<PathBuf>::new());
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// There is none.
#[cfg(windows)]
fn set_mode(_: &Path, _: u32) {}

struct Silent;

impl Progress for Silent {
    fn plan(&self, _: u64) {}
    fn advance(&self, _: u64) {}
    fn waiting(&self, _: &str) {}
    fn done(&self) {}
}
