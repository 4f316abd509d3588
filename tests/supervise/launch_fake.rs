//! A small launcher, for the tests that signal or kill one: `launch-fake FOLDER FAKE-QEMU STEP…`.
//! It prints how the VM ended.

use std::ffi::OsString;
use virtualghost::qemu::{Agent, Channel, Channels};
use virtualghost::supervise::{Launch, Limits, Rungs, Signals, for_stderr, run};

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args_os().skip(1);
    let mut next = || words.next().expect("FOLDER FAKE-QEMU STEP…");
    let (folder, program) = (std::path::PathBuf::from(next()), next().into());
    let launch = Launch {
        program,
        args: words.collect::<Vec<OsString>>(),
        environment: std::env::vars_os().collect(),
        lock: None,
        channels: Channels {
            console: Channel::Descriptor(3),
            control: Channel::Descriptor(4),
            agent: Agent::Loopback,
        },
        console_log: Some(folder.join("console.log")),
        qemu_log: Some(folder.join("qemu.log")),
        rungs: Rungs::default(),
        tells_session: true,
        checkpoint: None,
        limits: Limits::default(),
    };
    let end = run(&launch, &mut *for_stderr(), &Signals::install()?)?;
    println!("{end:?}");
    Ok(())
}
