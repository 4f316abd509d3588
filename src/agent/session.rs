//! A session: one program of the user, and the channel that is its input and output.
//!
//! ```text
//! channel ──► Inbox ──► stdin ┐                    ┌► stdout ──► data
//!                             ├─ shell, command, ──┤
//!     signals, window size ──►┘   sftp-server      └► stderr ──► extended data ──► end, status, close
//! ```

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use nix::libc;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::account::Account;
use super::backpressure::{Backlog, Inbox};
use super::program::{self, Folder, Program};
use super::programs::{Listed, Programs};
use super::{pty, terminfo};

/// The argument that makes this program a session's file server.
pub const SFTP_SERVER: &str = "sftp-server";
/// What is read from a program at once, in bytes: what a pipe holds.
const CHUNK: usize = 64 << 10;
/// RFC 4254, section 5.2.
pub const STDERR: u32 = 1;

/// What the client set before it started the program.
#[derive(Debug, Default)]
pub struct Setup {
    pub pty: Option<pty::Request>,
    pub env: Vec<(String, String)>,
}

/// A started program, not yet connected to its channel.
pub struct Running {
    child: Child,
    group: Pid,
    terminal: Option<pty::Master>,
    /// In the list of those that may be sent a signal, as long as this lives.
    listed: Option<Listed>,
}

/// Starts `program` as `user`.
pub fn start(
    program: &Program,
    setup: &Setup,
    user: &Arc<Account>,
    programs: &Arc<Programs>,
) -> io::Result<Running> {
    let mut command = program.command(user);
    command.env_clear().envs(program::environment(user)).envs(setup.env.iter().map(|(k, v)| (k, v)));
    let mut terminal = None;
    if let Some(request) = &setup.pty {
        let (master, side) = pty::open(request, user)?;
        let (term, notice) = terminfo::term(&request.term, &user.home);
        command.env("TERM", term).env("SSH_TTY", &side.path);
        if let Some(notice) = notice {
            // The first output; a terminal that nobody reads yet has room for a line.
            nix::unistd::write(&side.slave, notice.as_bytes())?;
        }
        command.stdin(side.slave.try_clone()?).stdout(side.slave.try_clone()?).stderr(side.slave);
        terminal = Some(master);
    } else {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let run = program.run();
    if let Some(run) = run {
        command.envs(program::variables(run));
    }
    let folder = run.and_then(|run| run.folder.as_ref()).map(Folder::new).transpose()?;
    let (account, has_terminal) = (user.clone(), terminal.is_some());
    // SAFETY: runs between fork and exec, and makes system calls only.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            if has_terminal {
                pty::control_in_child()?;
            }
            account.become_in_child()?;
            if let Some(folder) = &folder {
                folder.enter_in_child();
            }
            Ok(())
        });
    }
    let child = tokio::process::Command::from(command).spawn()?;
    let id = child.id().ok_or_else(|| io::Error::other("the program ended before it was known"))?;
    let group = Pid::from_raw(id as i32);
    let listed = run.map(|run| programs.list(&run.id, user.uid, group));
    Ok(Running { child, group, terminal, listed })
}

impl Running {
    /// Connects the program to its channel until both are done, and frees the channel's `slot` when that is closed.
    pub async fn attach(
        self,
        channel: Channel<Msg>,
        handle: Handle,
        backlog: Arc<Backlog>,
        slot: OwnedSemaphorePermit,
    ) {
        let Self { mut child, group, terminal, listed } = self;
        let (incoming, outgoing) = channel.split();
        let inbox = Arc::new(Inbox::new(backlog));
        let mut terminal = terminal.map(Arc::new);
        let (stdin, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());

        let (closed, on_closed) = oneshot::channel();
        let to_program = Controls { terminal: terminal.clone(), group };
        let receiver = tokio::spawn(receive(incoming, inbox.clone(), Some(to_program), closed));
        let feeder = tokio::spawn(feed(inbox, terminal.clone(), stdin));
        let id = outgoing.id();
        let mut gone = false;
        let output = async {
            let status = match &terminal {
                Some(terminal) => send_terminal(terminal, &outgoing, &mut child).await,
                None => {
                    tokio::join!(
                        send(stdout.as_mut(), &outgoing, None),
                        send(stderr.as_mut(), &outgoing, Some(STDERR))
                    );
                    child.wait().await
                }
            };
            let _ = outgoing.eof().await;
            if let Ok(status) = status {
                report(&handle, &outgoing, status, listed.is_some()).await;
            }
        };
        tokio::select! {
            // The client is gone or has closed the channel. The program sees its terminal hung up or its output
            // closed, and takes what is left of its input. sshd leaves it at that, so tools count on it.
            _ = on_closed => gone = true,
            () = output => {}
        }
        // One that the launcher runs ends with its connection, unless it asked to live on (nohup, setsid).
        if gone && listed.is_some() && matches!(child.try_wait(), Ok(None)) {
            let _ = killpg(group, Signal::SIGHUP);
            let _ = killpg(group, Signal::SIGCONT);
        }
        let _ = handle.close(id).await;
        drop(slot);
        receiver.abort();
        if terminal.take().is_some() {
            feeder.abort();
        }
        // What it prints meanwhile goes nowhere: a closed pipe would kill it in the middle of its own end.
        if listed.is_some() {
            tokio::join!(drain(stdout), drain(stderr));
        }
        let _ = child.wait().await;
        feeder.abort();
    }
}

/// What of a channel concerns its program but is no input.
pub struct Controls {
    terminal: Option<Arc<pty::Master>>,
    group: Pid,
}

