//! ghostly-agent as its clients see it: a real server on a loopback port, and OpenSSH's own programs. Needs
//! openssh-client and rsync; runs as root or as anybody else.
//!
//! `cargo test --no-default-features --features agent --test agent`

mod auth;
mod exec;
mod files;
mod forward;
mod fuzz;
mod limits;
mod listen;
mod support;
mod terminal;
mod texts;
