# Needs BIN/packagecloud-ctl, and the data folder of the server.
. "$LIB"
jammy=237
create_repository
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
mkdir off
rm -f /etc/apt/apt.conf.d/90no-contents # of install-test-tools
mv /etc/apt/apt.conf.d/50apt-file.conf off/
install_script deb ubuntu jammy

# quietly COMMAND...: it must not warn.
quietly() {
  local out
  out=$("$@" 2>&1) || fail "$*: $out"
  if grep -q '^[WE]:' <<< "$out"; then fail "$* warns: $out"; fi
}

# apt_file TEXT ARGUMENTS...: what apt-file says, in any order.
apt_file() {
  local want=$1 out
  shift
  out=$(apt-file "$@" 2>&1) || true
  [ "$(sort <<< "$out")" = "$want" ] || fail "apt-file $*: $out"
}

# listed ARCHITECTURE TEXT: waits until Contents says so.
listed() {
  for _ in $(seq 300); do
    if read_repository "ubuntu/dists/jammy/main/Contents-$1" 2> /dev/null | grep -qF "$2"; then return 0; fi
    sleep 0.1
  done
  fail "Contents-$1 does not list $2"
}

make_deb hello-one 1.0 all
push $jammy hello-one_1.0_all.deb
make_deb hello-two 1.0 amd64 zstd $'Section: misc\n'
push $jammy hello-two_1.0_amd64.deb
if read_repository ubuntu/dists/jammy/InRelease | grep -q Contents; then fail "Contents are there before anybody chose them"; fi

expect 'Contents of admin/demo are on.' "$BIN/packagecloud-ctl" set-contents admin/demo on
listed all hello-one
listed amd64 hello-two

# apt fetches none of it without apt-file.
quietly apt-get update
if ls /var/lib/apt/lists/*Contents* 2> /dev/null; then fail "apt fetches Contents that nobody wants"; fi
mv off/50apt-file.conf /etc/apt/apt.conf.d/
quietly apt-file update
apt_file $'hello-one: /usr/bin/hello-one\nhello-two: /usr/bin/hello-two' search bin/hello-
apt_file 'hello-two: /usr/bin/hello-two' list hello-two

# Files that come later stand behind those that sort after them, and a file may
# be in several packages.
mkdir -p "$work/build/a/DEBIAN" "$work/build/a/opt/a folder" "$work/build/a/usr/bin"
touch "$work/build/a/opt/a folder/a file" "$work/build/a/usr/bin/hello-two"
ln -s hello-two "$work/build/a/usr/bin/hello-link"
printf 'Package: a\nVersion: 1\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.com>\nSection: net\nDescription: a test\n' > "$work/build/a/DEBIAN/control"
dpkg-deb --build --root-owner-group "$work/build/a" "$work/a_1_amd64.deb" > /dev/null
push $jammy a_1_amd64.deb
listed amd64 'net/a'
quietly apt-file update
apt_file $'a: /usr/bin/hello-link\na: /usr/bin/hello-two\nhello-one: /usr/bin/hello-one\nhello-two: /usr/bin/hello-two' search bin/hello-
apt_file 'a: /opt/a folder/a file' search 'a folder'
apt_file $'a: /opt/a folder/a file\na: /usr/bin/hello-link\na: /usr/bin/hello-two' list a

# What is deleted is gone at once.
remove ubuntu/jammy hello-two_1.0_amd64.deb
quietly apt-file update
apt_file $'a: /usr/bin/hello-link\na: /usr/bin/hello-two\nhello-one: /usr/bin/hello-one' search bin/hello-

# Nobody chooses them any more.
before=$(generation ubuntu/jammy)
expect 'Contents of admin/demo are off.' "$BIN/packagecloud-ctl" set-contents admin/demo off
published ubuntu/jammy "$before" || fail 'Contents are off, and still there'
if read_repository ubuntu/dists/jammy/InRelease | grep -q Contents; then fail "Contents are still named"; fi
quietly apt-get update
apt_file 'E: The cache is empty. You need to run "apt-file update" first.' search bin/hello-
