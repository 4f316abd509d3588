//! A small launcher, for the tests that signal or kill one: `launch-fake FOLDER FAKE-QEMU STEP…`.
//! It prints how the VM ended. With STOP_EARLY set it asks itself to stop, before there is a QEMU.

#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
#[expect(dead_code, reason = "the tests use the rest")]
mod os;

use std::ffi::OsString;
use virtualghost::supervise::{Launch, Limits, Rungs, Signals, for_stderr, run};

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args_os().skip(1);
    let mut next = || words.next().expect("FOLDER FAKE-QEMU STEP…");
    let (folder, program) = (std::path::PathBuf::from(next()), next().into());
    let (channels, named) = os::channels();
    let launch = Launch {
        program,
        args: named.into_iter().chain(words).collect::<Vec<OsString>>(),
        environment: std::env::vars_os().collect(),
        lock: None,
        channels,
        console_log: Some(folder.join("console.log")),
        qemu_log: Some(folder.join("qemu.log")),
        rungs: Rungs::default(),
        tells_session: true,
        checkpoint: None,
        limits: Limits::default(),
    };
    let signals = Signals::install()?;
    if std::env::var_os("STOP_EARLY").is_some() {
        os::request_stop();
    }
    let end = run(&launch, &mut *for_stderr(), &signals)?;
    println!("{end:?}");
    Ok(())
}
