//! The paths of a VM's artifacts, disks and keys.

use std::path::PathBuf;

/// The paths, decided by earlier stages. All absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub kernel: PathBuf,
    pub initrd: Option<PathBuf>,
    pub rootfs: PathBuf,
    pub qemu: Program,
    /// A folder on disk for the temporary overlay.
    pub overlay_folder: PathBuf,
    /// The disk with the guest's /home (raw).
    pub home: Option<PathBuf>,
    /// The disk with the drivers of physical GPUs (squashfs).
    pub gpu_pack: Option<PathBuf>,
    pub root: RootDisk,
    /// The folder for what graphics drivers and the window keep between starts of this VM.
    pub cache: PathBuf,
    /// A folder with a file for each of [`crate::protocol::CREDENTIALS`], if QEMU gets them as files.
    pub keys: PathBuf,
}

impl Paths {
    /// Maps each path with `map`, but those of the root disk, which may not exist yet.
    ///
    /// # Errors
    /// `map` fails for a path.
    pub fn map_paths<E>(self, map: impl Fn(PathBuf) -> Result<PathBuf, E>) -> Result<Self, E> {
        let bundle = self.qemu.bundle.map(|bundle| -> Result<_, E> {
            Ok(Bundle { modules: map(bundle.modules)?, data: map(bundle.data)?, ..bundle })
        });
        Ok(Self {
            kernel: map(self.kernel)?,
            initrd: self.initrd.map(&map).transpose()?,
            rootfs: map(self.rootfs)?,
            qemu: Program { path: map(self.qemu.path)?, bundle: bundle.transpose()? },
            overlay_folder: map(self.overlay_folder)?,
            home: self.home.map(&map).transpose()?,
            gpu_pack: self.gpu_pack.map(&map).transpose()?,
            root: self.root,
            cache: map(self.cache)?,
            keys: map(self.keys)?,
        })
    }
}

/// The guest's root disk. `rootfs` is never written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootDisk {
    /// An overlay over `rootfs` that makes the disk larger ([`super::qcow2::header_over`]), under a temporary one.
    Enlarged(PathBuf),
    /// The same overlay, which becomes part of a checkpoint.
    ToSave(PathBuf),
    /// The disk of a checkpoint, under a temporary overlay.
    Saved(PathBuf),
    /// The VM's own overlay, which stays, over an image that it shares with no other VM's disk.
    Kept { disk: PathBuf, image: PathBuf },
}

impl RootDisk {
    /// Maps each path with `map`.
    ///
    /// # Errors
    /// `map` fails for a path.
    pub fn map_paths<E>(self, map: impl Fn(PathBuf) -> Result<PathBuf, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Enlarged(disk) => Self::Enlarged(map(disk)?),
            Self::ToSave(disk) => Self::ToSave(map(disk)?),
            Self::Saved(disk) => Self::Saved(map(disk)?),
            Self::Kept { disk, image } => Self::Kept { disk: map(disk)?, image: map(image)? },
        })
    }
}

/// A qemu-system program, and for a bundled one the folders of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub bundle: Option<Bundle>,
}

/// The folders of the relocatable bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// `QEMU_MODULE_DIR`
    pub modules: PathBuf,
    /// `-L`
    pub data: PathBuf,
    /// The first number of its version, if known.
    pub major: Option<u32>,
}
