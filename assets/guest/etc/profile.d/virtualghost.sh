# shellcheck shell=sh
# A login shell's PATH is everybody's: /etc/profile has just set one of its own.
. /etc/environment.d/50-virtualghost.conf
export PATH
