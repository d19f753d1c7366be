# needs: dnf rpmbuild rpm curl
# releases: trixie sid
. "$LIB"
el9=240
create_repository
no_match='Unable to find a match:'
dnf=(dnf --releasever=9 --disableplugin=local -y)
downloads=--source
if command -v dnf5 > /dev/null; then
  downloads=--srpm
  no_match='No match for argument:'
  dnf=(dnf5 --releasever=9 --disable-plugin=local -y)
  rm -f "$(command -v zypper)"
elif [ -z "${SANDBOX_BASE:-}" ]; then
  # For download. Debian does not let it stand beside zypper.
  apt-get install -y -qq --no-install-recommends dnf-plugins-core > install.log 2>&1 || fail "$(cat install.log)"
else
  downloads=
fi
rm -f /etc/yum.repos.d/*
mkdir -p /etc/dnf
cat > /etc/dnf/dnf.conf << 'CONF'
[main]
gpgcheck=0
keepcache=0
retries=1
install_weak_deps=1
CONF

# An empty repository is a valid one, and its signature is checked.
install_script rpm el 9
grep -q '^repo_gpgcheck=1$' /etc/yum.repos.d/admin_demo.repo || fail "the metadata is not checked"
expect 'Metadata cache created' "${dnf[@]}" makecache --refresh
refuse "$no_match hello-one" "${dnf[@]}" install hello-one

make_rpm hello-one 1.0
push $el9 hello-one-1.0-1.noarch.rpm
push $el9 hello-one-1.0-1.src.rpm
make_rpm hello-weak 1.0
push $el9 hello-weak-1.0-1.noarch.rpm
make_rpm hello-two 2.0~rc1+b1 $'Epoch: 1\nRequires: hello-one >= 1.0\nRequires(post): /usr/bin/hello-one\nRecommends: hello-weak\nProvides: hello(virtual) = 3:4.5-6\nSupplements: hello-never'
push $el9 hello-two-2.0~rc1+b1-1.noarch.rpm
expect 'hello-two' "${dnf[@]}" --refresh search hello-two
expect 'Complete!' "${dnf[@]}" install 'hello(virtual)'
expect 'hello-two 2.0~rc1+b1' hello-two
expect 'hello-one 1.0' hello-one
expect 'hello-weak 1.0' hello-weak # because it is recommended
expect '1:2.0~rc1+b1-1' rpm -q --queryformat '%{EPOCHNUM}:%{VERSION}-%{RELEASE}' hello-two

# The documents beside primary.
expect '/usr/bin/hello-two' "${dnf[@]}" repoquery -l hello-two
expect 'A change with <angle> brackets & more.' "${dnf[@]}" repoquery --changelogs hello-two
expect 'hello-two' "${dnf[@]}" provides /usr/bin/hello-two
expect 'hello(virtual) = 3:4.5-6' "${dnf[@]}" repoquery --provides hello-two
expect 'hello-weak' "${dnf[@]}" repoquery --recommends hello-two
expect 'hello-never' "${dnf[@]}" repoquery --supplements hello-two

# An upgrade.
make_rpm hello-one 1.1
push $el9 hello-one-1.1-1.noarch.rpm
expect 'Complete!' "${dnf[@]}" --refresh upgrade hello-one
expect 'hello-one 1.1' hello-one

# The source package.
expect 'hello-one-0:1.0-1.src' "${dnf[@]}" repoquery hello-one.src
if [ -n "$downloads" ]; then
  mkdir downloaded
  expect 'hello-one-' "${dnf[@]}" download $downloads --destdir downloaded hello-one-1.0
  cmp hello-one-1.0-1.src.rpm downloaded/hello-one-1.0-1.src.rpm || fail "the source package is another file"
fi

# A removed package.
expect 'Complete!' "${dnf[@]}" remove hello-weak hello-two
remove el/9 hello-weak-1.0-1.noarch.rpm
"${dnf[@]}" --refresh makecache > /dev/null
refuse "$no_match hello-weak" "${dnf[@]}" install hello-weak

# rpm itself knows the key, and the metadata is signed by it.
read_repository el/9/x86_64/repodata/repomd.xml > repomd.xml
read_repository el/9/x86_64/repodata/repomd.xml.asc > repomd.xml.asc
read_repository el/9/x86_64/repodata/repomd.xml.key > key
export GNUPGHOME=$work/gnupg
mkdir -m 700 "$GNUPGHOME"
gpg -q --import key
gpg -q --verify repomd.xml.asc repomd.xml || fail "the signature is not good"

if [ "$PRIVATE" = 1 ]; then
  repo=/etc/yum.repos.d/admin_demo.repo
  [ "$(stat -c %a $repo)" = 600 ] || fail "everybody may read the token in $repo"
  if grep '://[0-9a-f]*:' $repo; then fail "dnf writes the token in this URL into its logs"; fi
  cp $repo saved
  sed -i 's|^username=.*|username=0123456789abcdef0123456789abcdef0123456789abcdef|' $repo
  refuse '404' "${dnf[@]}" makecache --refresh
  sed -i '/^username=/d; /^password=/d' $repo
  refuse '401' "${dnf[@]}" makecache --refresh
  cp saved $repo
  expect 'Metadata cache created' "${dnf[@]}" makecache --refresh
fi
