//! Kills the launcher and QEMU. `make kill-matrix` builds a launcher with fail points and a tiny payload, kills it and QEMU at
//! every step of a launch, fills disks, changes folders and clocks, and prints a table of the results.
//!
//! After each fault one promise is tested: [`lab::Lab::recovers`].

mod copies;
mod disk;
mod homes;
mod journal;
mod lab;
mod matrix;
mod qemu;
mod random;
#[path = "../skipped.rs"]
mod skipped;
#[path = "../boot/stage.rs"]
mod stage;
mod storms;
mod table;
mod users;
mod util;

use table::Table;

fn main() {
    let mut table = Table::new(std::env::args().skip(1).collect());
    matrix::rows(&mut table);
    qemu::rows(&mut table);
    disk::rows(&mut table);
    homes::rows(&mut table);
    copies::rows(&mut table);
    users::rows(&mut table);
    storms::rows(&mut table);
    std::process::exit(table.end());
}
