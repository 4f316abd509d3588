//! A running launch: its resources (name, artifacts, overlay, GPU), one QEMU after another until none of its features fails,
//! and the reaction to each event of a VM.

use super::announce::{announce, announce_age};
use super::attached::{Attached, ProgramStatus};
use super::copies;
use super::planner::{LaunchPlan, Purpose};
use super::reporter::Reporter;
use super::resume_attempts::ResumeAttempts;
use super::{endings, fallback, qemu_launch, write_ssh_config};
use crate::checkpoint::{self, Checkpoint, CheckpointPlan, StartMode};
use crate::error::Result;
use crate::host::pci;
use crate::instance::{AgentAddress, HomeFile, Instance, Phase, Scratch, TerminalSize, VmState, WriteLimit};
use crate::model::units::VmName;
use crate::model::{AgentLink, Choice, Feature, Jail, Window};
use crate::net::ports::Listening;
use crate::net::{self, Network, Policy};
use crate::payload::Installed;
use crate::qemu::{self, Agent};
use crate::remote::exec::{Place, Program};
use crate::share::copy;
use crate::share::{Servers, Watched};
use crate::supervise::{End, Stage, Vm, VmEvent};
use crate::sys::{StopHandle, files};
use crate::vfio;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

pub struct Session<'a> {
    plan: &'a mut LaunchPlan,
    instance: Instance,
    state: VmState,
    state_writes: WriteLimit,
    resume_attempts: ResumeAttempts,
    launched: Instant,
    stop: StopHandle,
    /// Starts once the session is ready; when it exits, the VM is stopped.
    attached: Option<Attached>,
    /// Of the program that the VM is for.
    program_status: Option<ProgramStatus>,
    reporter: Box<dyn Reporter>,
    /// Features that failed during this launch.
    failed: Vec<(Feature, String)>,
    mode: StartMode,
    _installed: Option<Installed>,
    _scratch: Scratch,
    _gpu: Option<vfio::os::GpuLease>,
}

impl<'a> Session<'a> {
    /// Locks the VM's name and prepares everything that QEMU needs.
    ///
    /// # Errors
    /// The name is in use, the artifacts can't be unpacked, or the GPU can't be bound.
    pub fn prepare(
        plan: &'a mut LaunchPlan,
        reporter: Box<dyn Reporter>,
        program: Option<Program>,
    ) -> Result<Self> {
        let launched = Instant::now();
        let (spec, purpose) = (&plan.spec, plan.planner.purpose);
        let ephemeral = purpose == Purpose::Checkpoint || !spec.keeps_home();
        let instance = Instance::take(&spec.name, &plan.dirs.vms_path(), ephemeral)?;
        let state = VmState::new(spec, agent_address(plan));
        instance.publish(&state);
        let shell = write_ssh_config(spec, instance.files(), &plan.dirs)?;
        if spec.keeps_home() && purpose != Purpose::Checkpoint {
            HomeFile::at(plan.dirs.home_path(&spec.name)).prepare(spec.home_size)?;
        }
        let installed = plan.artifacts.install(spec)?;
        let scratch = Scratch::make(&plan.dirs.overlay_path())?;
        plan.artifacts.unpack_kernel(&plan.dirs)?;
        // From here on Ctrl-C shuts down the guest; until here it just ends the program.
        let stop = StopHandle::of_this_process().context("can't handle Ctrl-C")?;
        let gpu = bind_gpu(plan)?;
        if plan.spec.passthrough.is_some() {
            // The properties of the bound functions are only known now.
            plan.facts.pci = pci::probe();
            plan.spec = plan.planner.plan(&plan.facts)?;
        }
        let place =
            Place { config: instance.files().ssh_config_path(), name: plan.spec.name.clone(), root: false };
        let program_status = program.is_some().then(ProgramStatus::default);
        let attached = match (program, program_status.clone()) {
            (Some(program), Some(status)) => Some(Attached::Program(place, program, status)),
            _ => (purpose == Purpose::AttachedShell).then_some(Attached::Shell(shell)),
        };
        let mut session = Self {
            attached,
            program_status,
            mode: StartMode::new(None, &plan.dirs),
            plan,
            instance,
            state,
            state_writes: WriteLimit::default(),
            resume_attempts: ResumeAttempts::default(),
            launched,
            stop,
            reporter,
            failed: Vec::new(),
            _installed: installed,
            _scratch: scratch,
            _gpu: gpu,
        };
        let LaunchPlan { spec, artifacts, dirs, .. } = &*session.plan;
        copies::prepare(spec, dirs, &mut *session.reporter)?;
        announce(spec, artifacts, &dirs.notices_path(), &mut *session.reporter);
        if session.plan.planner.config.age_notice.value {
            announce_age(artifacts, &dirs.notices_path(), &mut *session.reporter);
        }
        Ok(session)
    }

