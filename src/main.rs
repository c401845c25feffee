//! The `komainu` program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    komainu::cli::main()
}
