# The words of the scripts. They expect URL, TOKEN and BIN, and PRIVATE as 0 or
# 1; the repository is admin/demo.
work=$(mktemp -d)
cd "$work"
chmod 755 "$work" # apt reads files as _apt

# trust HOSTS: a name leads to the stand-in for CloudFront, whose authority is
# trusted.
trust() {
  local bundle=/etc/ssl/certs/ca-certificates.crt
  echo "$1" >> /etc/hosts
  echo "$AUTHORITY" >> $bundle
  export SSL_CERT_FILE=$bundle REQUESTS_CA_BUNDLE=$bundle NODE_EXTRA_CA_CERTS=$bundle
}
if [ -n "${HOSTS:-}" ]; then trust "$HOSTS"; fi

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# expect TEXT COMMAND...: the command succeeds and says TEXT.
expect() {
  local text=$1 out
  shift
  echo "+ $*" >&2
  out=$("$@" 2>&1) || fail "$* ended with $?: $out"
  [[ $out == *"$text"* ]] || fail "$* does not say \"$text\": $out"
}

# refuse TEXT COMMAND...: the command fails and says TEXT.
refuse() {
  local text=$1 out
  shift
  echo "+ ! $*" >&2
  if out=$("$@" 2>&1); then fail "$* succeeded: $out"; fi
  [[ $out == *"$text"* ]] || fail "$* does not say \"$text\": $out"
}

# only_this_server: clients can ask nothing but the servers of the test.
only_this_server() {
  export http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 no_proxy=127.0.0.1,127.0.0.2,127.0.0.3,localhost,.cloudfront.net
}

# going: the test in Go wants another round.
going() { [ "$(curl -sSf "$CONTROL/going")" = yes ]; }

# rounds TIMES FILE: there were enough of them, and each fetched the file from
# where the server sends clients.
rounds() {
  local n
  [ "$1" -gt 1 ] || fail "only $1 rounds"
  for _ in $(seq 50); do # the last request may not be in the log yet
    n=$(curl -sSf "$CONTROL/log" | grep -cF "/$2?") || true
    if [ "$n" -ge "$1" ]; then return 0; fi
    sleep 0.1
  done
  fail "$1 rounds, and $2 was fetched $n times"
}

# curl before 7.76 shows no body with an error.
fail_with_body=--fail-with-body
curl --help all 2>&1 | grep -q -e --fail-with-body || fail_with_body=--fail

api() {
  local path=$1
  shift
  curl -sS $fail_with_body -u "$TOKEN:" "$URL/api/v1/$path" "$@"
}

create_repository() {
  api repos.json -d "repository[name]=demo&repository[private]=$PRIVATE" > /dev/null
}

# push DISTRO_VERSION_ID FILE [CURL ARGUMENTS]: returns when it is installable.
push() {
  local id=$1 file=$2 out
  shift 2
  out=$(api "repos/admin/demo/packages.json?wait=indexed" -F "package[distro_version_id]=$id" -F "package[package_file]=@$file" "$@") || fail "push $file: $out"
  [[ $out == *'"indexed":true'* ]] || fail "push $file: $out"
}

# remove OS/VERSION FILE, and wait until the indexes know.
remove() {
  local before
  before=$(generation "$1")
  api "repos/admin/demo/$1/$2" -X DELETE > /dev/null
  published "$1" "$before" || fail "$2 was not taken out of the indexes"
}

# published OS/VERSION GENERATION: waits until the indexes are others.
published() {
  for _ in $(seq 200); do
    [ "$(generation "$1")" = "$2" ] || return 0
    sleep 0.1
  done
  return 1
}

# generation OS/VERSION: changes with every publication.
generation() {
  local os=${1%/*} version=${1#*/} file
  case $os in
    *rpm*|el|fedora|opensuse) file=$os/$version/noarch/repodata/repomd.xml ;;
    *) file=$os/dists/$version/InRelease ;;
  esac
  read_repository "$file" | sha256sum
}

# read_repository PATH: what a machine with a read token gets.
read_repository() {
  if [ "$PRIVATE" = 1 ]; then
    curl -sSfL -u "$(read_token):" "$URL/admin/demo/$1"
  else
    curl -sSfL "$URL/admin/demo/$1"
  fi
}

master_token() {
  api repos/admin/demo/master_tokens | sed 's/.*"name":"default","value":"\([0-9a-f]*\)".*/\1/'
}

read_token() {
  [ -s "$work/read_token" ] || curl -sSf -u "$(master_token):" "$URL/install/repositories/admin/demo/tokens.text" -d name=test > "$work/read_token"
  cat "$work/read_token"
}

# install_script TYPE OS DIST: as a user runs it.
install_script() {
  local url
  url=$(api repos/admin/demo.json | sed 's/.*"install_script":"\([^"]*\)".*/\1/')
  curl -fsSL "${url/:package_type/$1}" | os=$2 dist=$3 unique_id=machine bash
}

# make_deb NAME VERSION ARCHITECTURE [COMPRESSION [CONTROL LINES]]
make_deb() {
  local root=$work/build/$1
  rm -rf "$root"
  mkdir -p "$root/DEBIAN" "$root/usr/bin"
  printf '#!/bin/sh\necho "%s %s"\n' "$1" "$2" > "$root/usr/bin/$1"
  chmod 755 "$root/usr/bin/$1"
  printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.com>\n%sDescription: a test\n Nothing.\n .\n More.\n' \
    "$1" "$2" "$3" "${5:-}" > "$root/DEBIAN/control"
  dpkg-deb -Z"${4:-xz}" --build --root-owner-group "$root" "$work" > /dev/null
}

# make_rpm NAME VERSION [SPEC LINES]: a package of noarch and its source.
make_rpm() {
  mkdir -p "$work/rpmbuild/SPECS"
  cat > "$work/rpmbuild/SPECS/$1.spec" << SPEC
Name: $1
Version: $2
Release: 1
Summary: a test
License: Apache-2.0
URL: https://example.com/
BuildArch: noarch
AutoReqProv: no
${3:-}

%description
Nothing.

%install
mkdir -p %{buildroot}/usr/bin
printf '#!/bin/sh\necho "$1 $2"\n' > %{buildroot}/usr/bin/$1
chmod 755 %{buildroot}/usr/bin/$1

%files
/usr/bin/$1

%changelog
* Mon Jan 02 2023 Nobody <nobody@example.com> - $2-1
- A change with <angle> brackets & more.
SPEC
  rpmbuild -ba --define "_topdir $work/rpmbuild" --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
    "$work/rpmbuild/SPECS/$1.spec" > "$work/rpmbuild.log" 2>&1 || fail "$(cat "$work/rpmbuild.log")"
  mv "$work"/rpmbuild/RPMS/*.rpm "$work"/rpmbuild/SRPMS/*.rpm "$work"
}
