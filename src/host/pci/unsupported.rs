//! Systems without VFIO: the bus is not read.

use super::PciFacts;

pub fn probe() -> PciFacts {
    PciFacts::default()
}
