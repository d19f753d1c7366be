#!/bin/sh
( # The parentheses make a shell read all of the script before it runs any of it.
# Configures npm, yarn 1 and pnpm to install packages of {{.Repository}} from
# {{.Host}}.
#
# What it does can be changed by the environment:
#   DIR         the folder whose .npmrc is written, by default your home
#   scope       @acme: only packages of this scope come from the repository
#   force_npm   1: write the file although npm is not installed
#   unique_id   the name of this machine, for its read token
#   timeout     how many seconds the server may send nothing, 60 by default
{{template "common.sh" .}}
{{template "home.sh" .}}
# merged FILE: the file, with the configuration in place of lines that set the
# same keys.
merged() {
  awk -v configuration="$stage/config_file.npmrc" '
    function key(line) { sub(/=.*/, "", line); gsub(/^[ \t]+|[ \t\r]+$/, "", line); return line }
    BEGIN { while ((getline line < configuration) > 0) { new = new line "\n"; set[key(line)] = 1 } }
    /=/ && (key($0) in set) { next }
    { print }
    END { printf "%s", new }' "$1"
}

main() {
  command -v curl > /dev/null || die "curl is needed."
  if [ "${force_npm:-0}" != 1 ] && ! command -v npm > /dev/null; then
    die "npm is not installed. To configure it all the same, set force_npm=1."
  fi
  home
  npmrc=${DIR:-$HOME}/.npmrc
  scope=$(clean "${scope:-}") unique_id=$(machine) os=node dist=1
  begin

  ask_token
  ask config_file.npmrc "scope=$scope"
  place=${base#*:}/npm/
  printf '%s=%s/npm/\n' "${scope:+$scope:}registry" "$base" > "$stage/expected"
  if [ -n "$read_token" ]; then printf '%s:_authToken=%s\n%s:always-auth=true\n' "$place" "$read_token" "$place" >> "$stage/expected"; fi
  [ "$(cat "$stage/config_file.npmrc")" = "$(cat "$stage/expected")" ] || other "a configuration of npm"
  ask_summary
  replace "$npmrc" merged
  finish "$npmrc"
}

main
)
