# What the script for apt does to a machine, and what it leaves alone.
# needs: apt-get dpkg-deb curl
# releases: this bullseye trixie sid
. "$LIB"
. "${LIB%/*}/machine.sh"
state=/etc
create_repository
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/auth.conf.d/*
rmdir /etc/apt/keyrings 2> /dev/null || true
printf 'Acquire::Retries "0";\nAcquire::Languages "none";\n' > /etc/apt/apt.conf.d/99test
make_deb hello 1.0 all
push 237 hello_1.0_all.deb
script deb
list=/etc/apt/sources.list.d/admin_demo.list keyring=/etc/apt/keyrings/admin_demo-archive-keyring.gpg auth=/etc/apt/auth.conf.d/admin_demo.conf
jammy=(os=ubuntu dist=jammy)
reads() { apt-get update -o APT::Update::Error-Mode=any > out 2>&1 && ! grep -q '^[WE]:' out || fail "$1: apt-get update: $(cat out)"; }

faults() {
  for path in tokens.text config_file.list apt_auth_conf gpgkey summary.text InRelease; do
    for kind in portal empty cut-30; do spoiled $path $kind "${jammy[@]}"; done
  done
  for kind in tokens.text=cut-47 tokens.text=401 tokens.text=404 config_file.list=cut-150 config_file.list=cut-300 config_file.list=404 \
    gpgkey=longer gpgkey=shorter config_file.list=shorter tokens.text=longer summary.text=shorter gpgkey=cut-900 gpgkey=cut-1200 gpgkey=loop gpgkey=204 apt_auth_conf=cut-60 InRelease=cut-900 InRelease=500; do
    spoiled ${kind%=*} ${kind#*=} "${jammy[@]}"
  done
}

# A machine that was not set up.
faults
spoiled gpgkey stall "${jammy[@]}"
spoiled gpgkey 503 "${jammy[@]}"
[ ! -e $list ] || fail "there is a list"

# It is killed while it replaces its files. Then apt reads what there is.
for at in 1 2 3; do
  killed $at "${jammy[@]}"
  reads "killed at $at"
  rm -f $list $keyring $auth
done
killed 2 "${jammy[@]}"
for at in 1 2 3; do
  forbidden $at "${jammy[@]}"
  reads "forbidden at $at"
done
rm -f $list $keyring $auth

for shell in sh bash; do
  set_up "${jammy[@]}"
  works "$shell"
  reads "$shell"
done
[[ $out == *'Packages of admin/demo for ubuntu/jammy can be installed.'* ]] || fail "it says $out"
expect 'Setting up hello' apt-get install -y hello
[ "$(stat -c %a $list $keyring $auth | tr '\n' ' ')" = '644 644 600 ' ] || fail "modes: $(ls -l $list $keyring $auth)"
faults
reads "after the faults"

argued "${jammy[@]}"

# Again, nothing changes but times.
cat $list $keyring $auth > first
set_up "${jammy[@]}"
works again
cat $list $keyring $auth | cmp first - || fail "another run writes other files"

# What stands there from another server goes.
sed -i "s|$URL|https://packagecloud.io|" $list
echo "machine packagecloud.io/admin/demo/ login 0 password x" > $auth
echo old > $keyring
set_up "${jammy[@]}"
works "after packagecloud.io"
cat $list $keyring $auth | cmp first - || fail "it leaves something of another server"

# Two keys for one repository: apt would refuse all of its lists.
rm $list
echo "deb [signed-by=/usr/share/keyrings/mine.gpg] $URL/admin/demo/ubuntu/ jammy main" > /etc/apt/sources.list.d/mine.list
unchanged 'a list with another key' "${jammy[@]}"
[[ $out == *'Signed-By'* ]] || fail "it does not say why: $out"
rm /etc/apt/sources.list.d/mine.list

# Odd machines.
rm -f "$(command -v gpg)"
mv "$(command -v hostname)" hostname.off 2> /dev/null || true
hash -r
for odd in unique_id= LC_ALL=de_DE.UTF-8 LC_ALL=xx HOME= POSIXLY_CORRECT=1; do
  set_up "${jammy[@]}" "$odd"
  works "$odd"
done
(umask 077 && rm -rf /etc/apt/keyrings && set_up "${jammy[@]}" && works "umask 077" && reads "umask 077")
status=0 && out=$(env -i PATH="$PATH" "${jammy[@]}" bash -c "set -eu; . '$work/script'; echo after" 2>&1) || status=$?
[ "$status" = 0 ] && [[ $out == *after ]] || fail "sourced: $out"
cover "$work/tmp" 8 mode=755
set_up "${jammy[@]}"
works noexec
uncover "$work/tmp"

# No place.
cover "$work/tmp" 0 size=4k,mode=755
unchanged 'a full /tmp' "${jammy[@]}"
uncover "$work/tmp"
cover /etc/apt/sources.list.d 1 mode=755
unchanged 'a read-only /etc' "${jammy[@]}"
uncover /etc/apt/sources.list.d
cover /etc/apt/sources.list.d 0 size=4k,mode=755
head -c 4096 /dev/zero > /etc/apt/sources.list.d/full 2> /dev/null || true
unchanged 'a full disk' "${jammy[@]}"
uncover /etc/apt/sources.list.d

# Hostile and odd names.
for name in os dist; do unchanged "$name" "${jammy[@]}" "$name=$hostile"; done
unchanged 'both' "os=$hostile" "dist=$hostile"
unchanged 'os alone' os=ubuntu
unchanged 'a proxy that is not there' "${jammy[@]}" http_proxy=http://127.0.0.1:9
without curl "${jammy[@]}"
rm /etc/os-release
printf '%s\n' 'ID="ubuntu$(touch /canary-d)"' 'VERSION_CODENAME=`touch /canary-e`' 'touch /canary-f' > /etc/os-release
unchanged 'os-release'
printf "NAME=x\r\nID='ubuntu'\r\nVERSION_CODENAME=\"jammy\"\r\n" > /etc/os-release
set_up "unique_id=$hostile"
works 'a hostile host name'
[ ! -e /canary ] && [ "$(echo /canary*)" = '/canary*' ] || fail "somebody ran a host name"

# A distribution without packages.
set_up os=debian dist=bookworm
works 'no packages'
[[ $out == *'admin/demo has no package for debian/bookworm yet. It has some for ubuntu/jammy.'* ]] || fail "it says $out"
reads 'no packages'
