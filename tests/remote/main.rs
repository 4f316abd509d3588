//! The commands that reach into a VM, against the real agent, on this machine and without a VM: the guest is this machine,
//! and its agent listens on a loopback port. Needs openssh-client; runs as root or as anybody else.
//!
//! `cargo test --features agent --test remote`

mod config;
mod copy;
mod exec;
mod support;
mod terminal;
