# What the script for dnf and zypper does to a machine, and what it leaves alone.
# needs: dnf zypper rpmbuild rpm curl
# releases: this trixie sid
. "$LIB"
. "${LIB%/*}/machine.sh"
state=/etc
create_repository
rm -f /etc/yum.repos.d/* /etc/zypp/repos.d/*
make_rpm hello 1.0
push 240 hello-1.0-1.noarch.rpm
script rpm
el=(os=el dist=9)
token() { grep -Eho '[0-9a-f]{48}' "$@" | sort -u; }

# only PROGRAM: no other package manager for rpm is there.
managers='dnf dnf5 yum microdnf zypper'
only() {
  for m in $managers; do
    if [ -e "/usr/bin/$m.hidden" ]; then mv "/usr/bin/$m.hidden" "/usr/bin/$m"; fi
    if [ "$1" != all ] && [ "$m" != "$1" ] && [ -e "/usr/bin/$m" ]; then mv "/usr/bin/$m" "/usr/bin/$m.hidden"; fi
  done
  hash -r
}

# reads PROGRAM: without questions.
reads() {
  echo "+ $1 reads" >&2
  case $1 in
    zypper)
      expect 'refreshed' zypper --non-interactive refresh --force < /dev/null
      expect 'hello' zypper --non-interactive search hello < /dev/null
      ;;
    *)
      expect 'etadata cache created' "$1" makecache --refresh < /dev/null
      expect 'hello' "$1" repoquery hello < /dev/null
      expect '' "$1" -y install hello < /dev/null
      expect 'hello 1.0' hello
      expect '' "$1" -y remove hello < /dev/null
      ;;
  esac
}

forget() {
  rm -rf /etc/yum.repos.d/admin_demo.repo /etc/zypp/repos.d/* /etc/zypp/credentials.d/* /etc/pki/rpm-gpg/RPM-GPG-KEY-admin_demo /var/cache/dnf /var/cache/libdnf5 /var/cache/zypp /var/log/dnf* /var/log/zypp*
}

faults() {
  for path in tokens.text config_file.repo gpgkey; do
    for kind in portal empty cut-30; do spoiled $path $kind "${el[@]}"; done
  done
  for kind in config_file.repo=cut-300 config_file.repo=404 gpgkey=cut-900 gpgkey=loop gpgkey=longer gpgkey=shorter config_file.repo=shorter; do spoiled ${kind%=*} ${kind#*=} "${el[@]}"; done
  for kind in portal cut-300 401; do spoiled repomd.xml $kind "${el[@]}"; done
}

for manager in dnf dnf5 zypper; do
  command -v $manager > /dev/null || continue
  only $manager
  forget
  # dnf may be told to go on without a repository that it cannot read.
  mkdir -p /etc/dnf
  printf '[main]\nskip_if_unavailable=1\nretries=1\n' > /etc/dnf/dnf.conf
  faults
  set_up "${el[@]}"
  works $manager
  reads $manager
  file=/etc/yum.repos.d/admin_demo.repo
  if [ $manager = zypper ]; then file=/etc/zypp/repos.d/admin_demo.repo; fi
  if grep -Eq '[0-9a-f]{48}' $file; then
    [ "$(stat -c %a $file)" = 600 ] || fail "everybody may read the token in $file"
  fi
  if grep -Eq '://[0-9a-f]{48}' $file; then fail "the token stands in a URL: $(cat $file)"; fi
  read_token=$(token /etc/yum.repos.d/*.repo /etc/zypp/credentials.d/* 2> /dev/null) || true
  [ -n "$read_token" ] || fail "there is no token"
  if find /var/log /var/cache /var/lib/zypp /var/lib/dnf -type f -perm -o+r 2> /dev/null | xargs -r grep -l "$read_token"; then fail "$manager wrote the token where everybody reads it"; fi
  faults
  reads $manager
  argued "${el[@]}"
  cat $file > first
  set_up "${el[@]}"
  works "$manager again"
  cmp $file first || fail "another run writes another file"
  for at in 1 2; do
    forget
    [ $at = 1 ] || [ $manager != dnf ] || continue # it has one file
    killed $at "${el[@]}"
    if [ -e $file ]; then reads $manager; fi
  done
  set_up "${el[@]}"
  works "$manager, killed before"
done

# The one that belongs to the system is taken, where there are several.
only all
forget
if command -v zypper > /dev/null; then
  rm /etc/os-release
  printf 'ID="opensuse-leap"\nVERSION_ID="15.6"\n' > /etc/os-release
  if command -v dnf || command -v dnf5; then
    set_up
    works 'openSUSE'
    [ -e /etc/zypp/repos.d/admin_demo.repo ] || fail "openSUSE was not set up for zypper: $out"
    [[ $out == *'has no package for opensuse/15.6 yet. It has some for el/9.'* ]] || fail "it says $out"
  fi
fi
forget
if command -v dnf || command -v dnf5; then
  set_up "${el[@]}" > /dev/null
  rm -f /etc/os-release
  printf 'ID="rocky"\nVERSION_ID="9.4"\n' > /etc/os-release
  set_up "unique_id=$hostile"
  works 'Rocky Linux with a hostile name'
  [ -e /etc/yum.repos.d/admin_demo.repo ] || fail "Rocky Linux was not set up for dnf: $out"
fi
for name in os dist; do unchanged "$name" "${el[@]}" "$name=$hostile"; done
printf 'ID="rocky$(touch /canary-d)"\nVERSION_ID=`touch /canary-e`\n' > /etc/os-release
unchanged 'os-release'
cover /etc/yum.repos.d 1 mode=755
unchanged 'a read-only /etc' "${el[@]}"
uncover /etc/yum.repos.d
without curl "${el[@]}"
forbidden 1 "${el[@]}"
only none
unchanged 'no package manager' "${el[@]}"
