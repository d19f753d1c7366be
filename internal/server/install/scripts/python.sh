#!/bin/bash
# Configures pip to install packages of {{.Repository}} from {{.Host}}, for the
# user who runs it. What it detects can be overridden by the environment:
#   unique_id   the name of this machine, for its read token
set -u

repository='{{.Repository}}'
install='{{.Install}}'
base='{{.Base}}'
token='{{.Token}}'
file=$HOME/.pip/pip.conf

die() {
  echo "$*" >&2
  exit 1
}

# read_token asks for the token of this machine. Credentials are given on stdin,
# so that no list of processes shows them.
read_token() {
  {
    printf 'url = "%s/tokens.text"\n' "$install"
    printf 'user = "%s:"\n' "$token"
    printf 'data-urlencode = "name=%s"\n' "${unique_id//[\"\\]/}"
  } | curl --silent --show-error --fail --config -
}

# patched FILE LINE: the file with the line in its section [global], once.
patched() {
  awk -v line="$2" -v index_url="$base/" '
    function put() { if (!done) { print line; done = 1 } }
    # Another line for the same repository had an older token.
    index($0, substr(index_url, index(index_url, "://") + 3)) { if ($0 ~ /^extra-index-url *=/ || $0 ~ /^[ \t]/) { had = ($0 !~ /^[ \t]/); if (had) put(); next } }
    /^\[/ { if (inside) put(); inside = ($0 ~ /^\[global\]/) }
    inside && /^extra-index-url *=/ { sub(/^extra-index-url *= */, ""); print line; if ($0 != "") print "    " $0; done = 1; next }
    { print }
    END { if (!done) { if (!inside) print "[global]"; print line } }' "$1"
}

main() {
  command -v curl > /dev/null || die "curl is needed."
  unique_id=${unique_id:-$(hostname -f 2> /dev/null || hostname)}
  local url=$base/pypi/simple/ value
  if [ -n "$token" ]; then
    value=$(read_token) || die "The server gave no token for $repository."
    url=${url/:\/\//:\/\/$value:irrelevant@}
  fi
  mkdir -p "${file%/*}" || die "Cannot make ${file%/*}."
  local new
  new=$(umask 077 && mktemp "$file.XXXXXX") || die "Cannot write beside $file."
  trap 'rm -f "$new"' EXIT
  if [ -e "$file" ]; then
    patched "$file" "extra-index-url = $url" > "$new"
  else
    printf '[global]\nextra-index-url = %s\n' "$url" > "$new"
  fi
  chmod 0600 "$new" && mv "$new" "$file" || die "Cannot write $file."
  trap - EXIT
  echo "The repository is set up in $file: pip finds packages of $repository."
}

main