    /// Starts QEMU and handles its events until it has exited.
    ///
    /// # Errors
    /// QEMU can't be started.
    pub fn run_once(&mut self) -> Result<End> {
        self.mode = self.plan.start_mode();
        let mut paths = self.plan.paths(&self.mode).map_paths(files::qemu_safe_path)?;
        self.mode.prepare(&paths.rootfs, self.plan.spec.root_size)?;
        paths.root = paths.root.map_paths(files::qemu_safe_path)?;
        let mut launch = qemu_launch(&self.plan.spec, &paths, self.plan.unique, &self.instance);
        if let Some(source) = self.mode.source()? {
            let resumes = self.plan.planner.purpose != Purpose::Checkpoint;
            let resume = resumes
                .then(|| checkpoint::resume(&self.plan.spec, &paths, self.instance.credentials()))
                .transpose()?;
            launch.checkpoint = Some(CheckpointPlan { source, resume });
        }
        let published = self.state.clone();
        self.state.runs_on(&self.plan.spec, agent_address(self.plan));
        if self.state != published {
            self.publish();
        }
        let mut network = Network::new(
            Policy::of(&self.plan.spec),
            net::ports::Policy::of(&self.plan.spec),
            self.network_files(),
        )?;
        launch.card = network.card();
        let watched = Watched::new(&self.plan.spec.shares);
        let mut servers = Servers::start(
            &copies::served(&self.plan.spec, &self.plan.dirs),
            &self.instance.files().share_socket_path(),
        )?;
        launch.shares = servers.devices();
        let stop = self.stop.clone();
        let mut vm = Vm::start(&launch, &stop)?;
        // Only QEMU has them now.
        launch.card = None;
        launch.shares.clear();
        network.start()?;
        while let Some(event) = vm.next_event()? {
            if let VmEvent::Listening(ports) = &event {
                let said = network.listening(Listening::new(ports));
                said.iter().for_each(|sentence| self.reporter.notice(sentence));
            }
            self.handle(event);
            network.look().iter().for_each(|sentence| self.reporter.notice(sentence));
            for report in servers.look() {
                vm.send_message(&report.message);
                report.notice.iter().for_each(|sentence| self.reporter.notice(sentence));
            }
            self.follow(&network);
            if self.state.state == Phase::Paused && self.may_resume() {
                vm.resume();
            }
        }
        let left = network.finish();
        self.reporter.done();
        left.iter().chain(&watched.sentences()).for_each(|sentence| self.reporter.notice(sentence));
        Ok(vm.end())
    }

    fn network_files(&self) -> net::Files {
        let files = self.instance.files();
        net::Files {
            vm: self.plan.spec.name.clone(),
            show: files.network_socket_path(),
            request: files.network_request_path(),
            agent: (self.plan.spec.agent.value == AgentLink::Socket).then(|| files.agent_socket_path()),
            log: self.plan.planner.config.net_log.value.then(|| files.network_log_path()),
        }
    }

