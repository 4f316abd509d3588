//! The kernel, root filesystem, QEMU and GPU pack of one VM: each is the user's own file, or embedded. The only place that
//! resolves a [`Source`]. Checks the user's files before anything starts.

use super::kernel::{self, Packed};
use super::unfit::Unfit;
use super::{Installed, Payload, PayloadError, Qemu, install, progress, validate};
use crate::error::{Error, Kind, Result};
use crate::model::{Arch, Initrd, MAKE_PACK, Source, Terminal, VmSpec};
use crate::qemu::{Bundle, Paths, Program, RootDisk};
use crate::sys::Dirs;
use anyhow::Context;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// As images name it.
const GHOSTTY: &str = "ghostty";

pub struct Artifacts {
    kernel: PathBuf,
    /// The kernel in that file, if QEMU needs it unpacked.
    packed_kernel: Option<Packed>,
    initrd: Option<PathBuf>,
    rootfs: PathBuf,
    qemu: Program,
    /// The image of a GPU pack.
    gpu_pack: Option<PathBuf>,
    /// None if no embedded artifact is used.
    payload: Option<Payload>,
    /// The terminal of the embedded image, if that is used.
    terminal: Option<String>,
    cache: PathBuf,
}

impl Artifacts {
    /// `cache`: the folder that the payload is unpacked to.
    ///
    /// # Errors
    /// One of the user's files is invalid, or an artifact is needed that the executable does not contain.
    pub fn check(spec: &VmSpec, embedded: Option<Payload>, cache: &Path) -> Result<Self> {
        let gpu_pack = gpu_pack(spec)?;
        let initrd = match &spec.initrd {
            Initrd::None => None,
            Initrd::File(path) => {
                Some(checked(path, validate::check_initrd, "set another path, or remove the setting")?.0)
            }
        };
        let own_kernel = own_file(&spec.kernel, |path| kernel::check(path, spec.arch, initrd.is_some()))?;
        let packed_kernel = own_kernel.as_ref().and_then(|(_, packed)| *packed);
        let own_kernel = own_kernel.map(|(path, _)| path);
        let own_rootfs = own_file(&spec.rootfs, validate::check_rootfs)?.map(|(path, ())| path);
        let own_qemu = own_file(&spec.qemu, validate::check_program)?.map(|(path, ())| path);
        let cache = cache.to_owned();
        let artifacts = match (own_kernel, own_rootfs, own_qemu) {
            (Some(kernel), Some(rootfs), Some(qemu)) => {
                let qemu = Program { path: qemu, bundle: None };
                Self {
                    kernel,
                    packed_kernel,
                    initrd,
                    rootfs,
                    qemu,
                    gpu_pack,
                    payload: None,
                    terminal: None,
                    cache,
                }
            }
            (own_kernel, own_rootfs, own_qemu) => {
                let payload = embedded.ok_or(PayloadError::NothingEmbedded)?;
                let paths = payload.paths(&cache);
                let bundled = Program {
                    path: paths.qemu.program,
                    bundle: Some(Bundle {
                        modules: paths.qemu.modules,
                        data: paths.qemu.data,
                        major: payload.qemu_major(),
                    }),
                };
                Self {
                    kernel: own_kernel.unwrap_or(paths.kernel),
                    packed_kernel,
                    initrd,
                    qemu: own_qemu.map_or(bundled, |path| Program { path, bundle: None }),
                    gpu_pack,
                    terminal: own_rootfs.is_none().then(|| payload.rootfs().terminal.clone()),
                    rootfs: own_rootfs.unwrap_or(paths.rootfs),
                    payload: Some(payload),
                    cache,
                }
            }
        };
        artifacts.check_terminal(&spec.terminal.value)?;
        Ok(artifacts)
    }

