#!/bin/bash
# Configures dnf, yum or zypper to install packages of {{.Repository}} from
# {{.Host}}.
#
# Run it as root. What it detects can be overridden by the environment:
#   os, dist    the distribution, say os=el dist=9; os=rpm_any dist=rpm_any
#   unique_id   the name of this machine, for its read token
set -u

repository='{{.Repository}}'
identifier='{{.Identifier}}'
install='{{.Install}}'
token='{{.Token}}'

die() {
  echo "$*" >&2
  exit 1
}

# ask NAME: a part of the configuration of this machine. Credentials are given
# on stdin, so that no list of processes shows them.
ask() {
  local parameter
  {
    printf 'url = "%s"\n' "$install/$1"
    if [ -n "$token" ]; then printf 'user = "%s:"\n' "$token"; fi
    for parameter in "os=$os" "dist=$dist" "name=$unique_id" source=script; do
      printf 'data-urlencode = "%s"\n' "${parameter//[\"\\]/}"
    done
  } | curl --silent --show-error --fail --location --get --config -
}

# explain STATUS: what went wrong with curl.
explain() {
  case $1 in
    22) echo "There are no packages of $repository for $os/$dist, as far as the server knows (or the token is wrong).
To choose another distribution, set os and dist before running this script, for example: os=rpm_any dist=rpm_any" ;;
    35 | 60) echo "The secure connection failed. The certificates of authorities may be missing or old,
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
    dist=$(. /etc/os-release && echo "${VERSION_ID:-}")
  elif command -v lsb_release > /dev/null; then
    os=$(lsb_release -i -s)
    dist=$(lsb_release -r -s)
  elif [ -r /etc/redhat-release ]; then
    os=el
    dist=$(sed 's/.*release \([0-9]*\).*/\1/' /etc/redhat-release)
  fi
  if [ -z "$os" ] || [ -z "$dist" ]; then
    die "This machine does not say which distribution it runs. Set os and dist before running this script."
  fi
}

# write FILE: the configuration; it may hold a token.
write() {
  install -d "${1%/*}" || die "Cannot write $1."
  (umask 077 && printf '%s\n' "$configuration" > "$1") || die "Cannot write $1."
  case $configuration in
    *://*:*@*) chmod 0600 "$1" ;;
    *) chmod 0644 "$1" ;;
  esac
}

main() {
  [ "$(id -u)" = 0 ] || die "Run this script as root, for example: curl ... | sudo bash"
  command -v curl > /dev/null || die "curl is needed."
  detect
  unique_id=${unique_id:-$(hostname -f 2> /dev/null || hostname)}
  echo "Configuring $repository for $os/$dist."
  configuration=$(ask config_file.repo) || explain $?

  local manager=
  for candidate in dnf yum zypper; do
    if command -v "$candidate" > /dev/null; then
      manager=$candidate
      break
    fi
  done
  case $manager in
    dnf | yum)
      if [ "$manager" = yum ]; then
        # What an old yum checks the signature of metadata with.
        rpm -q pygpgme > /dev/null 2>&1 || yum install -y -q pygpgme --disablerepo="$identifier" > /dev/null 2>&1
      fi
      write "/etc/yum.repos.d/$identifier.repo"
      "$manager" -q makecache -y --disablerepo='*' --enablerepo="$identifier" --enablerepo="$identifier-source" ||
        die "$manager cannot read $repository; its message is above."
      ;;
    zypper)
      write "/etc/zypp/repos.d/$identifier.repo"
      zypper --gpg-auto-import-keys refresh "$identifier" && zypper --gpg-auto-import-keys refresh "$identifier-source" ||
        die "zypper cannot read $repository; its message is above."
      ;;
    *) die "This script is for systems with dnf, yum or zypper." ;;
  esac
  echo "The repository is set up: packages of $repository can be installed."
}

main
