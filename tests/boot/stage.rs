//! The stages of a launch as the launcher prints them on standard error, up to the seconds. Tests that run the launcher wait
//! for these words; a snapshot in src/launch has them too.

pub use virtualghost::supervise::Stage;

pub fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Qemu => "starting QEMU (",
        Stage::Kernel => "booting the kernel (",
        Stage::Services => "starting the services (",
        Stage::Ready => "ready (",
    }
}
