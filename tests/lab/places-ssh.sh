# shellcheck shell=bash disable=SC2154,SC2016,SC2034 # sourced by places.sh; another shell expands
# Places that need an SSH server: `ssh -X`, and a home on another machine.

# An SSH server of the test's own, in whose namespace root's home is the test's.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir -m 700 "$work/server" "$work/server/.ssh" "$work/far"
for key in host user; do ssh-keygen -q -t ed25519 -N '' -f "$work/server/$key"; done
cp "$work/server/user.pub" "$work/server/.ssh/authorized_keys"
printf '%s\n' "Port $port" 'ListenAddress 127.0.0.1' "HostKey $work/server/host" 'UsePAM no' 'StrictModes no' 'X11Forwarding yes' \
    'PermitRootLogin yes' "PidFile none" 'AuthorizedKeysFile .ssh/authorized_keys' 'Subsystem sftp internal-sftp' >"$work/server/config"
unshare --mount bash -euc 'mkdir -p /run/sshd && mount --bind "$1/server" /root && exec "$2" -D -e -f "$1/server/config"' \
    bash "$work" "$sshd" 2>"$work/sshd.log" &
servers+=($!)
ssh_options=(-p "$port" -i "$work/server/user" -o StrictHostKeyChecking=no -o "UserKnownHostsFile=$work/known" -o LogLevel=ERROR)
as=(ssh "${ssh_options[@]}" root@127.0.0.1)
check "an SSH server of the test's own answers" await "${as[@]}" true
DISPLAY=$display ssh -X "${ssh_options[@]}" root@127.0.0.1 "$program run --name lab --ephemeral --start boot" </dev/null >"$work/ssh.log" 2>&1 &
session=$!
is_ready() { there ps --json | jq -e '.[] | select(.name == "lab" and .state == "ready")'; }
window_on() { DISPLAY=$1 xwininfo -root -tree | grep VirtualGhost; }
check "ssh -X: a VM becomes ready" await is_ready
check "... with a window on the display of the client" window_on "$display"
check "... runs a command" equal "$(there exec lab -- hostname)" lab
check "... stops" stops lab
check "... and the session ends" wait "$session"
# A home on another machine, so to say: no sockets, no hard links, no owners, and each operation is a message.
keeps_mounts "sshfs -p $port -o IdentityFile='$work/server/user',StrictHostKeyChecking=no,UserKnownHostsFile='$work/known' root@127.0.0.1:'$work/far' '$(home remote)'" "$work/remote"
refuses "a home on another machine (sshfs): what to do is printed" 'hint: .*XDG_STATE_HOME' starts lab --display none
as+=(XDG_STATE_HOME="$(home state)")
works "... with a local folder for sockets" --display none