    /// Every image has foot. Of the user's own, nothing is known.
    fn check_terminal(&self, wanted: &Terminal) -> Result<()> {
        match self.other_terminal() {
            Some(terminal) if *wanted == Terminal::Ghostty => {
                let error = format!("can't start Ghostty: the image in this executable has {terminal} only");
                Err(Error::new(Kind::BadInput, error).hint(
                    "use --terminal auto, or build an executable with Ghostty: make assets GHOSTTY=FILE",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The paths of all parts of the VM, also before they are installed. `cache` and `keys`: folders of this VM.
    pub fn paths(&self, spec: &VmSpec, dirs: &Dirs, cache: PathBuf, keys: PathBuf, root: RootDisk) -> Paths {
        Paths {
            kernel: match self.packed_kernel {
                Some(_) => unpacked_kernel_path(dirs),
                None => self.kernel.clone(),
            },
            initrd: self.initrd.clone(),
            rootfs: self.rootfs.clone(),
            qemu: self.qemu.clone(),
            overlay_folder: dirs.overlay_path(),
            gpu_pack: self.gpu_pack.clone(),
            home: spec.keeps_home().then(|| dirs.home_path(&spec.name)),
            root,
            cache,
            keys,
        }
    }

    /// Unpacks the user's kernel to the launch's folder for overlays, which exists, if QEMU needs that.
    ///
    /// # Errors
    /// It can't be unpacked.
    pub fn unpack_kernel(&self, dirs: &Dirs) -> Result<()> {
        let Some(packed) = self.packed_kernel else { return Ok(()) };
        let to = unpacked_kernel_path(dirs);
        let cannot = || format!("can't unpack the kernel {} to {}", self.kernel.display(), to.display());
        let kernel =
            packed.unpack(&mut File::open(&self.kernel).with_context(cannot)?).with_context(cannot)?;
        Ok(fs::write(&to, kernel).with_context(cannot)?)
    }

    pub fn rootfs_path(&self) -> &Path {
        &self.rootfs
    }

    pub fn qemu_path(&self) -> &Path {
        &self.qemu.path
    }

    /// What is known of the executable's QEMU; None if it is not used.
    pub fn bundled_qemu(&self) -> Option<&Qemu> {
        self.payload.as_ref().filter(|_| self.qemu.bundle.is_some()).map(Payload::qemu)
    }

    /// The folder for checkpoints of VMs with these artifacts; None if none is embedded.
    pub fn checkpoints_path(&self) -> Option<PathBuf> {
        self.payload.as_ref().map(|payload| payload.checkpoints_path(&self.cache))
    }

    /// Unpacks the embedded artifacts, if needed. Keep the result while the VM is running.
    ///
    /// # Errors
    /// It can't be unpacked.
    pub fn install(&self, spec: &VmSpec) -> Result<Option<Installed>> {
        let Some(payload) = &self.payload else { return Ok(None) };
        Ok(Some(install(payload, &self.cache, &spec.name, &*progress::for_stderr())?))
    }

    /// Whether nothing needs to be unpacked.
    pub fn are_installed(&self) -> bool {
        self.payload.as_ref().is_none_or(|payload| payload.is_installed(&self.cache))
    }

    /// The payload, if any of it is used.
    pub fn bytes_to_unpack(&self) -> u64 {
        match &self.payload {
            Some(payload) if !self.are_installed() => payload.unpacked_bytes(),
            _ => 0,
        }
    }

    /// The unpacked files that differ from the payload; None if nothing is unpacked. Reads all of them.
    pub fn damaged_files(&self) -> Option<Result<Vec<PathBuf>>> {
        let payload = self.payload.as_ref().filter(|payload| payload.is_unpacked(&self.cache))?;
        Some(payload.damaged_files(&self.cache).map_err(Error::from))
    }

    /// The terminal of the embedded image, if that is used and starts another one than Ghostty.
    pub fn other_terminal(&self) -> Option<&str> {
        self.terminal.as_deref().filter(|terminal| *terminal != GHOSTTY)
    }
}

/// The architecture of this executable's VMs: that of the embedded artifacts, else the host's.
pub fn guest_arch(host: Option<Arch>, embedded: Option<&Payload>) -> Arch {
    embedded.map(Payload::arch).or(host).unwrap_or(Arch::X86_64)
}

/// Identifies the QEMU that this executable starts, and its version.
pub fn identity(qemu: &Source, embedded: Option<&Payload>) -> String {
    let which = match qemu {
        Source::File(path) => path.display().to_string(),
        Source::Embedded => embedded.map(|payload| payload.digest().to_owned()).unwrap_or_default(),
    };
    format!("{} {which}", env!("CARGO_PKG_VERSION"))
}

fn unpacked_kernel_path(dirs: &Dirs) -> PathBuf {
    dirs.overlay_path().join("kernel")
}

/// The absolute path of a file of the user's, and what its check found out.
fn own_file<T>(source: &Source, check: impl Fn(&Path) -> anyhow::Result<T>) -> Result<Option<(PathBuf, T)>> {
    let Source::File(path) = source else { return Ok(None) };
    let hint = "set another path, or remove the setting to use the embedded one";
    checked(path, check, hint).map(Some)
}

/// The image of a GPU pack. Checks its kernel here, since no setting fixes a broken pack.
fn gpu_pack(spec: &VmSpec) -> Result<Option<PathBuf>> {
    let Some(pack) = spec.passthrough.as_ref().and_then(|passed| passed.pack.value.as_ref()) else {
        return Ok(None);
    };
    let hint = format!("make it again ({MAKE_PACK}), or use none: gpu_pack = \"none\" in the configuration");
    let kernel = pack.join("vmlinux");
    if spec.kernel == Source::File(kernel.clone()) {
        checked(&kernel, |path| kernel::check(path, spec.arch, false), &hint)?;
    }
    Ok(Some(checked(&pack.join("gpu-pack.img"), validate::check_squashfs, &hint)?.0))
}

/// `hint`: what to type, unless the check knows better.
fn checked<T>(path: &Path, check: impl Fn(&Path) -> anyhow::Result<T>, hint: &str) -> Result<(PathBuf, T)> {
    let path = std::path::absolute(path).with_context(|| format!("{} is not a path", path.display()))?;
    let found = check(&path).map_err(|cause| {
        let hint = cause.downcast_ref::<Unfit>().map_or(hint, Unfit::fix).to_owned();
        Error::caused(Kind::BadInput, cause, hint)
    })?;
    Ok((path, found))
}