impl Controls {
    fn take(&self, message: ChannelMsg) {
        match (message, &self.terminal) {
            (
                ChannelMsg::WindowChange {
                    col_width: columns,
                    row_height: rows,
                    pix_width: width,
                    pix_height: height,
                },
                Some(terminal),
            ) => {
                let _ = terminal.resize(pty::Size { columns, rows, width, height });
            }
            (ChannelMsg::Signal { signal }, _) => {
                if let Some(signal) = signal_number(&signal) {
                    let _ = killpg(self.group, signal);
                }
            }
            _ => {}
        }
    }
}

/// Takes all that comes on the channel at once: this must never wait for whoever reads it (see `flow`). Ends,
/// and drops `_closed`, when the client has closed the channel or is gone.
pub async fn receive(
    mut incoming: ChannelReadHalf,
    inbox: Arc<Inbox>,
    controls: Option<Controls>,
    _closed: oneshot::Sender<()>,
) {
    while let Some(message) = incoming.wait().await {
        match (message, &controls) {
            (ChannelMsg::Data { data }, _) => inbox.push(&data),
            (ChannelMsg::Eof, _) => inbox.end(),
            (ChannelMsg::Close, _) => break,
            (message, Some(controls)) => controls.take(message),
            _ => {}
        }
    }
    inbox.end();
}

/// From the inbox to the program.
async fn feed(inbox: Arc<Inbox>, terminal: Option<Arc<pty::Master>>, mut stdin: Option<ChildStdin>) {
    while let Some(bytes) = inbox.next().await {
        let written = match (&terminal, &mut stdin) {
            (Some(terminal), _) => terminal.write_all(&bytes).await,
            (None, Some(stdin)) => stdin.write_all(&bytes).await,
            (None, None) => Ok(()),
        };
        if written.is_err() {
            inbox.discard();
            return;
        }
    }
    if let Some(terminal) = &terminal {
        let _ = terminal.write_end().await;
    }
}

/// From the program to the channel, at the pace of the client.
pub async fn send(from: Option<impl AsyncRead + Unpin>, to: &ChannelWriteHalf<Msg>, extended: Option<u32>) {
    let Some(mut from) = from else { return };
    loop {
        let mut bytes = Vec::with_capacity(CHUNK);
        if !matches!(from.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
        let sent = match extended {
            None => to.data_bytes(bytes).await,
            Some(kind) => to.extended_data_bytes(kind, bytes).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn drain(from: Option<impl AsyncRead + Unpin>) {
    if let Some(mut from) = from {
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
}

/// The same for a terminal, whose output ends with the program even if another process still holds it.
async fn send_terminal(
    terminal: &pty::Master,
    to: &ChannelWriteHalf<Msg>,
    child: &mut Child,
) -> io::Result<ExitStatus> {
    let mut ended = None;
    loop {
        let mut bytes = vec![0; CHUNK];
        let read = if ended.is_some() {
            tokio::time::timeout(pty::GRACE, terminal.read(&mut bytes)).await.unwrap_or(Ok(0))
        } else {
            tokio::select! {
                read = terminal.read(&mut bytes) => read,
                status = child.wait() => {
                    ended = Some(status?);
                    continue;
                }
            }
        };
        match read {
            Ok(length @ 1..) => {
                bytes.truncate(length);
                if to.data_bytes(bytes).await.is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    match ended {
        Some(status) => Ok(status),
        None => child.wait().await,
    }
}

/// `as_shell`: a signal is a status as shells have it, because the client (ssh) has no place for another in its own.
async fn report(handle: &Handle, channel: &ChannelWriteHalf<Msg>, status: ExitStatus, as_shell: bool) {
    let by_signal = status.signal().filter(|_| as_shell).map(|signal| 128 + signal);
    if let Some(code) = status.code().or(by_signal) {
        let _ = channel.exit_status(code as u32).await;
    } else if let Some(signal) = status.signal().and_then(signal_name) {
        let core = status.core_dumped();
        let _ = handle.exit_signal_request(channel.id(), signal, core, String::new(), String::new()).await;
    }
}

/// The names of RFC 4254, section 6.10, and of the other signals without their SIG, as OpenSSH does.
fn signal_name(number: i32) -> Option<Sig> {
    Some(match number {
        libc::SIGABRT => Sig::ABRT,
        libc::SIGALRM => Sig::ALRM,
        libc::SIGFPE => Sig::FPE,
        libc::SIGHUP => Sig::HUP,
        libc::SIGILL => Sig::ILL,
        libc::SIGINT => Sig::INT,
        libc::SIGKILL => Sig::KILL,
        libc::SIGPIPE => Sig::PIPE,
        libc::SIGQUIT => Sig::QUIT,
        libc::SIGSEGV => Sig::SEGV,
        libc::SIGTERM => Sig::TERM,
        libc::SIGUSR1 => Sig::USR1,
        other => Sig::Custom(Signal::try_from(other).ok()?.as_str().trim_start_matches("SIG").to_owned()),
    })
}

fn signal_number(signal: &Sig) -> Option<Signal> {
    Some(match signal {
        Sig::ABRT => Signal::SIGABRT,
        Sig::ALRM => Signal::SIGALRM,
        Sig::FPE => Signal::SIGFPE,
        Sig::HUP => Signal::SIGHUP,
        Sig::ILL => Signal::SIGILL,
        Sig::INT => Signal::SIGINT,
        Sig::KILL => Signal::SIGKILL,
        Sig::PIPE => Signal::SIGPIPE,
        Sig::QUIT => Signal::SIGQUIT,
        Sig::SEGV => Signal::SIGSEGV,
        Sig::TERM => Signal::SIGTERM,
        Sig::USR1 => Signal::SIGUSR1,
        Sig::Custom(name) => format!("SIG{name}").parse().ok()?,
    })
}