    /// Publishes the ports on the host, and a policy that was changed while the VM runs. It stays, also if QEMU is started again.
    fn follow(&mut self, network: &Network) {
        let ports = network.published();
        if self.state.ports != ports {
            self.state.ports = ports;
            self.publish();
        }
        let (policy, spec) = (network.policy(), &mut self.plan.spec);
        if spec.net.value != policy.net || spec.allow != policy.allow {
            spec.net = Choice::new(policy.net, "set while the VM ran");
            spec.allow.clone_from(&policy.allow);
            let config = &mut self.plan.planner.config;
            config.net.value = policy.net.into();
            config.allow.value.0.clone_from(&policy.allow);
            self.state.reaches(policy.net, &policy.allow);
            self.publish();
        }
    }

    /// Plans the VM without a feature that failed, and prints the fallback.
    ///
    /// # Errors
    /// The user forced the feature.
    pub fn fall_back(&mut self, feature: Feature, because: &str) -> Result<()> {
        if feature == Feature::Checkpoint {
            self.mode.checkpoint().into_iter().for_each(Checkpoint::discard);
        }
        self.plan.facts = self.plan.facts.clone().disable(feature, because);
        self.failed.push((feature, because.to_owned()));
        self.plan.spec = self.plan.planner.plan(&self.plan.facts)?;
        self.reporter.notice(&fallback::notice(feature, because, &self.plan.spec));
        Ok(())
    }

    /// The result of the launch, once no other QEMU will be started.
    ///
    /// # Errors
    /// The VM died, or its checkpoint could not be published.
    pub fn finish(mut self, end: End) -> Result<ExitCode> {
        let published = self.mode.finish();
        for sentence in copy::leave(&self.plan.dirs, &self.plan.spec.name) {
            self.reporter.notice(&sentence);
        }
        match end {
            End::Saved => {
                published?;
                if let Some(checkpoint) = self.mode.checkpoint() {
                    self.reporter.notice(&checkpoint.description());
                }
                Ok(ExitCode::SUCCESS)
            }
            End::PoweredOff { .. } | End::Stopped { .. } => {
                if let Err(e) = published {
                    tracing::warn!("the checkpoint was not saved, so the next start is not instant: {e}");
                }
                let status = endings::after_power_off(
                    &end,
                    &self.plan.spec,
                    self.instance.files(),
                    &mut *self.reporter,
                )?;
                let program = self.program_status.take().map(ProgramStatus::take).transpose()?;
                Ok(ExitCode::from(program.unwrap_or(status)))
            }
            End::Died { reason, tails } => Err(endings::died(&reason, &tails, self.instance.files())),
            End::FeatureFailed { .. } => unreachable!("another QEMU is started"),
        }
    }

    fn handle(&mut self, event: VmEvent) {
        match event {
            VmEvent::Stage { stage, elapsed } => {
                self.reporter.stage(stage, elapsed);
                if stage == Stage::Ready {
                    self.on_ready();
                }
            }
            VmEvent::AgentPort(port) => {
                self.state.channel = Some(AgentAddress::Port(port));
                self.publish();
            }
            VmEvent::TerminalSize { columns, rows } => {
                self.state.terminal = Some(TerminalSize { columns, rows });
                self.state_writes.changed(Instant::now());
            }
            VmEvent::CheckpointSaved => {
                self.mode.publish();
                self.remember_failures();
            }
            VmEvent::Paused => {
                self.state.state = Phase::Paused;
                self.publish();
                self.reporter.notice(&paused(&self.full_folder(), &self.plan.spec.name));
            }
            VmEvent::Resumed => {
                self.state.state =
                    if self.state.ready_after.is_some() { Phase::Ready } else { Phase::Booting };
                self.publish();
                self.reporter.notice("the VM runs again");
            }
            VmEvent::Stopping => {
                self.state.state = Phase::Stopping;
                self.publish();
            }
            // The network has handled it.
            VmEvent::Listening(_) => {}
            VmEvent::Notice(sentence) => self.reporter.notice(&sentence),
            VmEvent::Tick(elapsed) => self.reporter.tick(elapsed),
        }
        if self.state_writes.is_due(Instant::now()) {
            self.publish();
        }
    }

