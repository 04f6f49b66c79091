# Sourced by the checks that need Debian packages.

# debian_packages [OPTION...] NAME...: installs them. Of checks that run at once one waits for the other.
debian_packages() {
  local sudo=() log
  if [ "$(id -u)" != 0 ]; then sudo=(sudo -n); fi
  log=$(mktemp)
  (
    flock 9
    "${sudo[@]}" apt-get update &&
      "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y "$@"
  ) 9>"${TMPDIR:-/tmp}/frugalblas-packages-$(id -u).lock" >"$log" 2>&1 || {
    cat "$log"
    echo "$0 needs the Debian packages $*; installing them failed." >&2
    rm "$log"
    return 1
  }
  rm "$log"
}
