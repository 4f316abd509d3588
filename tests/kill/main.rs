//! The launcher, killed. `make kill-matrix` builds it with fault points and a tiny payload, kills it (and QEMU under
//! it) wherever a launch can be, takes away disk, folders and time, and prints a table of what came of it.
//!
//! After whatever was done to it, one promise is asked for: [`lab::Lab::recovers`].

mod disk;
mod homes;
mod journal;
mod lab;
mod matrix;
mod qemu;
mod random;
mod storms;
mod table;
mod users;

use table::Table;

fn main() {
    let mut table = Table::new(std::env::args().skip(1).collect());
    matrix::rows(&mut table);
    qemu::rows(&mut table);
    disk::rows(&mut table);
    homes::rows(&mut table);
    users::rows(&mut table);
    storms::rows(&mut table);
    std::process::exit(table.end());
}
