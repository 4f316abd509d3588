//! What is typed from the first moment that the window is there, at random intervals, arrives, in order.

use crate::screen::{Keyboard, Screen};
use crate::vm::{self, Vm};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often each way to start is tested: `VIRTUALGHOST_TYPING`, or once.
fn starts() -> u32 {
    std::env::var("VIRTUALGHOST_TYPING").map_or(1, |times| times.parse().unwrap())
}

/// The terminal: `VIRTUALGHOST_TYPING_TERMINAL`, or the one that a start takes.
fn terminal() -> String {
    std::env::var("VIRTUALGHOST_TYPING_TERMINAL").unwrap_or_else(|_| "auto".to_owned())
}

/// Keys that are typed after the session is ready, too.
const AFTER: u32 = 20;
/// A folder's name has at most 255 letters.
const NAME: usize = 40;

/// Pseudo-random numbers (xorshift64), the same in each run: a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn letter(&mut self) -> char {
        (b'a' + self.below(26) as u8).into()
    }

    /// A fast typist's, and now and then a pause.
    fn interval(&mut self) -> Duration {
        let milliseconds = if self.below(8) == 0 { 200 + self.below(600) } else { 15 + self.below(150) };
        Duration::from_millis(milliseconds)
    }
}

/// Types `mkdir -p` and the path of a new folder, whose letters are random, as long as `more` is true. Returns the path.
fn type_new_folder(keyboard: &Keyboard, random: &mut Random, mut more: impl FnMut() -> bool) -> String {
    for key in "mkdir -p ".chars() {
        keyboard.tap(key, random.interval());
    }
    let mut path = String::new();
    while more() {
        let key = if path.len() % NAME == NAME - 1 { '/' } else { random.letter() };
        keyboard.tap(key, random.interval());
        path.push(key);
    }
    keyboard.tap('\n', random.interval());
    path
}

/// The same until the session is ready and a little longer.
fn type_from_the_first_moment(keyboard: &Keyboard, vm: &mut Vm, random: &mut Random) -> String {
    let mut after = 0;
    type_new_folder(keyboard, random, || {
        after += u32::from(vm.is_ready());
        after <= AFTER
    })
}

/// Runs a line of a shell in the VM: whether it succeeded, and its output.
fn exec(home: &Path, name: &str, line: &str) -> (bool, String) {
    let output = vm::command(home).args(["exec", name, "--", "sh", "-c", line]).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn assert_folder(path: &str, home: &Path, name: &str, what: impl Fn() -> String) {
    let start = Instant::now();
    while !exec(home, name, &format!("test -d ~/{path}")).0 {
        let (_, found) = exec(home, name, "find . -type d -name '[a-z]*'");
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{}: not what was typed, which is\n{path}\nbut\n{found}",
            what()
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn assert_all_keys_arrive(name: &str, home: &Path, args: &[&str], random: &mut Random) {
    let screen = Screen::new(name);
    let mut command = vm::command(home);
    command.args(["--name", name, "--accel", "tcg", "--terminal", &terminal()]).args(args);
    command.env("DISPLAY", &screen.display);
    let mut vm = Vm::spawn(command, home.to_owned());
    screen.focus_first_window();
    let keyboard = screen.keyboard();
    let path = type_from_the_first_moment(&keyboard, &mut vm, random);
    assert_folder(&path, home, name, || {
        format!("{args:?} ({}; {})", screen.screenshot("lost").display(), vm.stderr())
    });
    println!("{args:?}: {} keys", path.len() + 10);
    vm.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(vm.wait().success(), "{}", vm.stderr());
}

#[test]
fn what_is_typed_from_the_windows_first_moment_arrives_in_order() {
    let home = vm::home("typing");
    let mut random = Random(0x5eed);
    for _ in 0..starts() {
        for gl in ["on", "off"] {
            for window in ["gtk", "sdl"] {
                let args = ["--start", "boot", "--gl", gl, "--display", window];
                assert_all_keys_arrive("typing", &home, &args, &mut random);
            }
        }
    }
}

#[test]
fn what_is_typed_while_an_instant_start_resumes_arrives_in_order() {
    let home = vm::home("typing-instant");
    let screen = Screen::new("typing-checkpoint");
    let args = ["--accel", "tcg", "--gl", "off", "--memory", "700", "--terminal", &terminal()];
    let mut checkpoint = vm::command(&home);
    checkpoint.arg("checkpoint").args(args).env("DISPLAY", &screen.display);
    assert!(checkpoint.output().unwrap().status.success());
    let mut random = Random(0x1257);
    for _ in 0..starts() {
        for window in ["gtk", "sdl"] {
            let args = ["--gl", "off", "--memory", "700", "--display", window];
            assert_all_keys_arrive("typing-instant", &home, &args, &mut random);
        }
    }
}

/// A compositor that draws in software on an emulated processor may not read its keyboard for seconds.
#[test]
fn what_is_typed_while_the_compositor_is_busy_arrives_in_order() {
    let (name, home, screen) = ("typing-busy", vm::home("typing-busy"), Screen::new("typing-busy"));
    let mut vm = Vm::start(name, Some(&screen), &["--gl", "off"]);
    vm.wait_until_ready();
    screen.focus_first_window();
    assert!(exec(&home, name, "pkill -STOP -x labwc").0);
    let mut keys = 100;
    let path = type_new_folder(&screen.keyboard(), &mut Random(0xb5), || {
        keys -= 1;
        keys > 0
    });
    assert!(exec(&home, name, "pkill -CONT -x labwc").0);
    assert_folder(&path, &home, name, || screen.screenshot("lost").display().to_string());
    vm.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(vm.wait().success(), "{}", vm.stderr());
}
