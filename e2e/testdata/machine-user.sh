# What the scripts for pip and npm do to the home of a user.
# needs: python3 npm curl
# tools: python-clients
# releases: this
. "$LIB"
. "${LIB%/*}/machine.sh"
export HOME=$work/home DIR=
mkdir "$HOME"
unset PIP_CONFIG_FILE PIP_EXTRA_INDEX_URL VIRTUAL_ENV XDG_CONFIG_HOME
state="$HOME /etc"
create_repository
index=$URL/admin/demo/pypi/simple/
host=${URL#http://}

# pip_says CLIENT [KEY]: what a version of pip reads.
pip_says() { PYTHONPATH=$TOOLS/$1 "$TOOLS/bin/python" -m pip config get "${2:-global.extra-index-url}"; }
# says WHAT VALUES: all versions of pip read these, as a set.
says() {
  for client in "$TOOLS"/pip-*; do
    diff <(tr ' ' '\n' <<< "$2" | sort) <(pip_says "$(basename "$client")" "${3:-}" | sed 's|//[^/@]*@|//|' | grep . | sort) || fail "$1: pip $client reads $(cat "$HOME/.pip/pip.conf")"
  done
}
faults() {
  for path in tokens.text summary.text "$@"; do
    for kind in portal empty cut-30 404; do spoiled $path $kind; done
  done
}

script python
faults
set_up
works 'pip'
says 'a new file' "$index"
grep -Eq "//[0-9a-f]{48}:irrelevant@$host" "$HOME/.pip/pip.conf" || fail "no token in $(cat "$HOME/.pip/pip.conf")"
[ "$(stat -c %a "$HOME/.pip/pip.conf")" = 600 ] || fail "everybody may read the token"
faults
cp "$HOME/.pip/pip.conf" first
set_up
cmp first "$HOME/.pip/pip.conf" || fail "another run writes another file"
killed 1
says 'killed' "$index"
argued

# What else stands in the file stays.
cat > "$HOME/.pip/pip.conf" << CONF
# mine
[global]
  timeout = 60
  Extra_Index_Url: https://other.example.com/$host/admin/demo/pypi/simple
      # a comment
      http://0123@$host/admin/demo/pypi/simple
      https://$host/admin/demo/pypi/simple/

      https://u:p@mirror.example.com/admin/demo/pypi/simple/
  index-url = https://pypi.example.com/simple
[install]
extra-index-url = https://third.example.com/simple
[list]
format = columns
CONF
cp "$HOME/.pip/pip.conf" mine
others="https://other.example.com/$host/admin/demo/pypi/simple https://$host/admin/demo/pypi/simple/ https://mirror.example.com/admin/demo/pypi/simple/"
for shell in sh bash; do
  set_up
  works 'with others'
  says 'with others' "$index $others"
  says 'another section' "$index https://third.example.com/simple" install.extra-index-url
  says 'other keys' 'https://pypi.example.com/simple' global.index-url
done
[ "$(grep -cFf mine "$HOME/.pip/pip.conf")" -ge 11 ] || fail "it lost lines: $(cat "$HOME/.pip/pip.conf")"
grep -q '# mine' "$HOME/.pip/pip.conf" && grep -q '# a comment' "$HOME/.pip/pip.conf" || fail "it lost comments"

# The files of all users, and the second of this one.
rm "$HOME/.pip/pip.conf"
printf '[global]\nextra-index-url =\n  https://one.example.com/simple\n\n  https://two.example.com/simple\n' > /etc/pip.conf
for _ in 1 2; do
  set_up
  works '/etc/pip.conf'
  says '/etc/pip.conf' "$index https://one.example.com/simple https://two.example.com/simple"
done
mkdir -p "$HOME/.config/pip"
printf '[global]\nextra-index-url=https://second.example.com/simple' > "$HOME/.config/pip/pip.conf"
set_up
works 'the second file'
says 'the second file' "$index https://second.example.com/simple"
rm -r "$HOME/.config" "$HOME/.pip" /etc/pip.conf

# A file without a section, with another one, a link, and no home at all.
for text in '' '[install]\nuser = true\n' '# nothing' '[global]' '[global]\r\ntimeout = 5\r\n'; do
  mkdir -p "$HOME/.pip"
  printf "$text" > "$HOME/.pip/pip.conf"
  set_up
  works "$text"
  says "$text" "$index"
done
mv "$HOME/.pip/pip.conf" "$HOME/real" && ln -s ../real "$HOME/.pip/pip.conf"
set_up
[ -L "$HOME/.pip/pip.conf" ] || fail "the link is a file now"
says 'a link' "$index"
unchanged 'no home' HOME=/nowhere
cover "$HOME" 1 mode=755
unchanged 'a read-only home'
uncover "$HOME"
set_up "unique_id=$hostile"
works 'a hostile name'
[ "$(echo /canary*)" = '/canary*' ] || fail "somebody ran a host name"

# npm.
script node
registry=$URL/admin/demo/npm/
faults config_file.npmrc
printf '; mine\nregistry = https://old.example.com/\n@acme:registry=https://acme.example.com/\n//%s/admin/demo/npm/:_authToken=old\nloglevel=warn' "$host" > "$HOME/.npmrc"
chmod 644 "$HOME/.npmrc"
faults config_file.npmrc
for shell in sh bash; do
  set_up
  works 'npm'
  expect "$registry" npm config get registry
  expect 'https://acme.example.com/' npm config get @acme:registry
  expect 'warn' npm config get loglevel
done
grep -q '; mine' "$HOME/.npmrc" || fail "it lost a comment"
[ "$(grep -c _authToken "$HOME/.npmrc")" = 1 ] || fail "two tokens: $(cat "$HOME/.npmrc")"
[ "$(stat -c %a "$HOME/.npmrc")" = 600 ] || fail "everybody may read the token"
set_up scope=@acme
works 'a scope'
expect "$registry" npm config get @acme:registry
cp "$HOME/.npmrc" first
set_up scope=@acme
cmp first "$HOME/.npmrc" || fail "another run writes another file"
unchanged 'a hostile scope' "scope=$hostile"
unchanged 'a scope with a line break' $'scope=@acme\nregistry=https://evil.example.com/'
unchanged 'no scope' scope=acme
set_up "unique_id=$hostile" scope=@acme
works 'a hostile name'
[ "$(echo /canary*)" = '/canary*' ] || fail "somebody ran a host name"
