//! Any text as the configuration file: refused with an existing line number, or merged and printed, one setting per line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use virtualghost::config::{Config, ConfigError, Layer};
use virtualghost::model::units::VmName;

fuzz_target!(|text: &str| {
    let layer = match Layer::file(text, Path::new("/folder/config.toml"), &VmName::default()) {
        Ok(layer) => layer,
        Err(ConfigError::File { line, message, .. }) => {
            assert!((1..=text.matches('\n').count() + 1).contains(&line), "line {line}: {message}");
            return;
        }
        Err(other) => panic!("{other}"),
    };
    let config = Config::merge([layer]);
    let shown = config.to_string();
    assert_eq!(shown.split('\n').count(), config.rows().len(), "{shown}");
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
});
