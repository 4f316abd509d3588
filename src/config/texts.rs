//! The configuration: its errors, and the file that `config --init` writes.

use super::*;
use crate::error::Error;
use crate::testing::{Texts, assert_texts};

#[test]
fn the_file_of_config_init() {
    assert_texts!("template", template());
}

#[test]
fn errors_in_files_and_variables() {
    let mut texts = Texts::default();
    for text in [
        "\nvcpus = 0",
        "vcpu = 2",
        "vcpus = \"two\"",
        "accel = \"kwm\"",
        "gpu = \"1:2\"",
        "input = [\"/dev/sda\"]",
        "display = \"x\"",
        "gl = \"maybe\"",
        "start = \"slowly\"",
        "size = \"10x10\"",
        "keyboard = \"de x\"",
        "timezone = \"../etc/passwd\"",
        "terminal = \"foot; reboot\"",
        "tcg_timeout_factor = 0",
        "[vm.Web]\nvcpus = 1",
        "[vm.web]\nvcpus = 0",
        "[vm.web]\nvcpu = 1",
        "[vm.web.vm.db]\nvcpus = 1",
        "a = ]",
    ] {
        let refused = Layer::file(text, Path::new("/etc/vg/config.toml"), &VmName::default()).unwrap_err();
        texts.add(text.trim(), Error::from(refused));
    }
    for (name, text) in
        [("VIRTUALGHOST_VCPUS", "two"), ("VIRTUALGHOST_FULLSCREEN", "maybe"), ("VIRTUALGHOST_GPU", "1:2")]
    {
        let refused = Layer::environment(|variable| (variable == name).then(|| text.into())).unwrap_err();
        texts.add(format!("{name}={text}"), Error::from(refused));
    }
    assert_texts!("errors", texts);
}

#[test]
fn where_a_value_comes_from() {
    let mut texts = Texts::default();
    texts.add("default", Origin::Default);
    texts.add("file", Origin::File { path: "/etc/vg/config.toml".into(), line: 3 });
    texts.add("environment", Origin::Environment { variable: "VIRTUALGHOST_VCPUS".to_owned() });
    texts.add("flag", Origin::Flag { name: "vcpus".to_owned() });
    assert_texts!("origins", texts);
}
