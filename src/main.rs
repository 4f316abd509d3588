fn main() -> std::process::ExitCode {
    virtualghost::app::main()
}
