//! A VM that is none: its name is taken, its keys and state are there, and its agent runs here.

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, getuid};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use virtualghost::instance::{AgentAddress, Instance, Phase, VmState};
use virtualghost::remote::config;
use virtualghost::sys::ProcessId;

/// Long enough for any machine; reached only by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Vm {
    folder: TempDir,
    agent: Child,
    _instance: Instance,
}

impl Vm {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With variables in the environment of the guest's agent.
    pub fn start_with(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vms = folder.path().join("state/virtualghost/vms");
        let name = "web".parse().unwrap();
        let instance = Instance::take(&name, &vms, false).unwrap();
        let credentials = folder.path().join("credentials");
        fs::create_dir(&credentials).unwrap();
        for (name, text) in instance.credentials() {
            fs::write(credentials.join(name), text).unwrap();
        }
        let me = User::from_uid(getuid()).unwrap().expect("the test's user has no account").name;
        let mut agent = Command::new(env!("CARGO_BIN_EXE_ghostly-agent"))
            .args(["--listen", "tcp:127.0.0.1:0", "--user", &me, "--credentials"])
            .arg(credentials)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(agent.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').unwrap_or_else(|| panic!("{line}")).1.parse().unwrap();
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        let ProcessId { pid, started } = ProcessId::of_this_process();
        instance.publish(&VmState {
            name: "web".to_owned(),
            state: Phase::Ready,
            pid,
            pid_started: started,
            accelerator: "none".to_owned(),
            gpu: String::new(),
            jail: String::new(),
            net: String::new(),
            allow: Vec::new(),
            ports: Vec::new(),
            shares: Vec::new(),
            channel: Some(AgentAddress::Port(port)),
            since: String::new(),
            ready_after: Some(0.0),
            terminal: None,
            poweroff_timeout: 1,
        });
        let text = config::of_vm(&name, &vms, Path::new(executable()));
        let text = String::from_utf8(text).unwrap().replace("User ghost", &format!("User {me}"));
        fs::write(instance.files().ssh_config_path(), text).unwrap();
        fs::write(folder.path().join("state/virtualghost/ssh-config"), config::of_all(&vms)).unwrap();
        Self { folder, agent, _instance: instance }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The executable, as the user of this VM.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("HOME", self.folder.path()).env("XDG_STATE_HOME", self.path("state"));
        command.args(args).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a program in the VM prints.
    pub fn exec(&self, words: &[&str]) -> String {
        let output = self.run(&[&["exec", "web", "--"], words].concat());
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts `sh -c SCRIPT` in the VM, in a process group of its own on the host, and waits until the script has made the
    /// file `ready`.
    pub fn started(&self, options: &[&str], script: &str) -> Running {
        let ready = self.path("ready");
        let script = script.replace("READY", &format!(": >'{}'", ready.display()));
        let mut command = self.command(&[&["exec"], options, &["web", "--", "sh", "-c", &script]].concat());
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        wait_until("the program in the VM", || ready.exists());
        Running(child)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

pub struct Running(pub Child);

impl Running {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }

    /// As the keys of a terminal do, and timeout(1).
    pub fn signal_group(&self, signal: Signal) {
        kill(Pid::from_raw(-(self.0.id() as i32)), signal).unwrap();
    }

    pub fn finish(self) -> Output {
        self.0.wait_with_output().unwrap()
    }
}

pub fn executable() -> &'static str {
    env!("CARGO_BIN_EXE_virtualghost")
}

/// Runs `command` with `input` on standard input.
pub fn feed(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = feeder.join().unwrap();
    output
}

/// The last of Linux's signals is ignored here, and so by the agents that start from here.
pub fn ignore_last_signal() {
    // SAFETY: no handler is called, and nothing else uses the signal.
    unsafe { libc::signal(libc::SIGRTMAX(), libc::SIG_IGN) };
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
