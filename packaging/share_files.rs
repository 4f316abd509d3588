//! Writes the files that packages install beside the executable: man pages and completion scripts. Run by
//! scripts/share-files.sh.
//!
//! ```text
//! OUT/man/man1/virtualghost{,-COMMAND…}.1
//! OUT/completions/{virtualghost.bash,_virtualghost,virtualghost.fish}
//! ```

use clap::{Command, CommandFactory};
use std::fs;
use std::io;
use std::path::Path;
use virtualghost::cli::args::Cli;
use virtualghost::cli::complete::Shell;

fn main() -> io::Result<()> {
    let out = std::env::args_os().nth(1).expect("usage: share-files OUT");
    let out = Path::new(&out);
    write_man_pages(&out.join("man/man1"))?;
    let completions = out.join("completions");
    fs::create_dir_all(&completions)?;
    for (shell, name) in [
        (Shell::Bash, "virtualghost.bash"),
        (Shell::Zsh, "_virtualghost"),
        (Shell::Fish, "virtualghost.fish"),
    ] {
        fs::write(completions.join(name), shell.script()?)?;
    }
    Ok(())
}

/// One page for the program and one for each command that is not hidden.
fn write_man_pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut commands = vec![program];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands().filter(|command| !command.is_hide_set()).cloned());
        write_man_page(command, folder)?;
    }
    Ok(())
}

fn write_man_page(command: Command, folder: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .title(name.to_uppercase())
        .source(concat!("virtualghost ", env!("CARGO_PKG_VERSION")))
        .manual("VirtualGhost")
        .render(&mut page)?;
    let page = String::from_utf8(page).expect("help texts are UTF-8");
    fs::write(folder.join(format!("{name}.1")), with_sections(&page))
}

/// clap_mangen has one section, EXTRA, for what follows the help text. Its headings ("Examples:") become sections.
fn with_sections(page: &str) -> String {
    let Some((page, extra)) = page.split_once(".SH EXTRA\n") else { return page.to_owned() };
    let mut page = page.to_owned();
    for line in extra.lines() {
        match line.strip_suffix(':').filter(|line| line.starts_with(char::is_uppercase)) {
            Some(heading) => page.push_str(&format!(".SH {}\n", heading.to_uppercase())),
            None => page.push_str(&format!("{line}\n")),
        }
    }
    page
}
