# What all scripts begin with. Everything that a server sends lands in $stage and
# is checked there; files of the machine are replaced at the end, by renaming.
set +e -u
umask 022

repository='{{.Repository}}'
install='{{.Install}}'
base='{{.Base}}'
token='{{.Token}}'
password='{{.Password}}'

# say TEXT: a line on the terminal. Control characters do not get there.
say() {
  printf '%s' "$*" | LC_ALL=C tr -d '\000-\010\013-\037\177'
  echo
}

# die TEXT: ends a script that has changed nothing.
die() {
  say "$*
Nothing was changed on this machine." >&2
  exit 1
}

# clean TEXT: the text without control characters, line breaks among them.
clean() {
  printf '%s' "$1" | LC_ALL=C tr -d '\000-\037\177'
}

# machine names this machine, for its read token.
machine() {
  clean "${unique_id:-$(hostname -f 2> /dev/null || hostname 2> /dev/null || uname -n)}"
}

# begin makes the folder for what the server sends. Programs that have given up
# root read it, too.
begin() {
  stage=$(mktemp -d) && chmod 0755 "$stage" || die "There is no place for temporary files."
  trap cleanup EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

cleanup() {
  if [ -e "$stage/moves" ]; then
    while IFS= read -r copy && IFS= read -r target; do rm -f "$copy"; done < "$stage/moves"
  fi
  rm -rf "$stage"
}

# fetch FILE USER URL [CURL ARGUMENT ...]: the answer goes into the file in
# $stage. The token is given on stdin, so that no list of processes shows it;
# nothing else is, so that nothing else can be an option of curl.
fetch() {
  to=$stage/$1 who=$2 from=$3
  shift 3
  status=$({ [ -z "$who" ] || printf 'user = "%s:%s"\n' "$who" "$password"; } |
    curl --config - --silent --show-error --fail --location --max-redirs 5 --retry 2 \
      --proto '=http,https' --proto-redir "=${base%%:*},https" \
      --connect-timeout 30 --speed-limit 1 --speed-time "${timeout:-60}" \
      --output "$to" --write-out '%{http_code}' "$@" "$from")
  result=$?
  case $result:$status in
    0:200 | 0:201)
      [ -e "$to" ] || : > "$to" # an old curl makes no empty file
      return ;;
  esac
  explain "$result" "${status:-000}"
}

# explain RESULT STATUS: why curl failed.
explain() {
  case $1:$2 in
    22:401 | 22:403) die "The server refused the token of this script (status $2). It may have been revoked: fetch the script again." ;;
    22:404) die "There are no packages of $repository for ${os:-}/${dist:-}, as far as the server knows, or the token of this script was revoked.
To choose another distribution, set os and dist before running this script${example:-}." ;;
    22:422) die "The server does not accept what it was sent: os=${os:-} dist=${dist:-} unique_id=$unique_id scope=${scope:-}" ;;
    22:*) die "The server answered with an error (status $2). It may be restarting: try again later." ;;
    23:*) die "curl could not write into $stage. Is the disk full?" ;;
    28:*) die "The server did not answer in time." ;;
    35:* | 51:* | 60:* | 77:*) die "The secure connection failed. The certificates of authorities may be missing or old, or the clock of this machine may be wrong." ;;
    0:*) die "The server answered with status $2, which is not an answer to that question." ;;
    *) die "curl could not fetch the configuration (it ended with status $1)." ;;
  esac
}

# other WHAT: what came is whole, and not what was asked for: the page of a
# portal, or the beginning of an answer.
other() {
  die "What came from ${base%%/"$repository"} is not $1. A proxy may have cut it off, or answered for the server."
}

# is_token TEXT: 48 hexadecimal digits.
is_token() {
  case $1 in *[!0-9a-f]*) return 1 ;; esac
  [ "${#1}" = 48 ]
}

# ask_token asks for the read token of this machine, for a private repository.
ask_token() {
  read_token=
  [ -n "$token" ] || return 0
  fetch token "$token" "$install/tokens.text" --data-urlencode "name=$unique_id"
  read_token=$(cat "$stage/token")
  is_token "$read_token" || other "a read token"
}

# ask NAME [PARAMETER ...]: a part of the configuration of this machine.
ask() {
  name=$1
  shift
  for parameter in "$@"; do
    set -- "$@" --data-urlencode "$parameter"
    shift
  done
  fetch "$name" "$token" "$install/$name" --get --data-urlencode "name=$unique_id" --data-urlencode source=script "$@"
}

# ask_summary asks what can be installed, for the last line of the script.
ask_summary() {
  ask summary.text "os=$os" "dist=$dist"
  case $(cat "$stage/summary.text") in
    *"$repository"*' can be installed'*.) ;;
    *) other "a summary of the repository" ;;
  esac
}

# release NAME: a value of os-release, which is read and not run.
release() {
  for file in /etc/os-release /usr/lib/os-release; do
    [ -r "$file" ] && break
  done
  clean "$(sed -n "s/^$1=//p" "$file" 2> /dev/null | tail -n 1 | tr -d "\"'\\\\")"
}

# armoured FILE: it is one OpenPGP key after another, to the last line.
armoured() {
  awk '{ sub(/[ \t\r]+$/, "") }
       $0 == "" { next }
       inside { if ($0 == "-----END PGP PUBLIC KEY BLOCK-----") { inside = 0; keys++ } next }
       $0 == "-----BEGIN PGP PUBLIC KEY BLOCK-----" { inside = 1; next }
       { wrong = 1; exit }
       END { exit wrong || inside || !keys }' "$1"
}

# beside FILE TARGET MODE [OWNER]: a copy of a file, in the folder of its target
# under a name that nobody reads.
beside() {
  [ ! -d "$2" ] || die "$2 is a folder."
  [ -d "${2%/*}" ] || mkdir -p "${2%/*}" || die "The folder ${2%/*} cannot be made."
  copy=$(mktemp "${2%/*}/.${2##*/}.XXXXXX") || die "Nothing can be written into ${2%/*}."
  printf '%s\n%s\n' "$copy" "$2" >> "$stage/moves" || die "Nothing can be written into $stage."
  { [ -z "${4:-}" ] || chown "$4" "$copy"; } && cat "$1" > "$copy" && chmod "$3" "$copy" || die "$2 cannot be written."
}

# commit renames the copies, in the order in which they were made.
commit() {
  while IFS= read -r copy && IFS= read -r target; do
    mv -f "$copy" "$target" || { say "$target cannot be replaced." >&2; exit 1; }
  done < "$stage/moves"
}

# finish FILE says where the repository is set up, and what can be installed.
finish() {
  say "The repository is set up in $1. $(cat "$stage/summary.text")"
}
