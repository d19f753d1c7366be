#!/bin/bash
# Configures apt to install packages of {{.Repository}} from {{.Host}}.
#
# Run it as root. What it detects can be overridden by the environment:
#   os, dist    the distribution, say os=ubuntu dist=jammy; os=any dist=any
#   unique_id   the name of this machine, for its read token
set -u

repository='{{.Repository}}'
install='{{.Install}}'
token='{{.Token}}'
keyring='{{.Keyring}}'
list='/etc/apt/sources.list.d/{{.Identifier}}.list'
auth='/etc/apt/auth.conf.d/{{.Identifier}}.conf'

die() {
  echo "$*" >&2
  exit 1
}

# fetch URL [USER] [NAME=VALUE ...]: the answer goes to stdout. Credentials and
# URLs are given on stdin, so that no list of processes shows them.
fetch() {
  local url=$1 user=$2 parameter
  shift 2
  {
    printf 'url = "%s"\n' "$url"
    if [ -n "$user" ]; then printf 'user = "%s:"\n' "$user"; fi
    for parameter in "$@"; do printf 'data-urlencode = "%s"\n' "${parameter//[\"\\]/}"; done
  } | curl --silent --show-error --fail --location --get --config -
}

# ask NAME: a part of the configuration of this machine.
ask() {
  fetch "$install/$1" "$token" "os=$os" "dist=$dist" "name=$unique_id" "apt_version=$apt_version" source=script
}

# explain STATUS: what went wrong with curl.
explain() {
  case $1 in
    22) echo "There are no packages of $repository for $os/$dist, as far as the server knows (or the token is wrong).
To choose another distribution, set os and dist before running this script, for example: os=any dist=any" ;;
    35 | 60) echo "The secure connection failed. The certificates of authorities may be missing or old:
  apt-get install ca-certificates
or the clock of this machine may be wrong." ;;
    *) echo "curl could not fetch the configuration (it ended with status $1)." ;;
  esac >&2
  exit 1
}

detect() {
  if [ -n "${os:-}" ] && [ -n "${dist:-}" ]; then
    return
  fi
  if [ -n "${os:-}${dist:-}" ]; then
    die "Set both os and dist, or neither."
  fi
  os= dist=
  if [ -r /etc/os-release ]; then
    os=$(. /etc/os-release && echo "${ID:-}")
    dist=$(. /etc/os-release && echo "${VERSION_CODENAME:-${UBUNTU_CODENAME:-${VERSION_ID:-}}}")
  fi
  if [ -z "$os" ] || [ -z "$dist" ]; then
    if command -v lsb_release > /dev/null; then
      os=$(lsb_release -i -s)
      dist=$(lsb_release -c -s)
    elif [ -r /etc/debian_version ]; then
      os=debian
      dist=$(cat /etc/debian_version)
    fi
  fi
  if [ -z "$os" ] || [ -z "$dist" ]; then
    die "This machine does not say which distribution it runs. Set os and dist before running this script."
  fi
}

# dearmor turns an ASCII-armoured key into a binary one without GnuPG.
dearmor() {
  awk '/^-----BEGIN/ {inside = 1; body = 0; next}
       /^-----END/ {inside = 0}
       inside && !body {if ($0 ~ /^[ \t\r]*$/) body = 1; next}
       inside && !/^=/ {print}' | tr -d '\r' | base64 -d
}

main() {
  [ "$(id -u)" = 0 ] || die "Run this script as root, for example: curl ... | sudo bash"
  command -v apt-get > /dev/null || die "This script is for systems with apt."
  command -v curl > /dev/null || apt-get install -y curl || die "curl is needed."
  case $install in
    https:*) [ -e /etc/ssl/certs/ca-certificates.crt ] || apt-get install -y ca-certificates ;;
  esac
  detect
  unique_id=${unique_id:-$(hostname -f 2> /dev/null || hostname)}
  apt_version=$(apt-get --version | awk 'NR == 1 {print $2}')
  echo "Configuring $repository for $os/$dist."

  local key sources credentials
  key=$(ask gpg_key_url.list) || explain $?
  sources=$(ask config_file.list) || explain $?
  credentials=$(ask apt_auth_conf) || explain $?
  [ -n "$key" ] || die "The server gave no key for $repository."

  # The key's URL may carry a token: it does not go to the command line either.
  new=$(mktemp) || die "Cannot make a temporary file."
  trap 'rm -f "$new"' EXIT
  fetch "$key" '' | dearmor > "$new"
  [ -s "$new" ] || die "The signing key of $repository cannot be read."
  install -D -m 0644 "$new" "$keyring" || die "Cannot write $keyring."
  if [ -n "$credentials" ]; then
    install -d "${auth%/*}"
    (umask 077 && printf '%s\n' "$credentials" > "$auth") || die "Cannot write $auth."
    chmod 0600 "$auth"
  fi
  case $sources in
    *'[signed-by='*) ;;
    *) apt-key add "$new" ;; # an apt that is too old for it
  esac
  printf '%s\n' "$sources" > "$list" || die "Cannot write $list."
  case $sources in
    *://*:*@*) chmod 0600 "$list" ;;
    *) chmod 0644 "$list" ;;
  esac

  apt-get update -o Dir::Etc::sourcelist="$list" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 ||
    die "apt cannot read $repository; its message is above."
  echo "The repository is set up: packages of $repository can be installed."
}

main
