//! Snapshots of the agent's messages about its command line and about what it needs to start.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use crate::support::Server;

#[test]
fn what_the_agent_refuses() {
    let server = Server::start();
    let (whole, bad) = (server.path("credentials"), server.path("bad"));
    let user = server.user.as_str();
    let mut shown = String::new();
    let mut run = |words: &[&str]| {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_ghostly-agent"));
        agent.args(words).env_remove("CREDENTIALS_DIRECTORY").env_remove("LISTEN_FDS");
        let output = agent.output().unwrap();
        let line = words.iter().map(|word| format!(" {word}")).collect::<String>();
        let said = String::from_utf8(output.stderr).unwrap();
        let text = format!("$ ghostly-agent{line}\n{said}? {}\n", output.status.code().unwrap());
        let text = text.replace(&server.folder.path().display().to_string(), "[FOLDER]");
        writeln!(shown, "{}", text.replace(&format!("--user {user}"), "--user [USER]")).unwrap();
    };
    for words in ["", "--nonsense", "--listen 22", "--max-channels -1", "report", "report nonsense"] {
        run(&words.split_whitespace().collect::<Vec<_>>());
    }
    let (whole, bad) = (whole.to_str().unwrap(), bad.to_str().unwrap());
    run(&["--user", user, "--credentials", whole]);
    run(&["--user", "nobody-of-this-name", "--credentials", whole]);
    fs::create_dir(bad).unwrap();
    for name in ["ghostly.host-key", "ghostly.authorized-user", "ghostly.authorized-root"] {
        run(&["--user", user, "--credentials", bad]);
        fs::write(format!("{bad}/{name}"), "\n").unwrap();
        run(&["--user", user, "--credentials", bad]);
        fs::copy(format!("{whole}/{name}"), format!("{bad}/{name}")).unwrap();
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("refused", shown.trim_end()));
}
