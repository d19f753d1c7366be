# needs: zypper rpmbuild rpm curl
# releases: sid
. "$LIB"
leap=282 # opensuse/15.6
create_repository
# The script takes the first package manager it finds.
rm -f "$(command -v dnf)" "$(command -v dnf5)" "$(command -v yum)" /etc/zypp/repos.d/* 2> /dev/null || true
hash -r
mkdir -p /etc/zypp/repos.d
zypper=(zypper --non-interactive)

install_script rpm opensuse 15.6
grep -q '^repo_gpgcheck=1$' /etc/zypp/repos.d/admin_demo.repo || fail "the metadata is not checked"
expect 'All repositories have been refreshed' "${zypper[@]}" refresh --force
refuse "'hello-one' not found" "${zypper[@]}" install hello-one

# zypper of today wants the system to have a package glibc.
make_rpm glibc 99
force=
rpm --help | grep -q -e --force-debian && force=--force-debian
rpm $force --install --nodeps glibc-99-1.noarch.rpm

make_rpm hello-one 1.0
push $leap hello-one-1.0-1.noarch.rpm
push $leap hello-one-1.0-1.src.rpm
make_rpm hello-two 2.0+b1 $'Epoch: 1\nRequires: hello-one >= 1.0\nSuggests: hello-never\nProvides: hello(virtual) = 3:4.5-6'
push $leap hello-two-2.0+b1-1.noarch.rpm
expect 'All repositories have been refreshed' "${zypper[@]}" refresh
expect 'hello-two' "${zypper[@]}" search hello
"${zypper[@]}" install 'hello-two' || fail "zypper cannot install"
expect 'hello-two 2.0+b1' hello-two
expect 'hello-one 1.0' hello-one
expect 'hello-two' "${zypper[@]}" search --provides 'hello(virtual)'

make_rpm hello-one 1.1
push $leap hello-one-1.1-1.noarch.rpm
"${zypper[@]}" refresh
"${zypper[@]}" update
expect 'hello-one 1.1' hello-one

# The source package.
"${zypper[@]}" --pkg-cache-dir "$work/cache" source-install --download-only hello-one || fail "zypper cannot get the source"
cmp hello-one-1.0-1.src.rpm "$(find "$work/cache" -name 'hello-one-1.0-1.src.rpm')" || fail "the source package is another file"

remove opensuse/15.6 hello-two-2.0+b1-1.noarch.rpm
"${zypper[@]}" remove hello-two
"${zypper[@]}" refresh
refuse "'hello-two' not found" "${zypper[@]}" install hello-two

if [ "$PRIVATE" = 1 ]; then
  credentials=/etc/zypp/credentials.d/admin_demo
  [ "$(stat -c %a $credentials)" = 600 ] || fail "everybody may read the token in $credentials"
  cp $credentials saved
  sed -i 's|^username=.*|username=0123456789abcdef0123456789abcdef0123456789abcdef|' $credentials
  refuse 'is invalid' "${zypper[@]}" refresh --force
  cp saved $credentials
  "${zypper[@]}" refresh --force
fi
