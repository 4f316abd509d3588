#!/usr/bin/env bash
# Long tests of SSH to VMs over the private socket, with OpenSSH's programs and tools that use them.
# Usage: tests/lab/remote.sh EXECUTABLE [GROUP]...   (default: every group)
# It takes some twenty minutes; the guest installs packages from the Debian archive. The user's configuration is not read.
# shellcheck disable=SC2016,SC2317 # single quotes are for the guest's shell; functions that check calls
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
groups=(keys sessions trees many packages bulk versus ansible sshfs life disk)
need ssh scp sftp ssh-keygen rsync jq openssl dumpe2fs pgrep

[ -x "${1-}" ] || die "usage: $0 EXECUTABLE [GROUP]... (${groups[*]})"
executable=$(realpath "$1")
shift
(($#)) || set -- "${groups[@]}"

mirror=$(debian_mirror)
work=$(mktemp -d)
export HOME=$work/home XDG_CACHE_HOME=$work/cache
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME SSH_AUTH_SOCK SSH_ASKPASS DISPLAY
mkdir "$HOME"
vms=$HOME/.local/state/virtualghost/vms homes=$HOME/.local/share/virtualghost/homes
config=$HOME/.local/state/virtualghost/ssh-config
# shellcheck source=tests/lab/vm.sh
. "$REPO/tests/lab/vm.sh"

guest() { vg exec lab -- "$@"; }
guest_root() { vg exec lab --root -- "$@"; }

clean_up() {
    mountpoint -q "$work/mount" && fusermount3 -u "$work/mount"
    # A failed test may leave a launcher stopped (SIGSTOP).
    [ -z "${launcher-}" ] || kill -CONT "$launcher"
    vg stop --all --force
    wait
    rm -rf "$work"
} >"$work/clean-up" 2>&1
trap clean_up EXIT
trap 'exit 130' INT TERM

# start NAME [FLAG]...: returns when the session is ready, and prints the VM's name.
start() { vg --display none --detach --name "$@" 2>"$work/start.log" || { cat "$work/start.log" && false; }; }
ensure_lab() { listed lab || start lab >/dev/null; }

all() { local p; for p in "$@"; do wait "$p" || return; done; }

# These tests are of the private socket, not of vsock.
over_socket() { equal "$(field lab .channel)" socket; }

# --- Authentication ---------------------------------------------------------------------------------------------

# knock WHO HOST_KEYS [OPTION]...: connects OpenSSH's client to the lab's agent, with these options only.
knock() {
    local who=$1 known_hosts=$2
    shift 2
    SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force setsid -w ssh -F none -o ProxyCommand="'$executable' proxy lab" \
        -o HostKeyAlias=virtualghost -o UserKnownHostsFile="$known_hosts" -o GlobalKnownHostsFile=none \
        -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none "$@" "$who@lab" whoami </dev/null
}

# no_entry PROMISE WHO [OPTION]...: the agent refuses, and names its only method.
no_entry() {
    local promise=$1 who=$2
    shift 2
    refuses "$promise" "^$who@lab: Permission denied \(publickey\)\." knock "$who" "$keys/known_hosts" "$@"
}

test_keys() {
    local keys=$vms/lab/keys none=/dev/null other
    printf '#!/bin/sh\ntouch "%s"\necho ghost\n' "$work/asked" >"$work/askpass"
    chmod +x "$work/askpass"
    ensure_lab
    cp -r "$keys" "$work/before"
    vg stop lab >/dev/null
    start lab >/dev/null
    other=$(vg --display none --detach --ephemeral 2>"$work/start.log")
    ssh-keygen -q -t ed25519 -N '' -f "$work/stranger"
    check "this is the private socket" over_socket

    let_in() { equal "$(knock "$1" "$keys/known_hosts" -i "$2")" "$1"; }
    check "the user's key opens a session of the user's" let_in ghost "$keys/user-key"
    check "root's key opens one of root's" let_in root "$keys/root-key"
    no_entry "a foreign key is refused" ghost -i "$work/stranger"
    no_entry "a foreign key is refused as root" root -i "$work/stranger"
    no_entry "no key is refused" ghost -o IdentityFile=none -o PreferredAuthentications=publickey
    no_entry "password authentication is refused" ghost -o PreferredAuthentications=password -o PubkeyAuthentication=no
    no_entry "keyboard-interactive authentication is refused" ghost -o PreferredAuthentications=keyboard-interactive \
        -o PubkeyAuthentication=no
    no_entry "a client without any method is refused" ghost -o PubkeyAuthentication=no -o PasswordAuthentication=no \
        -o KbdInteractiveAuthentication=no
    no_entry "a client without any method is refused as root" root -o PubkeyAuthentication=no \
        -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no
    no_entry "host-based authentication is refused" ghost -o PreferredAuthentications=hostbased -o HostbasedAuthentication=yes
    no_entry "the user's key is not root's" root -i "$keys/user-key"
    no_entry "root's key is not the user's" ghost -i "$keys/root-key"
    no_entry "root's key is not another user's" nobody -i "$keys/root-key"
    no_entry "an unknown user is refused" nosuchuser -i "$keys/user-key"
    no_entry "another VM's key is refused" ghost -i "$vms/$other/keys/user-key"
    no_entry "another VM's root key is refused as root" root -i "$vms/$other/keys/root-key"
    no_entry "the key of the VM's previous start is refused" ghost -i "$work/before/user-key"
    no_entry "the root key of the VM's previous start is refused as root" root -i "$work/before/root-key"
    refuses "the client refuses a VM with another VM's host key" "Host key verification failed" \
        knock ghost "$vms/$other/keys/known_hosts" -i "$keys/user-key"
    refuses "the client refuses a VM with its previous start's host key" "Host key verification failed" \
        knock ghost "$work/before/known_hosts" -i "$keys/user-key"
    refuses "the client refuses a VM with an unknown host key" "Host key verification failed" \
        knock ghost "$none" -i "$keys/user-key"
    check "no client asked for a password" test ! -e "$work/asked"
    check "and the right key still works" let_in ghost "$keys/user-key"
    vg stop "$other" >/dev/null
    check "an ephemeral VM leaves nothing" test ! -e "$vms/$other" -a ! -e "$homes/$other.img"
}

# --- Concurrency ------------------------------------------------------------------------------------------------

# fifty_times COMMAND...: runs it fifty times at once, each with a line that prints only after all fifty have started.
fifty_times() {
    local n pids=() place
    place=/tmp/$(basename "$work").$RANDOM
    rm -rf "$work/answers" && mkdir "$work/answers"
    guest mkdir "$place"
    for n in {1..50}; do
        "$@" "touch $place/$n; until [ \$(ls $place | wc -l) = 50 ]; do sleep 1; done; echo $n" \
            >"$work/answers/$n" 2>&1 &
        pids+=($!)
    done
    all "${pids[@]}" || { head -2 "$work"/answers/* && false; }
    for n in {1..50}; do equal "$(cat "$work/answers/$n")" "$n" || return; done
}

test_sessions() {
    ensure_lab
    local socket=$work/master
    check "fifty connections at once, each with its own output" fifty_times timeout 180 "$executable" exec lab -- sh -c
    check "one connection is opened for others" ssh -F "$config" -M -S "$socket" -fN vg-lab
    check "fifty sessions in it at once, each with its own output" \
        fifty_times timeout 180 ssh -F "$config" -S "$socket" -o ProxyCommand=false vg-lab
    check "and it still works" ssh -F "$config" -S "$socket" -o ProxyCommand=false vg-lab true
    ssh -F "$config" -S "$socket" -O exit vg-lab 2>/dev/null
}

# --- Files ------------------------------------------------------------------------------------------------------

# One digest over the names and types below a folder and the files' contents, for both sides.
tree_digest='cd "$1" && export LC_ALL=C && { find . -printf "%y %P\0" | sort -z
    find . -type f -print0 | sort -z | xargs -0r sha256sum; } | sha256sum'
digest_here() { sh -c "$tree_digest" - "$1"; }
digest_there() { guest sh -c "$tree_digest" - "$1"; }
same_tree() { equal "$(digest_here "$1")" "$(digest_there "$2")"; }
same_trees_here() { equal "$(digest_here "$1")" "$(digest_here "$2")"; }
sftp_does() { sftp -F "$config" -b - vg-lab; }

test_trees() {
    ensure_lab
    local tree=$work/tree other file name
    mkdir -p "$tree/a folder" "$tree/empty" "$tree/$(printf 'Latin-1 \xe9t\xe9')"
    for name in 'two  spaces ' "it's" 'say "so"' $'line\nbreak' $'\xff\xfe' 'größe' '*' '[a]?' 'back\slash' '-rf' \
        '$HOME' '`id`' ';true' '#no' '~' 'a:b' $'tab\there'; do
        echo "this is $name" >"$tree/a folder/$name"
    done
    cp "$tree/a folder/"* "$tree/$(printf 'Latin-1 \xe9t\xe9')/"
    mkdir "$tree/a folder/deep er"
    : >"$tree/a folder/deep er/nothing"
    head -c 3000000 /dev/urandom >"$tree/a folder/deep er/much"
    chmod 700 "$tree/a folder/it's"

    check "scp -r copies odd names into the guest" scp -F "$config" -qrp "$tree" vg-lab:tree
    check "and they arrive unchanged" same_tree "$tree" tree
    check "scp -r copies them back" scp -F "$config" -qrp vg-lab:tree "$work/back"
    check "and they return unchanged" same_trees_here "$tree" "$work/back"
    check "with their modes" equal "$(stat -c %a "$work/back/a folder/it's")" 700

    check "cp into a VM" vg cp "$tree" lab:/home/ghost/copied
    check "is complete" same_tree "$tree" copied
    check "cp out of a VM" vg cp lab:/home/ghost/copied "$work/copied"
    check "is complete too" same_trees_here "$tree" "$work/copied"
    refuses "cp of a missing file fails" "nosuchfile" vg cp lab:nosuchfile "$work/"
    other=$(vg --display none --detach --ephemeral 2>"$work/start.log")
    check "cp from one VM to another" vg cp lab:/home/ghost/copied "$other:/home/ghost/"
    in_other() { equal "$(digest_here "$tree")" "$(vg exec "$other" -- sh -c "$tree_digest" - copied)"; }
    check "is complete in the other" in_other
    vg stop "$other" >/dev/null

    file=$work/file
    head -c 5000000 /dev/urandom >"$file"
    head -c 2000000 "$file" >"$work/half"
    cp "$work/half" "$work/resumed"
    check "sftp puts, renames, links, changes modes, makes and removes folders" sftp_does <<END
mkdir sftp
put $file sftp/one
rename sftp/one sftp/two
ln -s two sftp/link
chmod 640 sftp/two
mkdir sftp/folder
rmdir sftp/folder
put $work/half sftp/partial
reput $file sftp/partial
get sftp/link $work/got
reget sftp/two $work/resumed
END
    seen() { guest sh -c 'cd sftp && ls -A | tr "\n" " " && readlink link && stat -c %a two'; }
    check "and the guest has the result" equal "$(seen)" $'link partial two two\n640'
    check "the download through the link is the file" cmp "$file" "$work/got"
    check "an interrupted download is resumed" cmp "$file" "$work/resumed"
    check "and an interrupted upload" equal "$(guest sha256sum <"$file" | cut -c-64)" "$(guest sha256sum sftp/partial | cut -c-64)"
    refuses "sftp prints what is not permitted" "Permission denied" sftp_does <<<"put $file /etc/shadow"
    guest rm -rf tree copied sftp
}

test_many() {
    ensure_lab
    local many=$work/many folder
    for folder in {00..99}; do
        mkdir -p "$many/$folder"
        (cd "$many/$folder" && seq "${folder}000" "${folder}999" | split -l 1 -a 3 -d - "file ")
    done
    count() { find "$1" -type f -printf x | wc -c; }
    check "there are 100000 small files" equal "$(count "$many")" 100000
    check "rsync copies them into the guest" rsync -a -e "ssh -F '$config'" "$many/" vg-lab:many/
    check "all of them" equal "$(guest sh -c 'find many -type f -printf x | wc -c')" 100000
    check "unchanged" same_tree "$many" many
    nothing_to_do() { equal "$(rsync -ai -e "ssh -F '$config'" "$many/" vg-lab:many/)" ""; }
    check "a second rsync finds nothing to do" nothing_to_do
    back() { mkdir "$work/many-back" && guest tar -C many -cf - . | tar -C "$work/many-back" -xf -; }
    check "tar copies them back in a stream" back
    check "all of them too" equal "$(count "$work/many-back")" 100000
    check "unchanged too" same_trees_here "$many" "$work/many-back"
    rm -rf "$many" "$work/many-back"
}

# --- Large streams ----------------------------------------------------------------------------------------------

# stream MIB: prints bytes that cannot be compressed, always the same.
stream() {
    { openssl enc -aes-256-ctr -K "$(printf '%064d' 1)" -iv "$(printf '%032d' 2)" </dev/zero || true; } 2>/dev/null |
        head -c "$(($1 << 20))"
}

test_bulk() {
    ensure_lab
    local expected
    expected=$(stream 1024 | sha256sum)
    to_guest() { equal "$(stream 1024 | guest sh -c 'tee big | sha256sum')" "$expected"; }
    from_guest() { equal "$(guest cat big | sha256sum)" "$expected"; }
    check "1 GiB into the guest arrives unchanged" to_guest
    check "1 GiB out of the guest arrives unchanged" from_guest
    guest rm -f big
}

# --- Tests that need python or sshd in the guest -----------------------------------------------------------------

install_packages() {
    guest_root sh -ec '
        sed -i "s,http://deb.debian.org/debian$,$1," /etc/apt/sources.list.d/debian.sources
        systemctl mask ssh.service ssh.socket
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q update
        apt-get -q install -y --no-install-recommends -o Dpkg::Use-Pty=0 openssh-server python3' - "$mirror"
}
ensure_packages() { guest test -e /usr/sbin/sshd -a -e /usr/bin/python3 || install_packages >"$work/install" 2>&1; }
test_packages() {
    ensure_lab
    check "the guest installs packages from the Debian archive" install_packages
}

# Compares the agent with OpenSSH's sshd in one guest, alternately. sshd gets the agent's address, port, host key and users'
# keys, so client, cipher, proxy, forwarded port and bytes are the same, and only the server differs. The bytes are in the
# guest's memory, and each figure is the median of its rounds.
versus_mib=${VERSUS_MIB:-128} versus_rounds=3

lay_out_sshd() {
    guest_root sh -ec '
        mkdir -p /etc/lab
        cd /run/credentials/ghostly-agent.service
        install -m 600 ghostly.host-key /etc/lab/host-key
        install -m 644 ghostly.authorized-user /etc/lab/ghost
        install -m 644 ghostly.authorized-root /etc/lab/root
        printf "%s\n" "ListenAddress 10.0.2.15:22" "HostKey /etc/lab/host-key" "AuthorizedKeysFile /etc/lab/%u" \
            "PasswordAuthentication no" "UsePAM no" >/etc/lab/sshd_config
        printf "%s\n" "[Service]" "RuntimeDirectory=sshd" "ExecStart=/usr/sbin/sshd -D -f /etc/lab/sshd_config" \
            "KillMode=process" >/run/systemd/system/lab-sshd.service
        systemctl daemon-reload'
}

answers() { vg proxy lab </dev/null 2>/dev/null | grep -aq "^SSH-2.0-$1"; }
# turn_of agent|sshd: switches the server, in a unit of its own, because this session ends with its server.
turn_of() {
    local agent="ghostly-agent.socket ghostly-agent-vsock.socket"
    case $1 in
    sshd) guest_root systemd-run -q sh -c "sleep 1; systemctl stop $agent ghostly-agent; systemctl start lab-sshd" ;;
    agent) guest_root systemd-run -q sh -c "sleep 1; systemctl stop lab-sshd; systemctl start ghostly-agent.socket" ;;
    esac
    case $1 in
    sshd) await answers OpenSSH ;;
    agent) await answers ghostly ;;
    esac
}

# seconds FILE COMMAND...: appends the duration in ms to FILE.
seconds() {
    local file=$1 since
    shift
    since=$(date +%s%N)
    "$@" || return
    echo $((($(date +%s%N) - since) / 1000000)) >>"$file"
}
there() { guest sh -c 'cat >/dev/shm/there' <"$work/sent"; }
here() { guest cat /dev/shm/there >"$work/received"; }
one_turn() {
    turn_of "$1" && seconds "$work/$1.there" there &&
        equal "$(guest sha256sum /dev/shm/there | cut -c-64)" "$(sha256sum <"$work/sent" | cut -c-64)" &&
        seconds "$work/$1.here" here && cmp "$work/sent" "$work/received"
}
# rate FILE: prints the median in MB/s.
rate() { sort -n "$1" | sed -n "$((versus_rounds / 2 + 1))p" | awk -v mib="$versus_mib" '{printf "%.1f", mib * 1048.576 / $1}'; }

test_versus() {
    ensure_lab
    ensure_packages
    local round server way
    if ! over_socket; then
        skip "the agent beside OpenSSH's sshd" "vsock connects to the agent, and sshd does not listen there"
        return
    fi
    stream "$versus_mib" >"$work/sent"
    rm -f "$work"/{agent,sshd}.{there,here}
    check "sshd is set up beside the agent" lay_out_sshd
    for ((round = 1; round <= versus_rounds; round++)); do
        for server in agent sshd; do
            check "round $round of $server: bytes arrive unchanged, both ways" one_turn "$server"
        done
    done
    check "the agent is the server again" turn_of agent
    printf '\n  %-22s %12s %12s %14s\n' "MB/s" agent "OpenSSH sshd" "agent / sshd"
    for way in there here; do
        [ -s "$work/sshd.$way" ] || continue
        awk -v way="$way" -v agent="$(rate "$work/agent.$way")" -v sshd="$(rate "$work/sshd.$way")" 'BEGIN {
            printf "  %-22s %12.1f %12.1f %14.2f\n", way == "there" ? "host to guest" : "guest to host", agent, sshd, agent / sshd }'
    done
    echo
    guest rm /dev/shm/there
}

test_ansible() {
    if ! command -v ansible >/dev/null; then
        skip "ansible" "not installed"
        return
    fi
    ensure_lab
    ensure_packages
    pong() {
        ANSIBLE_NOCOLOR=1 ANSIBLE_SSH_ARGS="-F '$config'" ansible -i "$1," -m ping all | tee "$work/pong" &&
            grep -q '"ping": "pong"' "$work/pong"
    }
    check "ansible's ping works as the user" pong vg-lab
    check "and as root" pong vg-lab-root
    become() {
        ANSIBLE_NOCOLOR=1 ANSIBLE_SSH_ARGS="-F '$config'" ansible -b -i vg-lab, -m command -a whoami all |
            tee "$work/become" && grep -qx root "$work/become"
    }
    check "ansible becomes root with sudo" become
}

test_sshfs() {
    local mount=$work/mount why=
    command -v sshfs >/dev/null || why="sshfs is not installed"
    { : >/dev/fuse; } 2>/dev/null || why=${why:-"/dev/fuse does not open"}
    if [ -n "$why" ]; then
        skip "sshfs" "$why"
        return
    fi
    ensure_lab
    mkdir -p "$mount"
    if ! sshfs -F "$config" vg-lab: "$mount" 2>"$work/output" && grep -qi 'fuse\|mount' "$work/output"; then
        skip "sshfs" "mounting is not permitted: $(head -1 "$work/output")"
        return
    fi
    check "sshfs mounts the guest's home" mountpoint "$mount"
    stream 4 >"$work/four"
    writes() { mkdir "$mount/in" && cp "$work/four" "$mount/in/a" && mv "$mount/in/a" "$mount/in/b" && sync "$mount/in/b"; }
    check "files are written there" writes
    check "and are in the guest" equal "$(guest sha256sum in/b | cut -c-64)" "$(sha256sum <"$work/four" | cut -c-64)"
    check "the guest writes a file" guest sh -c 'echo from inside >in/c'
    check "and it is on the host" equal "$(cat "$mount/in/c")" "from inside"
    removes() { truncate -s 5 "$mount/in/b" && rm "$mount/in/c" && equal "$(guest sh -c 'cd in && wc -c *')" "5 b"; }
    check "files are truncated and removed" removes
    check "it is unmounted" fusermount3 -u "$mount"
    guest rm -r in
}

# --- Start and stop ---------------------------------------------------------------------------------------------

test_life() {
    local name=life qemu one two
    ! listed lab || vg stop lab >/dev/null

    launch $name
    await listed $name
    check "a VM is listed as soon as it has its name, as booting" is $name booting
    check "and stops immediately" vg stop $name
    # Until it handles signals, they end it.
    check "its launcher ends" ended 0 143
    check "it is not listed any more" not_listed $name

    launch $name
    await field $name .channel
    qemu=$(qemu_of "$launcher")
    check "ps shows the launcher's process" equal "$(field $name .pid)" "$launcher"
    check "and that it boots" is $name booting
    check "a VM that boots stops" vg stop $name
    check "its launcher ends with status 0" ended 0
    check "and QEMU ends" gone "$qemu"
    check "its home is clean" home_is_clean $name

    launch $name
    await is $name ready
    qemu=$(qemu_of "$launcher")
    check "ps shows how long the start took" field $name '.ready_after > 0'
    check "ps shows it in its table" grep -q "^$name *ready *$launcher " <(vg ps)
    refuses "a second VM of that name is refused" "$launcher" vg --display none --name $name
    check "a VM that is ready stops" vg stop $name
    check "its launcher ends with status 0, when ready" ended 0
    check "and QEMU ends, when ready" gone "$qemu"
    check "its home is clean, when ready" home_is_clean $name
    refuses "a VM that does not run cannot be stopped" "$name" vg stop $name

    launch $name
    await is $name ready
    "$executable" stop $name >/dev/null 2>"$work/stop.1" & one=$!
    "$executable" stop $name >/dev/null 2>"$work/stop.2" & two=$!
    check "the first of two simultaneous stops succeeds" wait $one
    check "and the second" wait $two
    check "the launcher ends with status 0, stopped twice" ended 0
    check "the guest powered off, stopped twice" home_is_clean $name

    launch $name
    await is $name ready
    "$executable" stop $name >/dev/null 2>&1 & one=$!
    await is $name stopping
    check "a second stop waits for the first" vg stop $name
    check "the first succeeds" wait $one
    check "the launcher ends with status 0, stopped again" ended 0
    check "the guest powered off, stopped again" home_is_clean $name

    launch $name
    await is $name ready
    qemu=$(qemu_of "$launcher")
    check "stop --force" vg stop --force $name
    check "its launcher ends with status 0, by force" ended 0
    check "and QEMU ends, by force" gone "$qemu"

    launch $name
    await field $name .channel
    check "stop --force while it boots" vg stop --force $name
    check "its launcher ends with status 0, by force while it booted" ended 0

    launch $name
    await is $name ready
    qemu=$(qemu_of "$launcher")
    kill -STOP "$launcher"
    check "stop --force of a launcher that does not respond" vg stop --force $name
    check "it was killed" ended 137
    check "and QEMU with it" await gone "$qemu"
    check "it is not listed, killed" not_listed $name

    launch $name
    await is $name ready
    qemu=$(qemu_of "$launcher")
    kill -KILL "$launcher"
    check "a launcher is killed" ended 137
    check "and QEMU ends with it" await gone "$qemu"
    check "and it is not listed" not_listed $name
    check "the next start works" start $name
    check "and exec works" equal "$(vg exec $name -- whoami)" ghost
    check "and its home is writable" vg exec $name -- touch works
    check "stop --all" vg stop --all
    check "no VM runs any more" equal "$(vg ps --json | jq length)" 0
}

# --- The home ---------------------------------------------------------------------------------------------------

test_disk() {
    local name=disk qemu small large
    ! listed lab || vg stop lab >/dev/null
    size() { vg exec $name -- df -k --output=size /home | tail -1; }
    export VIRTUALGHOST_HOME_SIZE=256

    launch $name
    await is $name ready
    qemu=$(qemu_of "$launcher")
    small=$(size)
    check "a home of 256 MiB has that size" test "$small" -gt 200000 -a "$small" -le 262144
    stream 16 >"$work/sixteen"
    check "a file is written and synced" vg exec $name -- sh -c 'cat >kept && sync' <"$work/sixteen"
    kill -KILL "$qemu"
    check "QEMU is killed: the launcher ends with status 3" ended 3

    check "the VM starts again" start $name
    check "the synced file is there" equal "$(vg exec $name -- sha256sum kept | cut -c-64)" "$(sha256sum <"$work/sixteen" | cut -c-64)"
    check "and a file outside the home is written" vg exec $name --root -- touch /etc/not-kept
    vg stop $name >/dev/null

    export VIRTUALGHOST_HOME_SIZE=2048
    check "the VM starts with a larger home" start $name
    large=$(size)
    check "the guest has a home of 2 GiB" test "$large" -gt 1800000 -a "$large" -le 2097152
    check "with its content" equal "$(vg exec $name -- sha256sum kept | cut -c-64)" "$(sha256sum <"$work/sixteen" | cut -c-64)"
    check "a file larger than the old home fits" vg exec $name -- sh -c 'head -c 600M /dev/zero >large && sync'
    check "the root is new" vg exec $name -- test ! -e /etc/not-kept
    vg stop $name >/dev/null

    export VIRTUALGHOST_HOME_SIZE=64
    check "the VM starts with a smaller home in the settings" start $name
    check "and keeps the size of its home" equal "$(size)" "$large"
    vg stop $name >/dev/null
    check "its filesystem has no errors" e2fsck -fn "$homes/$name.img"
    unset VIRTUALGHOST_HOME_SIZE

    check "an ephemeral VM starts with a name" start $name --ephemeral
    check "without the named one's home" vg exec $name -- test ! -e kept
    check "it has a home to write in" vg exec $name -- touch mine
    vg stop $name >/dev/null
    check "it starts again" start $name --ephemeral
    check "and its home is new" vg exec $name -- test ! -e mine
    vg stop $name >/dev/null
    check "the named VM starts with its own home" start $name
    check "which has its file, and not the other's" vg exec $name -- test -e kept -a ! -e mine
    vg stop $name >/dev/null
    check "rm --yes" vg rm --yes $name
    check "removes the home" test ! -e "$homes/$name.img"
}

for group in "$@"; do
    echo "== $group"
    SECONDS=0
    "test_$group"
    echo "   ($SECONDS s)"
done
finish
