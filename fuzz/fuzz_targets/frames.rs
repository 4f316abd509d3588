//! Any frames from a guest's network card: the peer goes on, keeps little, and sends nothing but frames for the guest.
//!
//! A frame of the input is its length, in two bytes, and the frame from its type on. The addresses before it, and the
//! checksum of IPv4's header, are made right here: the fuzzer would not find them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use virtualghost::net::peer::fuzzing::Lab;

const ADDRESSES: [u8; 12] = [0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn with_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() >= 34 && frame[12..14] == [8, 0] {
        frame[24..26].fill(0);
        let words = frame[14..34].chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
        let sum: u32 = words.sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        frame[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    }
    frame
}

fuzz_target!(|input: &[u8]| {
    let mut lab = Lab::new();
    let (mut rest, mut count) = (input, 0);
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let (frame, more) = more.split_at(usize::from(u16::from_be_bytes(*length)).min(more.len()));
        lab.frame(&with_checksum([&ADDRESSES, frame].concat()));
        (rest, count) = (more, count + 1);
        assert!(lab.kept() <= count);
    }
});
