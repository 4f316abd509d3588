//! A guest at its checkpoint: booted as far as the terminal, without an identity. Here it may be saved, and many may be
//! restored from what was saved. It waits for the host to send its identity, and assumes it before anyone can enter.
//!
//! The kernel has made its random numbers anew by itself, since the machine's generation id has changed (kernel
//! documentation, "VM Generation ID"); the host's entropy is for a machine whose id has not: the one that was saved.

use super::status::{self, RUNTIME};
use super::timezone;
use super::{desktop, doors};
use crate::protocol::{GuestEvent, GuestIdentity, HEADLESS, line};
use nix::libc;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// The argument that makes this program wait at the checkpoint.
pub const CHECKPOINT: &str = "checkpoint";

/// Where systemd looks for credentials besides those of the firmware (systemd.exec(5), ImportCredential=).
const CREDENTIALS: &str = "/run/credstore";
/// The user's home.
const HOME: &str = "/home/ghost";
/// What the terminal's shell waits on.
const SHELL: &str = "virtualghost-checkpoint";
/// systemd writes the second, or binds the first over it where that can't be written (machine-id(5)).
const MACHINE_IDS: [&str; 2] = ["/run/machine-id", "/etc/machine-id"];

/// # Errors
/// The control port can't be used, or the host sends no identity: then nobody may enter this machine.
pub fn checkpoint() -> io::Result<()> {
    let headless = fs::read_to_string("/proc/cmdline")?.split(' ').any(|word| word == HEADLESS);
    let shell = Path::new(RUNTIME).join(SHELL);
    while !headless && !shell.exists() {
        sleep(Duration::from_millis(50));
    }
    settle();
    let identity = receive_identity()?;
    assume_identity(&identity)?;
    timezone::set(&identity.timezone)?;
    if identity.home {
        run("/usr/lib/virtualghost/home", &[])?;
    }
    if let Some(opened) = &identity.doors {
        doors::open(opened)?;
    }
    fs::create_dir_all("/run/virtualghost")?;
    fs::write(desktop::RESUMED, "")?;
    if identity.safe {
        fs::write(desktop::SAFE_START, "")?;
    }
    if !headless {
        fs::write(shell, format!("{}\n", next(identity.safe)))?;
    }
    run("systemctl", &["start", "ghostly-agent.socket", "ghostly-agent-vsock.socket"])
}

/// What the terminal's shell does now: a word that checkpoint/bash knows.
fn next(safe: bool) -> &'static str {
    match desktop::reader(Path::new(HOME)) {
        _ if safe => "safe",
        Some(reader) => reader.word(),
        None => "shell",
    }
}

/// What is still starting would start again in each machine that is started from here.
fn settle() {
    const WINDOW: Duration = Duration::from_millis(200);
    const WINDOWS: u32 = 20;
    let mut before = idle();
    for _ in 0..WINDOWS {
        sleep(WINDOW);
        let now = idle();
        let [spent, idle] = [0, 1].map(|i| now[i].saturating_sub(before[i]));
        if idle * 10 >= spent * 9 {
            break;
        }
        before = now;
    }
    // SAFETY: it takes and gives nothing.
    unsafe { libc::sync() };
}

/// All of the processors' time, and that in which they did nothing (proc_stat(5)).
fn idle() -> [u64; 2] {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let times = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let times: Vec<u64> = times.map(|time| time.parse().unwrap_or(0)).collect();
    [times.iter().sum(), times.iter().skip(3).take(2).sum()]
}

/// Reports to the host that the machine is at its checkpoint, and waits for the answer, however long that takes.
fn receive_identity() -> io::Result<GuestIdentity> {
    let mut port = status::open_port(OpenOptions::new().read(true).write(true))?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no control port"))?;
    port.write_all(line(&GuestEvent::Checkpoint).as_bytes())?;
    let mut answer = String::new();
    BufReader::new(port).read_line(&mut answer)?;
    serde_json::from_str(&answer).map_err(io::Error::other)
}

fn assume_identity(identity: &GuestIdentity) -> io::Result<()> {
    set_clock(identity.clock)?;
    add_entropy(identity.entropy.as_bytes())?;
    nix::unistd::sethostname(&identity.host_name)?;
    let mut id = [0; 16];
    File::open("/dev/urandom").and_then(|mut random| io::Read::read_exact(&mut random, &mut id))?;
    let own =
        MACHINE_IDS.iter().find(|path| Path::new(path).exists()).expect("an empty one comes with the image");
    fs::write(own, format!("{:032x}\n", u128::from_be_bytes(id)))?;
    DirBuilder::new().mode(0o700).recursive(true).create(CREDENTIALS)?;
    for (name, text) in &identity.credentials {
        if name.contains('/') {
            return Err(io::Error::other(format!("{name:?} is no name of a credential")));
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(Path::new(CREDENTIALS).join(name))?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn set_clock(nanoseconds: u64) -> io::Result<()> {
    let time = Duration::from_nanos(nanoseconds);
    let time = nix::sys::time::TimeSpec::from_duration(time);
    Ok(nix::time::clock_settime(nix::time::ClockId::CLOCK_REALTIME, time)?)
}

/// Mixes it into the kernel's pool and has the generators take it up (random(4), RNDADDENTROPY; RNDRESEEDCRNG).
fn add_entropy(digits: &[u8]) -> io::Result<()> {
    const RNDADDENTROPY: libc::c_ulong = 0x4008_5203;
    const RNDRESEEDCRNG: libc::c_ulong = 0x5207;
    #[repr(C)]
    struct PoolInfo {
        bits: libc::c_int,
        bytes: libc::c_int,
        pool: [u8; 64],
    }
    let mut info = PoolInfo { bits: 0, bytes: 0, pool: [0; 64] };
    let length = digits.len().min(info.pool.len());
    info.pool[..length].copy_from_slice(&digits[..length]);
    (info.bits, info.bytes) = (length as libc::c_int * 4, length as libc::c_int);
    let random = OpenOptions::new().write(true).open("/dev/urandom")?;
    // SAFETY: the descriptor is open, and the pointer is to a structure that holds the length of its pool.
    let done = unsafe {
        libc::ioctl(random.as_raw_fd(), RNDADDENTROPY as _, &raw const info) == 0
            && libc::ioctl(random.as_raw_fd(), RNDRESEEDCRNG as _) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program} ended with {status}"))) }
}
