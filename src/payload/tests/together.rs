//! Several starts and removals at the same time.

use super::super::cache::Cache;
use super::super::gc::clean;
use super::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// The first that extracts does not go on until somebody waits for it.
struct Gate {
    planned: AtomicUsize,
    waiting: OnceLock<String>,
    wake: Sender<()>,
    woken: Mutex<Receiver<()>>,
}

impl Progress for Gate {
    fn plan(&self, _: u64) {
        self.planned.fetch_add(1, Ordering::SeqCst);
        self.woken.lock().unwrap().recv_timeout(Duration::from_secs(60)).expect("nobody waited");
    }
    fn advance(&self, _: u64) {}
    fn waiting(&self, for_whom: &str) {
        self.waiting.set(for_whom.to_owned()).unwrap();
        self.wake.send(()).unwrap();
    }
    fn done(&self) {}
}

#[test]
fn of_two_starts_at_once_one_extracts_and_the_other_waits_and_names_it() {
    let lab = Lab::new();
    let payload = lab.payload();
    let (wake, woken) = channel();
    let gate = Gate { planned: 0.into(), waiting: OnceLock::new(), wake, woken: Mutex::new(woken) };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| install(&payload, &lab.cache(), &"web".parse().unwrap(), &gate).unwrap());
        }
    });
    assert_eq!(gate.planned.into_inner(), 1, "both extracted");
    assert_eq!(gate.waiting.into_inner().unwrap(), format!("web (pid {})", std::process::id()));
    lab.assert_intact(&payload);
}

#[test]
fn a_start_with_an_intact_version_does_not_wait() {
    let lab = Lab::new();
    let payload = lab.payload();
    lab.install(&payload).unwrap();
    let busy = Cache::at(&lab.cache()).lock_changes("other", &Silent).unwrap();
    let (done, is_done) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            lab.install(&payload).unwrap();
            done.send(())
        });
        let started = is_done.recv_timeout(Duration::from_secs(20));
        drop(busy);
        assert!(started.is_ok(), "waited for an installation of something else");
    });
}

#[test]
fn a_removal_never_removes_a_version_that_a_start_has_just_leased() {
    let lab = Lab::new();
    let payloads = [lab.version("1"), lab.version("2")];
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let starts: Vec<_> = payloads
            .iter()
            .map(|payload| {
                scope.spawn(|| {
                    for _ in 0..150 {
                        let installed = lab.install(payload).unwrap();
                        thread::yield_now();
                        let kernel = fs::read(&installed.paths.kernel);
                        assert_eq!(kernel.expect("removed though leased").len(), 1);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                clean(&lab.cache(), &Silent).unwrap();
            }
        });
        let ends: Vec<_> = starts.into_iter().map(|start| start.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(|end| end.is_ok()));
    });
}
