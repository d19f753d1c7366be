#!/bin/sh
( # The parentheses make a shell read all of the script before it runs any of it.
# Configures dnf, yum, microdnf or zypper to install packages of {{.Repository}}
# from {{.Host}}.
#
# Run it as root. What it detects can be overridden by the environment:
#   os, dist    the distribution, say os=el dist=9; os=rpm_any dist=rpm_any
#   unique_id   the name of this machine, for its read token
#   timeout     how many seconds the server may send nothing, 60 by default
{{template "common.sh" .}}
example=', for example: os=rpm_any dist=rpm_any'
identifier='{{.Identifier}}'
key='{{.RPMKey}}'

detect() {
  if [ -n "${os:-}" ] && [ -n "${dist:-}" ]; then
    return
  fi
  [ -z "${os:-}${dist:-}" ] || die "Set both os and dist, or neither."
  os=$(release ID)
  dist=$(release VERSION_ID)
  if [ -z "$os" ] || [ -z "$dist" ]; then
    if command -v lsb_release > /dev/null; then
      os=$(lsb_release -i -s)
      dist=$(lsb_release -r -s)
    elif [ -r /etc/redhat-release ]; then
      os=el
      dist=$(sed 's/.*release \([0-9]*\).*/\1/' /etc/redhat-release)
    fi
  fi
  [ -n "$os" ] && [ -n "$dist" ] || die "This machine does not say which distribution it runs. Set os and dist before running this script."
}

# choose: the program that looks at the repository, and the one that the server
# writes the file for. A file for microdnf or dnf5 is right for dnf 4 as well.
choose() {
  client=
  case $(release ID) in
    opensuse* | sle* | suse*) set -- zypper dnf dnf5 yum microdnf ;;
    *) set -- dnf dnf5 yum microdnf zypper ;;
  esac
  for manager in "$@"; do
    command -v "$manager" > /dev/null || continue
    client=$manager
    break
  done
  case $client in
    '') die "This script is for systems with dnf, yum, microdnf or zypper." ;;
    zypper) return ;;
  esac
  for other_client in dnf5 microdnf; do
    if command -v "$other_client" > /dev/null; then client=$other_client; fi
  done
}

# check_repo: the file has both sections of the repository, to their last line.
check_repo() {
  file=$stage/config_file.repo
  [ "$(grep '^\[' "$file" | tr -d '\n')" = "[$identifier][$identifier-source]" ] &&
    [ "$(grep '^baseurl=' "$file" | grep -Fc "${base#*://}/")" = 2 ] &&
    [ "$(grep '^gpgkey=' "$file" | grep -Fc -e "${base#*://}/gpgkey" -e "file://$key")" = 2 ] &&
    [ "$(grep -c '^metadata_expire=300$' "$file")" = 2 ] || other "a configuration of $manager"
}

# try: the package manager reads the repository, from the files in $stage, takes
# its key and keeps what it read.
try() {
  mkdir "$stage/repos" || die "Nothing can be written into $stage."
  # zypper forgets what it has of repositories that it does not know.
  if [ "$client" = zypper ]; then cp /etc/zypp/repos.d/*.repo "$stage/repos" 2> /dev/null; fi
  # What is configured for all repositories may let dnf go on without this one.
  sed -e 's|^enabled=1$|&\nskip_if_unavailable=0|' -e "s|credentials=$identifier|credentials=$stage/credentials|" \
    -e "s|file://$key|file://$stage/gpgkey|" "$stage/config_file.repo" > "$stage/repos/$identifier.repo" ||
    die "Nothing can be written into $stage."
  case $manager in
    zypper) zypper --reposd-dir "$stage/repos" --non-interactive --gpg-auto-import-keys refresh --force "$identifier" "$identifier-source" ;;
    yum) yum -q -y --setopt=reposdir="$stage/repos" makecache ;;
    *) "$manager" -y --setopt=reposdir="$stage/repos" --refresh makecache ;;
  esac < /dev/null || die "$manager cannot read $repository; its message is above."
}

main() {
  [ "$(id -u)" = 0 ] || die "Run this script as root, for example: curl ... | sudo bash"
  command -v curl > /dev/null || die "curl is needed."
  detect
  choose
  os=$(clean "$os") dist=$(clean "$dist") unique_id=$(machine)
  begin
  say "Configuring $repository for $os/$dist."

  ask_token
  ask config_file.repo "os=$os" "dist=$dist" "client=$client"
  check_repo
  chmod 0600 "$stage/config_file.repo"
  fetch gpgkey "$read_token" "$base/gpgkey"
  armoured "$stage/gpgkey" || other "an OpenPGP key"
  (umask 077 && printf 'username=%s\npassword=%s\n' "$read_token" "$password" > "$stage/credentials") || die "Nothing can be written into $stage."
  ask_summary
  if [ "$manager" = yum ] && [ "$client" = yum ]; then
    # What yum checks the signature of metadata with on EL 6.
    rpm -q pygpgme > /dev/null 2>&1 || yum install -y -q pygpgme < /dev/null > /dev/null 2>&1
  fi
  try

  # The .repo file comes last: it names the others.
  mode=0644 folder=/etc/yum.repos.d
  if [ "$client" = zypper ]; then
    folder=/etc/zypp/repos.d
    if [ -n "$read_token" ]; then beside "$stage/credentials" "/etc/zypp/credentials.d/$identifier" 0600; fi
  elif [ -n "$read_token" ]; then
    mode=0600
  fi
  if grep -Fq "file://$key" "$stage/config_file.repo"; then beside "$stage/gpgkey" "$key" 0644; fi
  beside "$stage/config_file.repo" "$folder/$identifier.repo" "$mode"
  commit
  finish "$folder/$identifier.repo"
}

main
)
