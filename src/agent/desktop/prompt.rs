//! A first prompt that does not come. bash reports it; another shell that a start file runs (`exec fish`) does not, and a start
//! file that never ends comes to none. After a while the session is ready all the same: its window is there and takes keys.

use super::{at_checkpoint, ready, tell};
use crate::agent::status;
use nix::libc;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A shell that has run for so long without a prompt will not show one soon.
const LATE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(2);

const HANGS: &str = "the shell shows no prompt: ~/.bashrc or another of its start files may not end. \
    Press Ctrl-C in the window, or start without them: virtualghost run --safe";

/// Watches until the session is ready.
///
/// # Errors
/// There is no thread for it.
pub fn watch() -> io::Result<()> {
    std::thread::Builder::new().spawn(|| {
        let mut shell: Option<(u32, Instant)> = None;
        while !status::is_ready() {
            std::thread::sleep(LOOK);
            // A guest at its checkpoint is nobody's yet, and its shell waits on purpose.
            let is = if at_checkpoint() { None } else { shell_of(std::process::id()) };
            match (shell, is) {
                (Some((pid, since)), Some(found)) if pid == found.pid && since.elapsed() >= LATE => {
                    return report(&found);
                }
                (Some((pid, _)), Some(found)) if pid == found.pid => (),
                (_, found) => shell = found.map(|found| (found.pid, Instant::now())),
            }
        }
    })?;
    Ok(())
}

fn report(shell: &Process) {
    let done = if shell.foreground_waits() { Ok(()) } else { tell(HANGS) };
    let _ = done.and_then(|()| ready::report(&shell.terminal_path()));
}

/// A row of proc_pid_stat(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    group: i32,
    session: i32,
    terminal: u64,
    foreground: i32,
}

impl Process {
    fn parse(stat: &str) -> Option<Self> {
        let pid = stat.split(' ').next()?.parse().ok()?;
        // The name may contain anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
        Some(Self {
            pid,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            terminal: fields.next()?.parse().ok()?,
            foreground: fields.next()?.parse().ok()?,
        })
    }

    fn is_shell(&self) -> bool {
        self.session == self.pid as i32 && status::is_pseudo_terminal(self.terminal)
    }

    fn terminal_path(&self) -> PathBuf {
        status::terminal_path(self.terminal)
    }

    /// Whether a process in the foreground of its terminal waits for input.
    fn foreground_waits(&self) -> bool {
        let is_in_front =
            |process: &Process| process.terminal == self.terminal && process.group == self.foreground;
        processes().filter(is_in_front).any(|process| is_waiting(process.pid))
    }
}

/// Whether a process waits for input.
pub fn is_waiting(pid: u32) -> bool {
    waits_for_input(&fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default())
}

/// The system call that a process sleeps in, as in proc_pid_syscall(5), is one that waits for descriptors; a `read` counts
/// where it reads standard input.
fn waits_for_input(call: &str) -> bool {
    let mut words = call.split_whitespace();
    let number = words.next().and_then(|word| word.parse::<libc::c_long>().ok());
    match number {
        Some(libc::SYS_read) => words.next() == Some("0x0"),
        Some(number) => WAITS.contains(&number),
        None => false,
    }
}

const WAITS: &[libc::c_long] = &[
    libc::SYS_pselect6,
    libc::SYS_ppoll,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Process::parse(&fs::read_to_string(entry.path().join("stat")).ok()?))
}

/// The shell that descends from the process `ancestor`.
fn shell_of(ancestor: u32) -> Option<Process> {
    let all: Vec<_> = processes().collect();
    find_shell(&all, ancestor)
}

fn find_shell(all: &[Process], ancestor: u32) -> Option<Process> {
    let children = all.iter().filter(|process| process.parent == ancestor);
    children
        .copied()
        .find_map(|child| if child.is_shell() { Some(child) } else { find_shell(all, child.pid) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_shell_is_the_descendant_that_leads_the_session_of_a_terminal() {
        let row = |text: &str| Process::parse(text).unwrap();
        let pts = 136 << 8;
        let all = [
            row("10 (ghostly-agent) S 1 10 10 0 -1 4194560"),
            row("11 (foot) S 10 10 10 0 -1 4194560"),
            row(&format!("12 (ba) (sh) S 11 12 12 {pts} 20 4194560")),
            row(&format!("20 (sleep) S 12 20 12 {pts} 20 4194560")),
            // Over SSH.
            row(&format!("30 (bash) S 2 30 30 {} 30 4194560", pts + 1)),
        ];
        assert_eq!(find_shell(&all, 10), Some(all[2]));
        assert_eq!(find_shell(&all, 20), None);
        assert_eq!(all[2].terminal_path(), Path::new("/dev/pts/0"));
    }

    #[test]
    fn a_process_that_waits_for_keys_is_told_from_one_that_waits_for_time_or_children() {
        let call = |number: libc::c_long, first: &str| {
            format!("{number} {first} 0x7ffd 0x1 0x0 0x0 0x0 0x7ff 0x7f3")
        };
        assert!(waits_for_input(&call(libc::SYS_read, "0x0")));
        assert!(waits_for_input(&call(libc::SYS_pselect6, "0x1")));
        assert!(!waits_for_input(&call(libc::SYS_read, "0x3")));
        assert!(!waits_for_input(&call(libc::SYS_wait4, "0xffffffff")));
        assert!(!waits_for_input(&call(libc::SYS_clock_nanosleep, "0x0")));
        assert!(!waits_for_input("running"));
        assert!(!waits_for_input(""));
    }
}