    /// Whether the user wants it tried, or there may be space for the guest's next writes.
    fn may_resume(&mut self) -> bool {
        let requested = std::fs::remove_file(self.instance.files().resume_request_path()).is_ok();
        let free = fs4::available_space(self.full_folder()).unwrap_or_default();
        requested || self.resume_attempts.is_due(free, Instant::now())
    }

    /// The folder with the least space of those that the guest's writes go to.
    fn full_folder(&self) -> PathBuf {
        let dirs = &self.plan.dirs;
        let folders = [dirs.overlay_path(), dirs.homes_path(), dirs.systems_path()];
        let free = |folder: &PathBuf| fs4::available_space(folder).unwrap_or(u64::MAX);
        folders.into_iter().filter(|folder| folder.exists()).min_by_key(free).expect("there is at least one")
    }

    fn on_ready(&mut self) {
        // The time since the launch: that of the event starts at 0 with each QEMU.
        self.state.is_ready_after(self.launched.elapsed());
        self.publish();
        self.instance.drop_guest_keys();
        self.remember_failures();
        if let Some(attached) = self.attached.take() {
            attached.start(self.stop.clone());
        }
    }

    fn publish(&mut self) {
        self.state_writes.written();
        self.instance.publish(&self.state);
    }

    /// Called when the launch has succeeded with the remaining features. If no window works at all, the cause is the desktop
    /// session, not OpenGL or a toolkit; a CID that is in use does not affect the next launch; and a checkpoint that failed was
    /// removed.
    fn remember_failures(&mut self) {
        let has_window = self.plan.spec.window.value != Window::None;
        let affects_next = |feature: Feature| match feature {
            Feature::Accelerator(_) => true,
            Feature::Gl | Feature::Window(_) => has_window,
            // If OpenGL failed in the wider jail too, it was not the jail.
            Feature::StrictJail => self.plan.spec.jail.value == Jail::GpuWide,
            Feature::Vsock | Feature::Checkpoint => false,
        };
        let failed: Vec<_> = self.failed.iter().filter(|(feature, _)| affects_next(*feature)).collect();
        if failed.is_empty() {
            return;
        }
        let failures = failed.iter().map(|(feature, because)| (*feature, because.as_str()));
        if let Err(e) = self.plan.known_failures.add(failures) {
            tracing::warn!(
                "can't remember failed features, so the next start tries {} again: {e:#}",
                failed[0].0
            );
        }
    }
}

/// The agent's address, if it is known before QEMU runs.
fn agent_address(plan: &LaunchPlan) -> Option<AgentAddress> {
    match qemu::channels(&plan.spec, plan.unique).agent {
        Agent::Vsock { cid } => Some(AgentAddress::Vsock(cid)),
        Agent::Socket => Some(AgentAddress::Socket),
        Agent::Loopback => None,
    }
}

/// Binds the passed GPU, unless it is bound already. It is returned to the host when the result is dropped.
fn bind_gpu(plan: &LaunchPlan) -> Result<Option<vfio::os::GpuLease>> {
    let Some(passed) = &plan.spec.passthrough else { return Ok(None) };
    vfio::os::allow_locking(passed.locked);
    let is_bound = passed.bind_plan.devices.is_empty();
    (!is_bound).then(|| vfio::os::hold(&passed.bind_plan)).transpose()
}

fn paused(full: &Path, name: &VmName) -> String {
    format!(
        "the disk of {} is full: the VM is paused until there is space (or: virtualghost resume {name})",
        full.display()
    )
}

#[cfg(all(test, unix))]
#[path = "texts.rs"]
mod texts;
