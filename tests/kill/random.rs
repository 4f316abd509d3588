//! Random moments that can be repeated.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// `KILL_SEED`, by default another one each time. It is printed.
static SEED: LazyLock<u64> = LazyLock::new(|| {
    let fresh = || SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64 % 1_000_000;
    let seed = std::env::var("KILL_SEED").ok().map_or_else(fresh, |text| text.parse().expect("a number"));
    println!("random moments: KILL_SEED={seed}");
    seed
});

/// The moment of run `number`, at most `end`.
pub fn moment(number: usize, end: Duration) -> Duration {
    // splitmix64 (Steele, Lea, Flood 2014).
    let mut z = SEED.wrapping_add((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    end.mul_f64((z ^ (z >> 31)) as f64 / u64::MAX as f64)
}
