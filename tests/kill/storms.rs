//! Many launchers at once: no wrong result, and no launcher that waits forever.

use crate::lab::{Lab, Launcher};
use crate::table::Table;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

pub fn rows(table: &mut Table) {
    table.row("storm: 50 dry runs", 1, |_| {
        let lab = Lab::cold();
        let outputs: Vec<_> = (0..50).map(|_| lab.start_piped(&["--dry-run"])).collect();
        let outputs: Vec<_> = outputs.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        for output in &outputs {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout, outputs[0].stdout);
        }
        assert!(lab.files().is_empty(), "{:?}", lab.files());
        Ok(())
    });
    table.row("storm: 8 first starts", table.runs(1, 10), |_| {
        let lab = Lab::cold();
        let mut launchers: Vec<_> = (0..8).map(|number| lab.launch_named(number)).collect();
        launchers.iter_mut().for_each(Launcher::is_ready);
        assert_eq!(lab.versions_are_whole(), 1);
        let unpacked = launchers.iter().filter(|launcher| launcher.stderr().contains("25 %")).count();
        assert_eq!(unpacked, 1, "launchers unpacked the payload");
        launchers.iter_mut().for_each(Launcher::stops);
        lab.recovers();
        Ok(())
    });
    table.row("storm: 8 starts of one name", table.runs(1, 10), |_| {
        let lab = Lab::warm();
        let mut launchers: Vec<_> = (0..8).map(|_| lab.launch_named(0)).collect();
        // One has the name and keeps running. The others end.
        let mut taken = 0;
        while taken < 7 {
            launchers.retain_mut(|launcher| {
                let refused = launcher.process.try_wait().unwrap().is_some();
                if refused {
                    launcher.fails(2, "vm0");
                    taken += 1;
                }
                !refused
            });
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        launchers[0].is_ready();
        launchers[0].stops();
        lab.recovers();
        Ok(())
    });
    let rounds = table.runs(3, 30);
    table.row("storm: launches against clean", table.runs(1, 4), |_| {
        let lab = Lab::cold();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let output = lab.output(&["clean"]);
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                }
            });
            let launches = (0..3).map(|number| {
                let lab = &lab;
                scope.spawn(move || {
                    for _ in 0..rounds {
                        let mut launcher = lab.launch_named(number);
                        launcher.is_ready();
                        assert_eq!(lab.versions_are_whole(), 1, "a version in use was removed");
                        launcher.stops();
                    }
                })
            });
            let ends: Vec<_> = launches.collect::<Vec<_>>().into_iter().map(|launch| launch.join()).collect();
            over.store(true, Ordering::Relaxed);
            ends.into_iter().for_each(|end| end.expect("a launch failed"));
        });
        lab.recovers();
        assert!(fs::read_dir(lab.cache().join("leases")).unwrap().next().is_none(), "leases are left");
        Ok(())
    });
}
