# The words of the scripts about machines. $state lists folders that a script
# that fails must leave as they are.
fault() { curl -sSf "$URL/fault?path=${1:-}&kind=${2:-}"; }

# script TYPE: fetches an install script.
script() {
  local url
  url=$(api repos/admin/demo.json | sed 's/.*"install_script":"\([^"]*\)".*/\1/')
  curl -fsSL "${url/:package_type/$1}" > "$work/script"
}

# set_up [NAME=VALUE ...]: runs the script; its end is in $status and $out.
shell=sh
set_up() {
  mkdir -p "$work/tmp"
  status=0
  out=$(env TMPDIR="$work/tmp" unique_id=machine timeout=1 "$@" $shell "$work/script" 2>&1 < /dev/null) || status=$?
}

# look: what there is on the machine.
look() { find $state -xdev -type d -printf '%p %m\n' -o -printf '%p %m %U:%G %s %T@ %l\n' 2> /dev/null | sort; }

# works WHAT: the last run said that the machine is set up.
works() {
  [ "$status" = 0 ] || fail "$1: the script ended with $status: $out"
  [[ $out == *'is set up'* ]] || fail "$1: the script does not say that it is done: $out"
  [ -z "$(ls -A "$work/tmp")" ] || fail "$1: the script leaves $(ls -A "$work/tmp")"
}

# unchanged WHAT [NAME=VALUE ...]: the script fails, says so and changes nothing.
unchanged() {
  local what=$1
  shift
  look > "$work/before"
  set_up "$@"
  echo "+ $what" >&2
  [ "$status" != 0 ] || fail "$what: the script ended with 0: $out"
  [[ $out != *'is set up'* ]] || fail "$what: the script says that it is done: $out"
  [[ $out == *'Nothing was changed on this machine.'* ]] || fail "$what: the script does not say what it did: $out"
  look | diff "$work/before" - || fail "$what: the script changed that, and said: $out"
  [ ! -d "$work/tmp" ] || [ -z "$(ls -A "$work/tmp")" ] || fail "$what: the script leaves $(ls -A "$work/tmp")"
  [ -z "$(echo /canary*)" ] || [ "$(echo /canary*)" = '/canary*' ] || fail "$what: somebody ran what was a name"
}

# spoiled PATH KIND [NAME=VALUE ...]: the script bears a server that answers so.
spoiled() {
  fault "$1" "$2"
  unchanged "$1 $2" "${@:3}"
  fault
}

# argued [NAME=VALUE ...]: no program that the script runs has a token, or the
# password beside it, among its arguments: a list of processes shows them to everybody.
argued() {
  mkdir -p "$work/argued"
  cat > "$work/recorder" << RECORDER
#!/bin/bash
printf '%q ' "\$0" "\$@" >> $work/arguments
echo >> $work/arguments
PATH=\${PATH#*:} exec "\${0##*/}" "\$@"
RECORDER
  chmod +x "$work/recorder"
  for program in /usr/bin/*; do
    case ${program##*/} in env | bash | sh | dash) ;; *) ln -sf "$work/recorder" "$work/argued/${program##*/}" ;; esac
  done
  rm -f "$work/arguments"
  set_up PATH="$work/argued:$PATH" "$@"
  works 'with arguments recorded'
  grep -q '/curl ' "$work/arguments" || fail "curl was not recorded: $(cat "$work/arguments")"
  if grep -Ew -e '[0-9a-f]{48}' -e irrelevant "$work/arguments"; then fail 'a list of processes shows a token'; fi
}

# stopped AT COMMAND [NAME=VALUE ...]: the command runs when the script is to rename
# its file number AT.
stopped() {
  local at=$1 command=$2
  shift 2
  mkdir -p "$work/shim"
  printf '#!/bin/sh\necho >> %s/moves\nif [ "$(wc -l < %s/moves)" = %s ]; then %s; fi\nexec /bin/mv "$@"\n' "$work" "$work" "$at" "$command" > "$work/shim/mv"
  chmod +x "$work/shim/mv"
  rm -f "$work/moves"
  set_up PATH="$work/shim:$PATH" "$@"
  [ "$(wc -l < "$work/moves")" = "$at" ] || fail "it was not stopped: $out"
}

# killed AT [NAME=VALUE ...]: the script is killed then.
killed() {
  stopped "$1" 'kill -9 $PPID' "${@:2}"
  rm -rf "$work/tmp"
}

# forbidden AT [NAME=VALUE ...]: the system does not let it rename that file, as
# SELinux and immutable files do.
forbidden() {
  local before
  before=$(copies)
  stopped "$1" 'echo "mv: Operation not permitted" >&2; exit 1' "${@:2}"
  [ "$status" != 0 ] && [[ $out == *'cannot be replaced'* ]] || fail "forbidden at $1: the script ended with $status: $out"
  [[ $out != *'is set up'* ]] && [[ $out != *'Nothing was changed'* ]] || fail "forbidden at $1: the script says what is not so: $out"
  [ -z "$(ls -A "$work/tmp")" ] || fail "forbidden at $1: the script leaves $(ls -A "$work/tmp")"
  [ "$(copies)" = "$before" ] || fail "forbidden at $1: the script leaves $(copies)"
}

# copies are files beside those that a script replaces. One that is killed leaves some.
copies() { find $state -xdev -name '.*.??????' | sort; }

# without PROGRAM [NAME=VALUE ...]: the script says that it needs a program.
without() {
  local program
  program=$(command -v "$1")
  mv "$program" "$program.hidden"
  hash -r
  unchanged "without $1" "${@:2}"
  mv "$program.hidden" "$program"
  hash -r
  [[ $out == *"$1 is needed"* ]] || fail "without $1: it says $out"
}

# What no name may do, as a host name or a distribution.
hostile=$'x"\noutput = "/canary\n$(touch /canary-a)`touch /canary-b`\'; touch /canary-c; \'\\'

# cover FOLDER FLAGS OPTIONS: an empty file system in place of a folder, until
# uncover FOLDER. The flags are those of mount(2): 1 read-only, 8 noexec. Small
# root file systems have no mount(8).
cover() {
  mkdir -p "$1"
  python3 - "$@" << 'PYTHON' || fail "cannot mount over $1"
import ctypes, sys
folder, flags, options = sys.argv[1:]
sys.exit(-ctypes.CDLL(None).mount(b"tmpfs", folder.encode(), b"tmpfs", int(flags), options.encode()))
PYTHON
}
uncover() { python3 -c 'import ctypes, sys; sys.exit(-ctypes.CDLL(None).umount(sys.argv[1].encode()))' "$1"; }
