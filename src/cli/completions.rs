//! `komainu completions`: what a shell needs to complete the arguments.

use clap::CommandFactory;
use clap_complete::Shell;

use super::print;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// For which shell.
    #[arg(value_parser = clap::builder::EnumValueParser::<Shell>::new())]
    shell: Shell,
}

pub(super) fn run(args: &Args) {
    print::line(script(args.shell).trim_end());
}

fn script(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut super::Cli::command(), "komainu", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_told_of_commands_and_their_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for word in ["heartbeats", "rotate", "monitors", "skip-invalid", "prune"] {
                assert!(script.contains(word), "{shell} misses {word}");
            }
        }
    }
}
