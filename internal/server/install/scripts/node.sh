#!/bin/bash
# Configures npm, yarn 1 and pnpm to install packages of {{.Repository}} from
# {{.Host}}.
#
# What it does can be changed by the environment:
#   DIR         the folder whose .npmrc is written, by default your home
#   scope       @acme: only packages of this scope come from the repository
#   force_npm   1: write the file although npm is not installed
#   unique_id   the name of this machine, for its read token
set -u

repository='{{.Repository}}'
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
    for parameter in "scope=$scope" "name=$unique_id" source=script; do
      printf 'data-urlencode = "%s"\n' "${parameter//[\"\\]/}"
    done
  } | curl --silent --show-error --fail --location --get --config -
}

# merge FILE: the configuration in place of lines that set the same keys.
merge() {
  local line key kept=
  if [ -e "$1" ]; then
    while IFS= read -r line || [ -n "$line" ]; do
      key=${line%%=*}
      case $'\n'$configuration in
        *$'\n'"${key%"${key##*[! ]}"}="*) ;;
        *) kept+=$line$'\n' ;;
      esac
    done < "$1"
  fi
  (umask 077 && printf '%s%s\n' "$kept" "$configuration" > "$1.new") && mv "$1.new" "$1"
}

main() {
  command -v curl > /dev/null || die "curl is needed."
  if [ "${force_npm:-0}" != 1 ] && ! command -v npm > /dev/null; then
    die "npm is not installed. To configure it all the same, set force_npm=1."
  fi
  local file=${DIR:-$HOME}/.npmrc
  scope=${scope:-}
  unique_id=${unique_id:-$(hostname -f 2> /dev/null || hostname)}
  configuration=$(ask config_file.npmrc) || die "The configuration could not be fetched: curl ended with status $?."
  merge "$file" || die "Cannot write $file."
  echo "The repository is set up in $file: packages of $repository can be installed."
}

main
