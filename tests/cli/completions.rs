//! Completion in bash, with the script of `virtualghost completions bash`.

use crate::launch::Lab;
use crate::util::{Home, stderr, stdout};

/// Calls the function that the script has registered, as bash does at a TAB after these words.
const AT_A_TAB: &str = r#"
eval "$(virtualghost completions bash)"
registered=$(complete -p virtualghost)
function=${registered##*-F } && function=${function%% *}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
"$function" virtualghost "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// The completions of the last word.
fn completions(home: &Home, words: &[&str]) -> Vec<String> {
    let mut bash = home.program("bash");
    bash.current_dir(home.path());
    bash.args(["--norc", "-c", AT_A_TAB, "bash", "virtualghost"]).args(words);
    let output = bash.output().expect("bash is installed");
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    stdout(&output).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_the_names_of_vms() {
    let lab = Lab::new(Home::new());
    lab.detach("web");
    lab.detach("wiki");
    lab.succeed(&["stop", "wiki"]);
    for command in ["stop", "ssh", "exec", "ssh-config"] {
        assert_eq!(completions(&lab.home, &[command, "w"]), ["web"], "{command}: the one that runs");
    }
    for command in [&["logs"][..], &["rm"], &["--name"], &["run", "--name"]] {
        assert_eq!(completions(&lab.home, &[command, &["w"]].concat()), ["web", "wiki"], "{command:?}");
    }
    assert_eq!(completions(&lab.home, &["cp", "w"]), ["web:"]);
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let home = Home::new();
    assert_eq!(completions(&home, &["doc"]), ["doctor"]);
    std::fs::create_dir(home.path().join("documents")).unwrap();
    std::fs::write(home.path().join("document"), "").unwrap();
    assert_eq!(completions(&home, &["doc"]), ["doctor", "documents/"]);
    assert_eq!(completions(&home, &["stop", "--f"]), ["--force"]);
    assert_eq!(completions(&home, &["--accel", ""]), ["auto", "kvm", "hvf", "whpx", "tcg"]);
    let [kernel, _] = home.write_guest("guest");
    assert_eq!(completions(&home, &["--kernel", kernel.strip_suffix("Image").unwrap()]), [kernel]);
}
