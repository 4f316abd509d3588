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

mod checkpoint;
mod connection;
mod flow;
mod forward;
mod identity;
mod keys;
mod listen;
mod options;
mod pty;
mod session;
pub mod sftp;
mod status;

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
            println!("{}", status::status());
            Ok(())
        }
        Some(first) if first == checkpoint::CHECKPOINT => checkpoint::checkpoint(),
        Some(first) if first == session::SFTP_SERVER => sftp::serve(io::stdin().lock(), io::stdout().lock()),
        _ => options::Options::parse(std::env::args_os()).and_then(serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ghostly-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: options::Options) -> io::Result<()> {
    let keys = keys::Keys::load(&options.credentials, &options.user)?;
    identity::Identity::lookup(&options.user)?;
    // Two threads: one connection's cipher and the copying to and from its processes run side by side.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listeners = listen::Listener::open_all(&options.listen)?;
        listen::serve(listeners, Arc::new(keys), options.limits).await
    })
}
