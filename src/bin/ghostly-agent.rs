//! The SSH server of the guest. Started a second time as `ghostly-agent sftp-server`, in a session and as its
//! user, it is that session's file server.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    virtualghost::agent::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("ghostly-agent: runs in the guest, which is always Linux");
    ExitCode::FAILURE
}
