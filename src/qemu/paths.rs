//! Where the parts of a VM are.

use std::path::PathBuf;

/// Where the parts are, decided by the stages before. All absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub kernel: PathBuf,
    pub rootfs: PathBuf,
    pub qemu: Program,
    /// A folder on disk for the throw-away overlay.
    pub overlay_folder: PathBuf,
    /// The disk that keeps the guest's /home (raw).
    pub home: Option<PathBuf>,
    /// The disk with the drivers of physical GPUs (squashfs).
    pub gpu_pack: Option<PathBuf>,
    pub root: RootDisk,
    /// A folder with a file for each of [`super::CREDENTIALS`].
    pub keys: PathBuf,
}

impl Paths {
    /// The same, each by another name.
    ///
    /// # Errors
    /// One has none.
    pub fn named<E>(self, name: impl Fn(PathBuf) -> Result<PathBuf, E>) -> Result<Self, E> {
        let bundle = self.qemu.bundle.map(|bundle| -> Result<_, E> {
            Ok(Bundle { modules: name(bundle.modules)?, data: name(bundle.data)?, ..bundle })
        });
        Ok(Self {
            kernel: name(self.kernel)?,
            rootfs: name(self.rootfs)?,
            qemu: Program { path: name(self.qemu.path)?, bundle: bundle.transpose()? },
            overlay_folder: name(self.overlay_folder)?,
            home: self.home.map(&name).transpose()?,
            gpu_pack: self.gpu_pack.map(&name).transpose()?,
            root: self.root,
            keys: name(self.keys)?,
        })
    }
}

/// What the guest's root disk is. `rootfs` is only ever read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootDisk {
    /// `rootfs`, under an overlay that is thrown away.
    Image,
    /// An overlay ([`super::overlay::over`]) that is to be part of a checkpoint.
    ToSave(PathBuf),
    /// That of a checkpoint, under an overlay that is thrown away.
    Saved(PathBuf),
}

/// A qemu-system program and what it is told about its own files; an installed one knows them itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub bundle: Option<Bundle>,
}

/// Folders of the relocatable bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// `QEMU_MODULE_DIR`
    pub modules: PathBuf,
    /// `-L`
    pub data: PathBuf,
    /// The first number of its version, if it tells one.
    pub major: Option<u32>,
}
