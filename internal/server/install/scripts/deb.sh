#!/bin/sh
( # The parentheses make a shell read all of the script before it runs any of it.
# Configures apt to install packages of {{.Repository}} from {{.Host}}.
#
# Run it as root. What it detects can be overridden by the environment:
#   os, dist    the distribution, say os=ubuntu dist=jammy; os=any dist=any
#   unique_id   the name of this machine, for its read token
#   timeout     how many seconds the server may send nothing, 60 by default
{{template "common.sh" .}}
example=', for example: os=any dist=any'
keyring='{{.Keyring}}'
list='/etc/apt/sources.list.d/{{.Identifier}}.list'
auth='/etc/apt/auth.conf.d/{{.Identifier}}.conf'

detect() {
  if [ -n "${os:-}" ] && [ -n "${dist:-}" ]; then
    return
  fi
  [ -z "${os:-}${dist:-}" ] || die "Set both os and dist, or neither."
  os=$(release ID)
  dist=$(release VERSION_CODENAME)
  dist=${dist:-$(release UBUNTU_CODENAME)}
  dist=${dist:-$(release VERSION_ID)}
  if [ -z "$os" ] || [ -z "$dist" ]; then
    if command -v lsb_release > /dev/null; then
      os=$(lsb_release -i -s)
      dist=$(lsb_release -c -s)
    elif [ -r /etc/debian_version ]; then
      os=debian
      dist=$(cat /etc/debian_version)
    fi
  fi
  [ -n "$os" ] && [ -n "$dist" ] || die "This machine does not say which distribution it runs. Set os and dist before running this script."
}

# need PROGRAM PACKAGE: it is there, or apt gets it.
need() {
  command -v "$1" > /dev/null && return
  apt-get install -y "$2" < /dev/null || { apt-get update < /dev/null && apt-get install -y "$2" < /dev/null; }
  command -v "$1" > /dev/null || die "$1 is needed, and apt cannot install $2."
}

# check_sources: the file has the two lines that apt needs, and no other.
check_sources() {
  line=$(sed -n 's/^deb //p' "$stage/config_file.list")
  [ "$line" = "$(sed -n 's/^deb-src //p' "$stage/config_file.list")" ] || other "a configuration of apt"
  if grep -v -e '^#' -e '^$' -e '^deb ' -e '^deb-src ' "$stage/config_file.list" | grep -q . || [ "$(grep -c '^deb ' "$stage/config_file.list")" != 1 ]; then
    other "a configuration of apt"
  fi
  old_base=${base%%://*}://${read_token:+$read_token:$password@}${base#*://}
  case $line in
    "[signed-by=$keyring] $base/"*' main') ;;
    # An apt that knows no signed-by, and no auth.conf.
    "$old_base/"*' main') keyring=/etc/apt/trusted.gpg.d/{{.Identifier}}.gpg ;;
    *) other "a configuration of apt" ;;
  esac
}

# dearmor turns an ASCII-armoured key into a binary one without GnuPG.
dearmor() {
  awk '/^-----BEGIN/ {inside = 1; body = 0; next}
       /^-----END/ {inside = 0}
       inside && !body {if ($0 ~ /^[ \t\r]*$/) body = 1; next}
       inside && !/^=/ {print}' "$stage/gpgkey" | tr -d '\r' | base64 -d > "$stage/keys/key.gpg"
}

# try: apt reads the repository, from the files in $stage.
try() {
  sed "s|signed-by=$keyring|signed-by=$stage/keys/key.gpg|" "$stage/config_file.list" > "$stage/try.list"
  case $keyring in
    /etc/apt/trusted.gpg.d/*) set -- -o Dir::Etc::trustedparts="$stage/keys" ;;
    *) set -- ;;
  esac
  # apt ends with 0 where it could not fetch anything.
  LC_ALL=C apt-get update -o Dir::Etc::sourcelist="$stage/try.list" -o Dir::Etc::sourceparts=- -o Dir::Etc::netrc="$stage/apt_auth_conf" \
    -o Dir::Etc::netrcparts=- -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any "$@" < /dev/null > "$stage/output" 2>&1
  result=$?
  cat "$stage/output"
  if [ "$result" != 0 ] || grep -q -e '^E: ' -e '^Err:' -e '^W: \(Failed to fetch\|Some index files\|GPG error\|An error occurred\|The repository\)' "$stage/output"; then
    die "apt cannot read $repository; its message is above."
  fi
}

# agree: apt can read the new list together with all others. Two that name one
# repository with different keys make it refuse everything.
agree() {
  apt-get indextargets > /dev/null 2>&1 || return 0 # it cannot do that before
  mkdir "$stage/parts" || die "Nothing can be written into $stage."
  cp /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources "$stage/parts" 2> /dev/null
  cp "$stage/config_file.list" "$stage/parts/${list##*/}"
  apt-get indextargets -o Dir::Etc::sourceparts="$stage/parts" > /dev/null ||
    die "apt cannot read the list of $repository together with others of this machine; its message is above."
}

main() {
  [ "$(id -u)" = 0 ] || die "Run this script as root, for example: curl ... | sudo bash"
  command -v apt-get > /dev/null || die "This script is for systems with apt."
  need curl curl
  case $install in
    https:*) [ -e /etc/ssl/certs/ca-certificates.crt ] || apt-get install -y ca-certificates < /dev/null ;;
  esac
  detect
  os=$(clean "$os") dist=$(clean "$dist") unique_id=$(machine)
  begin
  say "Configuring $repository for $os/$dist."

  ask_token
  ask config_file.list "os=$os" "dist=$dist" "apt_version=$(LC_ALL=C apt-get --version | awk 'NR == 1 {print $2}')"
  check_sources
  ask apt_auth_conf
  if [ "$(cat "$stage/apt_auth_conf")" != "${read_token:+machine ${base#https://}/ login $read_token password $password}" ]; then
    other "the token for apt"
  fi
  chmod 0600 "$stage/apt_auth_conf"
  fetch gpgkey "$read_token" "$base/gpgkey"
  mkdir "$stage/keys" && armoured "$stage/gpgkey" && dearmor || other "an OpenPGP key"
  ask_summary
  try
  agree

  # The list comes last: it is what makes apt look at the others.
  beside "$stage/keys/key.gpg" "$keyring" 0644
  mode=0644
  if [ -n "$read_token" ]; then
    case $line in
      *"$read_token"*) mode=0600 ;;
      *) beside "$stage/apt_auth_conf" "$auth" 0600 ;;
    esac
  fi
  beside "$stage/config_file.list" "$list" "$mode"
  commit
  finish "$list"
}

main
)
