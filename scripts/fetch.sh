# shellcheck shell=bash
# Downloads that are known by their SHA-256: resumed where they broke off, verified before anything opens them, and kept
# in the build cache, where a build without a network finds them. Source it after lib.sh.
#   FETCH_CONNECT_SECONDS, FETCH_STALL_SECONDS   how long a host may take to answer, and a download may stand still

# The most that one download takes: tries after a connection that broke, and seconds of each try.
fetch_tries=4
fetch_seconds=900

# fetched_path URL SHA256: where the build cache keeps the download.
fetched_path() {
    local name=${1%%[?#]*}
    printf '%s\n' "$(build_cache_path)/downloads/$2/${name##*/}"
}

has_digest() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }

# fetch URL SHA256: `fetched` becomes the path of the file. Where it fails, `fetch_failure` says why in one line.
fetch() {
    local url=$1 sha256=$2 status=0
    fetched=$(fetched_path "$url" "$sha256")
    mkdir -p "$(dirname "$fetched")"
    exec 7>"$(dirname "$fetched")/lock"
    flock 7
    has_digest "$fetched" "$sha256" || fetch_into "$fetched" "$url" "$sha256" || status=1
    exec 7>&-
    return "$status"
}

# fetch_into FILE URL SHA256
fetch_into() {
    local file=$1 part=$1.part url=$2 sha256=$3 resumed
    command -v curl >/dev/null || { fetch_failure="curl is not installed; run: scripts/install-deps.sh" && return 1; }
    say "downloading $url"
    # What is left of an earlier download may be of another file: then once more from the beginning.
    while :; do
        resumed=$([ ! -s "$part" ] || echo 1)
        has_digest "$part" "$sha256" || fetch_part "$part" "$url" || return
        if has_digest "$part" "$sha256"; then break; fi
        fetch_failure="what $url sent has the SHA-256 $(sha256sum <"$part" | cut -d' ' -f1), not $sha256"
        rm -f "$part"
        [ -n "$resumed" ] || return 1
    done
    mv "$part" "$file"
}

# fetch_part PART URL: the rest of PART, in as many tries as it may take. Only a connection that broke is tried again:
# a host that is not there or refuses will do so once more.
fetch_part() {
    local part=$1 url=$2 try status resumed
    for ((try = 1; try <= fetch_tries; try++)); do
        resumed=$([ ! -s "$part" ] || echo 1)
        status=0
        curl --silent --show-error --fail --location --max-redirs 5 --proto '=http,https' --proto-redir '=http,https' \
            --connect-timeout "${FETCH_CONNECT_SECONDS:-5}" --max-time "$fetch_seconds" \
            --speed-limit 1000 --speed-time "${FETCH_STALL_SECONDS:-20}" \
            --continue-at - --output "$part" "$url" 2>"$part.log" || status=$?
        fetch_failure=$(sed -nE 's/^curl: \([0-9]+\) //p' "$part.log" | tail -1)
        rm "$part.log"
        case $status in
        0) return ;;
        18 | 55 | 56 | 92) ;;              # the connection broke
        28) [ -s "$part" ] || break ;;     # it stood still; where nothing came at all, nobody is there
        22 | 33 | 36)                      # nothing can be resumed there
            [ -n "$resumed" ] || break
            rm "$part"
            ;;
        *) break ;;
        esac
    done
    fetch_failure=${fetch_failure:-curl ended with status $status}
    return 1
}
