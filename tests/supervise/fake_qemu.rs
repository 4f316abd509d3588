//! A program that behaves like QEMU as far as the supervisor can see.
//!
//! Each argument is a step. The steps run in order; after the last one the VM keeps running. QMP is on standard input and
//! output; the console and the control port are where the launcher expects them on this system.
//!
//! ```text
//! fake-qemu greet 'console=Linux version 6.12\n' control='{"event":"session-ready"}\n' guest-poweroff
//! ```
//!
//! With QEMU's own arguments instead it opens the files that they name, and its steps are in a file (`../kill/guest.rs`).

#[cfg_attr(target_os = "linux", path = "fake_qemu/attack.rs")]
#[cfg_attr(not(target_os = "linux"), path = "fake_qemu/no_attack.rs")]
mod attack;
#[path = "../kill/guest.rs"]
mod guest;
#[path = "../kill/journal.rs"]
mod journal;
#[cfg_attr(unix, path = "fake_qemu/unix.rs")]
#[cfg_attr(windows, path = "fake_qemu/windows.rs")]
mod os;

use serde_json::{Value, json};
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

const FLOOD_BYTES: usize = 20 << 20;

static STATUS: Mutex<&str> = Mutex::new("running");
static NEGOTIATED: AtomicBool = AtomicBool::new(false);
static IGNORES_POWERDOWN: AtomicBool = AtomicBool::new(false);
static IGNORES_QUIT: AtomicBool = AtomicBool::new(false);

fn main() {
    let mut args: Vec<_> = std::env::args_os().skip(1).collect();
    let (mut console, mut control) = os::channels(&mut args);
    let steps = if args.first().is_some_and(|arg| arg.as_encoded_bytes().starts_with(b"-")) {
        guest::start(&args, io_error)
    } else {
        args.into_iter().map(|step| step.into_string().expect("steps are text")).collect()
    };
    for step in steps {
        let (verb, text) = step.split_once('=').unwrap_or((&step, ""));
        let bytes = text.replace("\\n", "\n").replace("\\e", "\x1b");
        match verb {
            "greet" => {
                send(&json!({ "QMP": { "version": {}, "capabilities": [] } }));
                let (greeted, wait) = channel();
                thread::spawn(|| take_commands(greeted));
                wait.recv().unwrap();
            }
            "console" => console.write_all(bytes.as_bytes()).unwrap(),
            "read-identity" => drop(io::BufReader::new(&control).read_line(&mut String::new()).unwrap()),
            "control" => control.write_all(bytes.as_bytes()).unwrap(),
            "stderr" => io::stderr().write_all(bytes.as_bytes()).unwrap(),
            "qmp" => io::stdout().write_all(bytes.as_bytes()).unwrap(),
            "flood-console" => flood(&mut console),
            "flood-control" => flood(&mut control),
            "flood-stderr" => flood(&mut io::stderr()),
            "flood-qmp" => flood(&mut io::stdout()),
            "ignore-powerdown" => IGNORES_POWERDOWN.store(true, Ordering::Relaxed),
            "ignore-quit" => {
                IGNORES_QUIT.store(true, Ordering::Relaxed);
                os::ignore_sigterm();
            }
            "guest-poweroff" => shut_down("guest-shutdown"),
            "guest-reset" => shut_down("guest-reset"),
            "guest-panic" => {
                *STATUS.lock().unwrap() = "guest-panicked";
                event("GUEST_PANICKED", json!({ "action": "pause" }));
                event("STOP", json!({}));
            }
            "internal-error" => {
                *STATUS.lock().unwrap() = "internal-error";
                event("STOP", json!({}));
            }
            "io-error" => io_error(),
            "power-button" => {
                event("POWERDOWN", json!({}));
                power_button();
            }
            "close-window" => {
                event("SHUTDOWN", json!({ "guest": false, "reason": "host-qmp-quit" }));
                std::process::exit(0);
            }
            "await" => {
                while !Path::new(text).exists() {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            "write-pid" => std::fs::write(text, std::process::id().to_string()).unwrap(),
            "write-environment" => {
                let names: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
                std::fs::write(text, names.join("\n")).unwrap();
            }
            "attack" => attack::attack(text),
            "exit" => std::process::exit(text.parse().unwrap()),
            "abort" => std::process::abort(),
            "close-qmp" => os::close_stdout(),
            other => panic!("no such step: {other}"),
        }
    }
    thread::sleep(Duration::from_secs(600));
}

/// Answers QMP commands.
fn take_commands(greeted: Sender<()>) {
    for line in io::stdin().lock().lines() {
        let command: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let status = *STATUS.lock().unwrap();
        send(&json!({ "return": { "status": status }, "id": command["id"] }));
        let arguments = &command["arguments"];
        match command["execute"].as_str().unwrap() {
            "migrate" => migrated(guest::save(&arguments["channels"][0]["addr"]["filename"]).is_ok()),
            "migrate-incoming" => {
                guest::restore(&arguments["channels"][0]["addr"]["filename"]);
                migrated(true);
            }
            "blockdev-snapshot-sync" => guest::leave_disk(&arguments["snapshot-file"]),
            "blockdev-add" => guest::take_home(&arguments["filename"], io_error),
            "qmp_capabilities" => NEGOTIATED.store(true, Ordering::Relaxed),
            // The launcher sends it when QMP is ready.
            "query-status" => drop(greeted.send(())),
            "system_powerdown" => {
                event("POWERDOWN", json!({}));
                power_button();
            }
            "cont" => {
                *STATUS.lock().unwrap() = "running";
                event("RESUME", json!({}));
            }
            "quit" if !IGNORES_QUIT.load(Ordering::Relaxed) => {
                event("SHUTDOWN", json!({ "guest": false, "reason": "host-qmp-quit" }));
                std::process::exit(0);
            }
            _ => (),
        }
    }
}

fn migrated(done: bool) {
    for status in ["setup", "active", if done { "completed" } else { "failed" }] {
        event("MIGRATION", json!({ "status": status }));
    }
}

/// Pauses the VM, as QEMU does by default (`werror=enospc`).
fn io_error() {
    *STATUS.lock().unwrap() = "io-error";
    event("STOP", json!({}));
}

fn power_button() {
    if !IGNORES_POWERDOWN.load(Ordering::Relaxed) {
        shut_down("guest-shutdown");
    }
}

/// With `-action shutdown=pause` QEMU stops the VM and waits for `quit`.
fn shut_down(reason: &str) {
    *STATUS.lock().unwrap() = "shutdown";
    event("SHUTDOWN", json!({ "guest": true, "reason": reason }));
    event("STOP", json!({}));
}

/// QEMU drops events until the launcher has negotiated.
fn event(name: &str, data: Value) {
    if !NEGOTIATED.load(Ordering::Relaxed) {
        return;
    }
    send(&json!({ "timestamp": { "seconds": 1, "microseconds": 2 }, "event": name, "data": data }));
}

fn send(message: &Value) {
    println!("{message}\r");
}

fn flood(to: &mut impl Write) {
    let block = [b"no line ends ".repeat(1000), b"\x1b[31mred\r\n".repeat(1000)].concat();
    for _ in 0..FLOOD_BYTES / block.len() {
        to.write_all(&block).unwrap();
    }
}
