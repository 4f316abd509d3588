//! The examples at the end of `--help`. A test parses each command.

pub const PROGRAM: &str = "\
Examples:
  Open a terminal in a VM with its own home:
  $ virtualghost

  Open another one that discards everything on exit:
  $ virtualghost --ephemeral

  Start a VM in the background, run a program in it, and stop it:
  $ virtualghost --name web --detach
  $ virtualghost exec web -- uname -a
  $ virtualghost stop web

  Find out why a VM does not start, or is slow:
  $ virtualghost doctor";

pub const RUN: &str = "\
Examples:
  Start a VM named web with 4 CPUs and 4 GiB of memory:
  $ virtualghost run --name web --vcpus 4 --memory 4096

  Start it in the background, without a window:
  $ virtualghost run --name web --detach --display none

  Start a VM for one program, whose output and exit status are those of this command:
  $ virtualghost run --ephemeral -- uname -a

  Run a script:
  $ echo 'uname -a' | virtualghost run --ephemeral --display none

  Let a VM reach two names and nothing else:
  $ virtualghost run --net off --allow deb.debian.org --allow '*.debian.org'

  Pass the only eligible GPU to a VM:
  $ virtualghost run --gpu

  Print what would be started, and why:
  $ virtualghost run --dry-run";

pub const NET: &str = "\
Examples:
  Show what the VM web may reach, and what it has reached:
  $ virtualghost net web

  Open a host of the local network, and a port of this machine's loopback interface, while the VM runs:
  $ virtualghost net web --allow 192.168.1.10 --allow host:5432

  Close everything:
  $ virtualghost net web --off";

pub const PORTS: &str = "\
Examples:
  List the ports of 127.0.0.1 that lead into the VM web:
  $ virtualghost ports web

  Open one that is there with --ports ask:
  $ virtualghost ports web --open 8000";

pub const PS: &str = "\
Examples:
  Print the names of running VMs:
  $ virtualghost ps --json | jq -r '.[].name'";

pub const LS: &str = "\
Examples:
  Print the names of VMs that are off:
  $ virtualghost ls --json | jq -r '.[] | select(.state == \"off\").name'";

pub const STOP: &str = "\
Examples:
  Stop the VM web:
  $ virtualghost stop web

  Stop all VMs, without shutting down their guests:
  $ virtualghost stop --all --force";

pub const SSH: &str = "\
Examples:
  Open a shell in the VM web:
  $ virtualghost ssh web

  Run a shell command as root:
  $ virtualghost ssh web --root -- 'apt-get update && apt-get install -y git'

  Run a command that needs a terminal:
  $ virtualghost ssh -t web -- 'cd project && vim'";

pub const EXEC: &str = "\
Examples:
  Run a program in the VM web:
  $ virtualghost exec web -- ls -l /

  Run a program that needs a terminal:
  $ virtualghost exec -it web -- top

  Run it in a folder and with a variable, and stop it after a minute:
  $ timeout 60 virtualghost exec -w project -e CI=1 web -- make test

Exit status: that of the program, or
  126  the program could not be started
  127  the program was not found
  128  and the number of a signal: the program was killed by it
  255  the connection was lost";

pub const CP: &str = "\
Examples:
  Copy a folder to the home in the VM web:
  $ virtualghost cp project web:

  Copy a file from it:
  $ virtualghost cp web:project/result.txt .";

pub const LOGS: &str = "\
Examples:
  Follow the console of the VM web:
  $ virtualghost logs -f web

  Show the messages of its QEMU:
  $ virtualghost logs --qemu web";

pub const DIFF: &str = "\
Examples:
  Let a VM work on a copy of this folder, and see what it has changed:
  $ virtualghost --name agent --share .:copy
  $ virtualghost diff agent";

pub const APPLY: &str = "\
Examples:
  Bring what the VM agent has changed in its copy to this machine:
  $ virtualghost apply agent

  Throw it away instead:
  $ virtualghost apply agent --discard";

pub const CLONE: &str = "\
Examples:
  Try something in a copy of the VM web, and delete the copy:
  $ virtualghost clone web trial
  $ virtualghost --name trial
  $ virtualghost rm trial";

pub const SNAPSHOT: &str = "\
Examples:
  Go back to the state before an upgrade:
  $ virtualghost snapshot web before
  $ virtualghost --name web
  $ virtualghost restore web before";

pub const RENAME: &str = "\
Examples:
  Keep the home of the VM default, and start the next one with an empty home:
  $ virtualghost rename default old
  $ virtualghost";

pub const RM: &str = "\
Examples:
  Delete the VM web and what it keeps, without confirmation:
  $ virtualghost rm --yes web";

pub const DOCTOR: &str = "\
Exit status:
  0  VMs can run
  1  VMs can run, with limits
  2  VMs can't run

Examples:
  Print findings as JSON:
  $ virtualghost doctor --json

  Try features again that failed at earlier starts:
  $ virtualghost doctor --forget";

pub const CONFIG: &str = "\
Examples:
  Create a configuration file, and print its path:
  $ virtualghost config --init
  $ virtualghost config --path

  Print every setting and where it was set:
  $ virtualghost config --show";

pub const CHECKPOINT: &str = "\
Examples:
  Create the checkpoint of VMs with the current configuration:
  $ virtualghost checkpoint

  Create the checkpoint of VMs without a window:
  $ virtualghost checkpoint --display none";

pub const GPU: &str = "\
Examples:
  Print which GPUs can be passed to a VM:
  $ virtualghost gpu list

  Bind a GPU once, so that starts do not need root; then return it to the host:
  $ sudo virtualghost gpu bind 0000:01:00.0
  $ sudo virtualghost gpu release 0000:01:00.0";

pub const CLEAN: &str = "\
Examples:
  List what would be removed:
  $ virtualghost clean --dry-run";

pub const SSH_CONFIG: &str = "\
Examples:
  Make VMs reachable with `ssh vg-NAME`, scp and rsync:
  $ virtualghost ssh-config --install

  The same by hand; it may be anywhere in the file:
  $ virtualghost ssh-config >>~/.ssh/config";

pub const COMPLETIONS: &str = "\
Examples:
  Enable completion in bash (in ~/.bashrc), zsh (in ~/.zshrc, after compinit), fish (in
  ~/.config/fish/config.fish) and PowerShell (in $PROFILE):
  $ source <(virtualghost completions bash)
  $ source <(virtualghost completions zsh)
  $ virtualghost completions fish | source
  $ virtualghost completions powershell | Out-String | Invoke-Expression";
