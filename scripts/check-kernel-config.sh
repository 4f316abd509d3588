#!/usr/bin/env bash
# Compares a kernel's final configuration with the fragments: kconfig silently drops an option whose dependencies are not
# met. Lists every difference; status 0 only if there is none.
# Usage: scripts/check-kernel-config.sh FRAGMENT... CONFIG
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

(($# >= 2)) || die "usage: check-kernel-config.sh FRAGMENT... CONFIG"
config=${*: -1}
fragments=("${@:1:$#-1}")
for file in "$@"; do [ -r "$file" ] || die "cannot read $file"; done

# An option that is n in a fragment may be written "# CONFIG_X is not set" or not at all.
differences=$(awk '
    FNR == 1 { last = (++files == ARGC - 1) }
    !last && /^CONFIG_[A-Za-z0-9_]+=/ {
        name = $0; sub(/=.*/, "", name)
        value = substr($0, length(name) + 2)
        if (name in want && want[name] != value)
            printf "%s=%s in %s, but =%s in %s\n", name, want[name], from[name], value, FILENAME
        want[name] = value; from[name] = FILENAME
        next
    }
    !last && !/^(#.*|[ \t]*)$/ { printf "%s:%d: not an option: %s\n", FILENAME, FNR, $0 }
    last && /^CONFIG_[A-Za-z0-9_]+=/ {
        name = $0; sub(/=.*/, "", name)
        have[name] = substr($0, length(name) + 2)
    }
    END {
        for (name in want) {
            value = name in have ? have[name] : "n"
            if (value != want[name])
                printf "%s=%s is asked for in %s, but it is %s\n", name, want[name], from[name], value
        }
    }' "${fragments[@]}" "$config" | sort)
[ -z "$differences" ] || die "$config differs from the fragments:"$'\n'"$differences"
