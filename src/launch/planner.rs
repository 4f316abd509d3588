//! The plan of a launch. `--dry-run`, doctor and the launch itself make it with the same function, so that they agree.

use super::KnownFailures;
use crate::checkpoint::{Checkpoint, StartMode};
use crate::config::Config;
use crate::error::Result;
use crate::host::{HostFacts, git};
use crate::instance::{self, System, VmFiles};
use crate::model::units::VmName;
use crate::model::{Arch, Feature, Start, VmSpec, Window};
use crate::payload::{Artifacts, Payload, artifacts};
use crate::plan::{self, KeptSystem, PlanError, WantedVm};
use crate::qemu::Paths;
use crate::share::{self, Found, Protected};
use crate::sys::{Dirs, dirs};
use std::path::PathBuf;

/// The purpose of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A session, in a window or for connections.
    Session,
    /// A session with its shell in this terminal.
    AttachedShell,
    /// Only the VM's checkpoint.
    Checkpoint,
}

/// Plans one VM, as often as the facts change.
#[derive(Debug, Clone)]
pub struct Planner {
    pub config: Config,
    pub guest: Arch,
    pub vm: WantedVm,
    /// Without the start files of the home.
    pub safe: bool,
    pub purpose: Purpose,
}

impl Planner {
    /// # Errors
    /// Something that the user forced is not available.
    pub fn plan(&self, facts: &HostFacts) -> std::result::Result<VmSpec, PlanError> {
        let mut spec = plan::plan(facts, &self.config, self.guest, &self.vm)?;
        spec.safe = self.safe;
        if self.purpose == Purpose::Checkpoint {
            // The guest still has a screen with its terminal.
            spec.window.value = Window::None;
            spec.window.because = "no window while creating a checkpoint".to_owned();
        }
        Ok(spec)
    }
}

/// A VM that can be launched.
pub struct LaunchPlan {
    pub dirs: Dirs,
    pub facts: HostFacts,
    pub known_failures: KnownFailures,
    pub planner: Planner,
    pub spec: VmSpec,
    pub artifacts: Artifacts,
    /// A random number of this launch, for names of channels.
    pub unique: u64,
}

/// What to launch.
pub struct Request {
    pub name: VmName,
    pub ephemeral: bool,
    pub purpose: Purpose,
    /// A folder of the host to open the terminal in.
    pub folder: Option<PathBuf>,
    /// Also folders that a guest should not have.
    pub share_anyway: bool,
}

impl Request {
    pub fn new(name: VmName, purpose: Purpose) -> Self {
        Self { name, ephemeral: false, purpose, folder: None, share_anyway: false }
    }
}

impl LaunchPlan {
    /// `probed`: the host's facts, with its PCI bus if the configuration has a GPU.
    ///
    /// # Errors
    /// Something that the user forced is not available, or an artifact is missing or invalid.
    pub fn new(
        dirs: Dirs,
        probed: HostFacts,
        known_failures: KnownFailures,
        config: Config,
        embedded: Option<Payload>,
        request: Request,
    ) -> Result<Self> {
        let Request { name, ephemeral, purpose, folder, share_anyway } = request;
        let mut facts = known_failures.apply(probed);
        if let Some(because) = dirs.unfit_for_checkpoints() {
            facts = facts.disable(Feature::Checkpoint, &because);
        }
        let system = System::at(dirs.system_path(&name));
        let kept = system.made_from().map(|made_from| KeptSystem { made_from, image: system.image_path() });
        let Found { shares, workdir } = match purpose {
            Purpose::Checkpoint => Found::default(),
            Purpose::Session | Purpose::AttachedShell => {
                let mut wanted = config.shares.value.0.iter().map(|share| &share.folder).chain(&folder);
                wanted.try_for_each(|folder| plan::can_share(facts.os, folder))?;
                let protected = Protected { homes: dirs::homes(), own: dirs.all() };
                share::find(&config.shares.value.0, folder.as_deref(), &protected, share_anyway)?
            }
        };
        let wants_git = config.git_identity.value && purpose != Purpose::Checkpoint;
        let git = wants_git.then(git::identity).transpose()?;
        let vm = WantedVm { name, is_ephemeral: ephemeral, system: kept, shares, workdir, git };
        let guest = artifacts::guest_arch(facts.arch, embedded.as_ref());
        let planner = Planner { config, guest, vm, safe: false, purpose };
        let spec = planner.plan(&facts)?;
        let artifacts = Artifacts::check(&spec, embedded, &dirs.cache_path())?;
        Ok(Self { dirs, facts, known_failures, planner, spec, artifacts, unique: instance::random() })
    }

    /// How this VM starts: from its checkpoint if there is one.
    pub fn start_mode(&self) -> StartMode {
        if self.spec.keeps_system() {
            let system = System::at(self.dirs.system_path(&self.spec.name));
            return StartMode::Kept { system, made_from: self.spec.rootfs.clone() };
        }
        let folder = self.artifacts.checkpoints_path().filter(|_| self.spec.start.value == Start::Instant);
        let checkpoint = folder.map(|folder| Checkpoint::new(&folder, &self.spec, &self.facts.machine));
        StartMode::new(checkpoint, &self.dirs)
    }

    pub fn paths(&self, mode: &StartMode) -> Paths {
        let files = VmFiles::new(&self.dirs.vms_path(), &self.spec.name);
        let (cache, keys) = (files.cache_path(), files.keys_path());
        self.artifacts.paths(&self.spec, &self.dirs, cache, keys, mode.root_disk())
    }
}
