# needs: apt-get dpkg-deb dnf curl
# The test sets the clock of the server as the script asks.
. "$LIB"
server_clock() {
  curl -sSf "$CONTROL/?offset=$1"
  sleep 0.2
}

# soon COMMAND...: it succeeds within half a minute.
soon() {
  local out
  for _ in $(seq 60); do
    if out=$("$@" 2>&1); then return 0; fi
    sleep 0.5
  done
  fail "$* still fails: $out"
}

# The settings of this machine come after APT_CONFIG, and may not look at dates.
update=(apt-get -o Acquire::Check-Date=true update)
updates() { out=$("${update[@]}" 2>&1) && ! grep '^[WE]:' <<< "$out"; }
knows() { updates && apt-cache policy hello | grep -qF "Candidate: $1"; }

jammy=237
el9=240
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/yum.repos.d/*
export APT_CONFIG=$work/apt.conf
printf 'Acquire::Languages "none";\n' > "$APT_CONFIG"
create_repository
make_deb hello 1.0 all
push $jammy hello_1.0_all.deb
install_script deb ubuntu jammy
install_script rpm el 9
soon knows 1.0
dnf=(dnf --releasever=9 -q -y --refresh)
expect '' "${dnf[@]}" makecache

# A day ahead: apt refuses what is not valid yet, until the clock is put right.
server_clock 24h
make_deb hello 2.0 all
push $jammy hello_2.0_all.deb
expect '' "${dnf[@]}" makecache
refuse 'not valid yet' "${update[@]}"
server_clock 0s
soon knows 2.0
make_deb hello 3.0 all
push $jammy hello_3.0_all.deb
soon knows 3.0

# A day behind: machines keep what they have, without an error.
server_clock -24h
make_deb hello 4.0 all
push $jammy hello_4.0_all.deb
updates || fail "$out"
expect '' "${dnf[@]}" makecache
server_clock 0s
soon knows 4.0
expect '' apt-get install -y hello
