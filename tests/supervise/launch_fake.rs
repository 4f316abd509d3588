//! A small launcher for tests that signal or kill it: `launch-fake FOLDER FAKE-QEMU STEP…`. It prints how the VM ended.
//! With STOP_EARLY set it requests a stop before it starts QEMU.

#[cfg_attr(unix, path = "os/unix.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
#[expect(dead_code, reason = "the tests use the rest")]
mod os;

use std::ffi::OsString;
use virtualghost::supervise::{Launch, Limits, Vm, VmEvent};
use virtualghost::sys::StopHandle;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args_os().skip(1);
    let mut next = || words.next().expect("FOLDER FAKE-QEMU STEP…");
    let (folder, program) = (std::path::PathBuf::from(next()), next().into());
    let (channels, named) = os::channels();
    let launch = Launch {
        card: None,
        shares: Vec::new(),
        program,
        args: named.into_iter().chain(words).collect::<Vec<OsString>>(),
        environment: std::env::vars_os().collect(),
        jail: None,
        scope: None,
        lock: None,
        channels,
        keys: Vec::new(),
        console_log: Some(folder.join("console.log")),
        qemu_log: Some(folder.join("qemu.log")),
        features: Vec::new(),
        reports_session: true,
        checkpoint: None,
        limits: Limits::default(),
    };
    let stop = StopHandle::of_this_process()?;
    if std::env::var_os("STOP_EARLY").is_some() {
        os::request_stop();
    }
    let mut vm = Vm::start(&launch, &stop)?;
    while let Some(event) = vm.next_event()? {
        // The tests wait for these events; a tick is none of them.
        if !matches!(event, VmEvent::Tick(_)) {
            eprintln!("{event:?}");
        }
    }
    println!("{:?}", vm.end());
    Ok(())
}
