//! Any text as the value of any flag: refused, or a value whose text has the same value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use virtualghost::config::{AccelChoice, DisplayChoice, GlChoice, GpuChoice, KeyboardChoice};
use virtualghost::model::units::{
    HomeSize, Invalid, MemorySize, PciAddress, Seconds, Vcpus, VmName, WindowSize,
};

fn round_trip<T: FromStr<Err = Invalid> + Display + PartialEq + Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse::<T>().as_ref(), Ok(&value)),
        Err(Invalid(because)) => assert!(!because.contains(char::is_control), "{because:?}"),
    }
}

fuzz_target!(|text: &str| {
    round_trip::<Vcpus>(text);
    round_trip::<MemorySize>(text);
    round_trip::<HomeSize>(text);
    round_trip::<Seconds>(text);
    round_trip::<VmName>(text);
    round_trip::<WindowSize>(text);
    round_trip::<PciAddress>(text);
    round_trip::<AccelChoice>(text);
    round_trip::<DisplayChoice>(text);
    round_trip::<GlChoice>(text);
    round_trip::<GpuChoice>(text);
    round_trip::<KeyboardChoice>(text);
});
