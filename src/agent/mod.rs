//! The SSH server that runs in the guest, for the host alone. It must not know the launcher's modules.
//!
//! ```text
//! options ──► listen ──► connection ──┬─► session ──► the user's shell, command or sftp
//!   keys      limits     who may do   │    pty        (a process of that user)
//!                        what         └─► forward ──► TCP and Unix sockets
//! ```
//!
//! Two kinds of key exist, made by the host for this one start of the VM: one opens sessions of the terminal's
//! user, the other of root. Nothing else is ever accepted.

mod account;
mod backpressure;
mod checkpoint;
mod clock;
mod connection;
mod control;
mod copy;
mod desktop;
mod doors;
mod forward;
mod keys;
mod listen;
mod options;
mod ports;
mod program;
mod programs;
mod pty;
mod relay;
mod session;
pub mod sftp;
mod shares;
mod status;
mod terminfo;
mod timezone;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

pub fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let done = match args.next() {
        Some(first) if first == "--version" => {
            println!("ghostly-agent {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Some(first) if first == status::REPORT => {
            status::report(args.map(|word| word.to_string_lossy().into_owned()))
        }
        Some(first) if first == status::STATUS => {
            print!("{}", status::status());
            Ok(())
        }
        Some(first) if first == desktop::COMPOSITOR => return status_of(desktop::compositor()),
        Some(first) if first == desktop::TERMINAL => return status_of(desktop::terminal()),
        Some(first) if first == desktop::ready::FIRST_PROMPT => {
            desktop::ready::first_prompt(word(args.next()).as_deref())
        }
        Some(first) if first == desktop::ready::AWAIT_SCREEN => {
            desktop::ready::await_screen(word(args.next()).as_deref())
        }
        Some(first) if first == control::CONTROL => control::control(),
        Some(first) if first == checkpoint::CHECKPOINT => checkpoint::checkpoint(),
        Some(first) if first == copy::COPY => copy::copy(),
        Some(first) if first == doors::COMMAND => doors::of_credential(),
        Some(first) if first == timezone::COMMAND => timezone::from_kernel_cmdline(),
        Some(first) if first == session::SFTP_SERVER => sftp::serve(io::stdin().lock(), io::stdout().lock()),
        _ => options::Options::parse(std::env::args_os()).and_then(serve),
    };
    status_of(done.map(|()| 0))
}

fn word(argument: Option<OsString>) -> Option<String> {
    argument?.into_string().ok()
}

fn status_of(done: io::Result<i32>) -> ExitCode {
    match done {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(error) => {
            eprintln!("ghostly-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: options::Options) -> io::Result<()> {
    let keys = keys::Keys::load(&options.credentials, &options.user)?;
    account::Account::lookup(&options.user)?;
    // Two threads: one connection's cipher and the copying to and from its processes run side by side.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listeners = listen::Listener::open_all(&options.listen)?;
        listen::serve(listeners, Arc::new(keys), options.limits).await
    })
}
