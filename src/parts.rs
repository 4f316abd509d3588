//! Where the parts of this VM come from: each is a file of the user's own, or the executable carries it.
//! Joins the plan's sources with the assets; looks at the user's files before anything starts.

use crate::arch::Arch;
use crate::assets::{self, AssetError, Installed, Payload, own, progress};
use crate::checkpoint::Checkpoint;
use crate::config::Source;
use crate::error::{Error, Kind, Result};
use crate::folders::Folders;
use crate::host::HostFacts;
use crate::instance::Files;
use crate::plan::{Home, MAKE_PACK, Start, VmSpec};
use crate::qemu::{Bundle, Paths, Program, RootDisk};
use anyhow::Context;
use std::path::{Path, PathBuf};

pub struct Parts {
    kernel: Option<PathBuf>,
    rootfs: Option<PathBuf>,
    qemu: Option<PathBuf>,
    /// The image of a GPU pack.
    gpu_pack: Option<PathBuf>,
    /// There if any part is needed from it.
    payload: Option<Payload>,
}

impl Parts {
    /// # Errors
    /// A file of the user's is not what it should be, or a part is needed that the executable does not carry.
    pub fn check(spec: &VmSpec, embedded: Option<Payload>) -> Result<Self> {
        let gpu_pack = gpu_pack(spec)?;
        let kernel = own_file(&spec.kernel, |path| own::check_kernel(path, spec.arch))?;
        let rootfs = own_file(&spec.rootfs, own::check_rootfs)?;
        let qemu = own_file(&spec.qemu, own::check_program)?;
        let all_own = kernel.is_some() && rootfs.is_some() && qemu.is_some();
        let payload = if all_own { None } else { Some(embedded.ok_or(AssetError::NothingEmbedded)?) };
        Ok(Self { kernel, rootfs, qemu, gpu_pack, payload })
    }

    /// Where they are, or will be once they are installed.
    pub fn paths(&self, spec: &VmSpec, folders: &Folders) -> Paths {
        let cache = folders.cache_path();
        let embedded = self.payload.as_ref().map(|payload| payload.paths(&cache));
        let part = |own: &Option<PathBuf>, of: fn(&assets::Paths) -> &PathBuf| {
            own.clone().or_else(|| embedded.as_ref().map(|paths| of(paths).clone())).unwrap_or_default()
        };
        let bundle = match (&self.qemu, &embedded) {
            (None, Some(paths)) => Some(Bundle {
                modules: paths.qemu.modules.clone(),
                data: paths.qemu.data.clone(),
                major: self.payload.as_ref().and_then(|payload| payload.qemu_major()),
            }),
            _ => None,
        };
        Paths {
            kernel: part(&self.kernel, |paths| &paths.kernel),
            rootfs: part(&self.rootfs, |paths| &paths.rootfs),
            qemu: Program { path: part(&self.qemu, |paths| &paths.qemu.program), bundle },
            overlay_folder: folders.overlay_path(),
            gpu_pack: self.gpu_pack.clone(),
            home: matches!(spec.home, Home::Kept(_)).then(|| folders.home_path(&spec.name)),
            root: RootDisk::Image,
            keys: Files::new(&folders.vms_path(), &spec.name).keys_path(),
        }
    }

    /// The checkpoint of such a VM, if it is to have one.
    pub fn checkpoint(&self, spec: &VmSpec, folders: &Folders, machine: &str) -> Option<Checkpoint> {
        let payload = self.payload.as_ref().filter(|_| spec.start.value == Start::Instant)?;
        Some(Checkpoint::new(&payload.checkpoints_path(&folders.cache_path()), spec, machine))
    }

    /// Unpacks what the executable carries, if that is needed. Keep the result for as long as the VM runs.
    pub fn install(&self, spec: &VmSpec, folders: &Folders) -> Result<Option<Installed>> {
        let Some(payload) = &self.payload else { return Ok(None) };
        let installed =
            assets::install(payload, &folders.cache_path(), &spec.name, &*progress::for_stderr())?;
        Ok(Some(installed))
    }

    /// Whether a start would have nothing to unpack.
    pub fn are_there(&self, cache: &Path) -> bool {
        self.payload.as_ref().is_none_or(|payload| payload.is_installed(cache))
    }

    /// What a start would unpack.
    pub fn bytes_to_unpack(&self, cache: &Path) -> u64 {
        match &self.payload {
            Some(payload) if !self.are_there(cache) => payload.unpacked_bytes(),
            _ => 0,
        }
    }

    /// The unpacked files that are not as packed; None where nothing is unpacked. Reads them all.
    pub fn damaged_files(&self, cache: &Path) -> Option<Result<Vec<PathBuf>>> {
        let payload = self.payload.as_ref().filter(|payload| payload.is_unpacked(cache))?;
        Some(payload.damaged_files(cache).map_err(Error::from))
    }

    /// What stands in for Ghostty in this image, if another terminal does.
    pub fn other_terminal(&self) -> Option<&str> {
        let image = self.payload.as_ref().filter(|_| self.rootfs.is_none())?.rootfs();
        (image.terminal != "ghostty").then_some(&image.terminal)
    }
}

/// The architecture of the VMs of this executable: that of what it carries, else the host's.
pub fn guest_arch(facts: &HostFacts, embedded: Option<&Payload>) -> Arch {
    embedded.map(Payload::arch).or(facts.arch).unwrap_or(Arch::X86_64)
}

/// Stands for the QEMU that this executable starts, and its version.
pub fn identity(qemu: &Source, embedded: Option<&Payload>) -> String {
    let which = match qemu {
        Source::File(path) => path.display().to_string(),
        Source::Embedded => embedded.map(|payload| payload.digest().to_owned()).unwrap_or_default(),
    };
    format!("{} {which}", env!("CARGO_PKG_VERSION"))
}

fn own_file(source: &Source, check: impl Fn(&Path) -> anyhow::Result<()>) -> Result<Option<PathBuf>> {
    let Source::File(path) = source else { return Ok(None) };
    let hint = "give another path, or leave the setting out to take what the executable carries";
    checked(path, check, hint).map(Some)
}

/// The image of a GPU pack, and a look at its kernel: what is wrong with a pack is not mended by a setting.
fn gpu_pack(spec: &VmSpec) -> Result<Option<PathBuf>> {
    let Some(pack) = spec.passthrough.as_ref().and_then(|passed| passed.pack.value.as_ref()) else {
        return Ok(None);
    };
    let hint = format!("make it anew ({MAKE_PACK}), or do without: gpu_pack = \"none\" in the configuration");
    let kernel = pack.join("vmlinux");
    if spec.kernel == Source::File(kernel.clone()) {
        checked(&kernel, |path| own::check_kernel(path, spec.arch), &hint)?;
    }
    checked(&pack.join("gpu-pack.img"), own::check_squashfs, &hint).map(Some)
}

fn checked(path: &Path, check: impl Fn(&Path) -> anyhow::Result<()>, hint: &str) -> Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
    check(&path).map_err(|cause| Error::caused(Kind::BadInput, cause, hint))?;
    Ok(path)
}
