# home finds the home of the user: sudo and cron may not tell it.
home() {
  HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d : -f 6)}
  [ -d "$HOME" ] || die "There is no home folder: set HOME."
}

# replace FILE COMMAND [ARGUMENT ...]: the file becomes what the command makes of
# it. It may hold a token afterwards: only its owner reads it.
replace() {
  target=$1
  shift
  if [ -L "$target" ]; then target=$(readlink -f "$target"); fi
  owner=
  if [ -e "$target" ]; then
    cat "$target" > "$stage/before" || die "$target cannot be read."
    if [ "$(id -u)" = 0 ]; then owner=$(ls -dnL "$target" | awk '{print $3 ":" $4}'); fi
  else
    : > "$stage/before"
  fi
  (umask 077 && "$@" "$stage/before" > "$stage/after") || die "$target cannot be made."
  beside "$stage/after" "$target" 0600 "$owner"
  commit
}
