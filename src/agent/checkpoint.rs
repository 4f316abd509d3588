//! A machine at its checkpoint: booted as far as the terminal, and nobody's yet. Here it may be saved, and many may start
//! from what was saved. It waits for the host to say who it is, and takes that over before anyone can enter it.
//!
//! The kernel has made its random numbers anew by itself, since the machine's generation id has changed (kernel
//! documentation, "VM Generation ID"); the host's entropy is for a machine whose id has not: the one that was saved.

use super::status::{self, RUNTIME};
use nix::libc;
use serde::Deserialize;
use std::collections::BTreeMap;
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
/// What the terminal's shell waits on.
const SHELL: &str = "virtualghost-checkpoint";
/// systemd writes the second, or binds the first over it where that can't be written (machine-id(5)).
const MACHINE_IDS: [&str; 2] = ["/run/machine-id", "/etc/machine-id"];

/// Who this machine is: one line of JSON on the control port, from the host.
#[derive(Deserialize)]
struct Entry {
    host_name: String,
    /// Nanoseconds since 1970.
    clock: u64,
    /// Hexadecimal digits from the host's random numbers.
    entropy: String,
    /// The home disk is there now.
    home: bool,
    credentials: BTreeMap<String, String>,
}

/// # Errors
/// The control port can't be used, or the host does not say who this machine is: then nobody may enter it.
pub fn checkpoint() -> io::Result<()> {
    let headless =
        fs::read_to_string("/proc/cmdline")?.split(' ').any(|word| word == "virtualghost.headless");
    let shell = Path::new(RUNTIME).join(SHELL);
    while !headless && !shell.exists() {
        sleep(Duration::from_millis(50));
    }
    settle();
    let entry = hear()?;
    let entry: Entry = serde_json::from_str(&entry).map_err(io::Error::other)?;
    become_own(&entry)?;
    if entry.home {
        run("/usr/lib/virtualghost/home", &[])?;
    }
    if !headless {
        fs::write(shell, "\n")?;
    }
    run("systemctl", &["start", "ghostly-agent.socket", "ghostly-agent-vsock.socket"])
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

/// Tells the host that the machine is here, and returns its answer, however much later that comes.
fn hear() -> io::Result<String> {
    let mut port = status::open_port(OpenOptions::new().read(true).write(true))?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no control port"))?;
    port.write_all(b"{\"event\":\"checkpoint\"}\n")?;
    let mut answer = String::new();
    BufReader::new(port).read_line(&mut answer)?;
    Ok(answer)
}

fn become_own(entry: &Entry) -> io::Result<()> {
    set_clock(entry.clock)?;
    add_entropy(entry.entropy.as_bytes())?;
    nix::unistd::sethostname(&entry.host_name)?;
    let mut id = [0; 16];
    File::open("/dev/urandom").and_then(|mut random| io::Read::read_exact(&mut random, &mut id))?;
    let own =
        MACHINE_IDS.iter().find(|path| Path::new(path).exists()).expect("an empty one comes with the image");
    fs::write(own, format!("{:032x}\n", u128::from_be_bytes(id)))?;
    DirBuilder::new().mode(0o700).recursive(true).create(CREDENTIALS)?;
    for (name, text) in &entry.credentials {
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
    // SAFETY: the descriptor is open, and the pointer is to a structure that says how long its pool is.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_without_all_of_it_is_none() {
        let whole = r#"{"host_name":"a","clock":1,"entropy":"00","home":false,"credentials":{"a":"b"}}"#;
        assert!(serde_json::from_str::<Entry>(whole).is_ok());
        assert!(serde_json::from_str::<Entry>(&whole.replace("\"clock\":1,", "")).is_err());
        assert!(serde_json::from_str::<Entry>("").is_err());
    }
}
