# needs: apt-get dpkg-deb dpkg-source curl
# releases: bullseye trixie sid
. "$LIB"
jammy=237
create_repository

# apt sees only what this script configures.
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
export APT_CONFIG=$work/apt.conf
printf 'Acquire::Retries "0";\nAcquire::Languages "none";\n' > "$APT_CONFIG"

# quietly runs apt-get, which must not warn.
quietly() {
  local out
  out=$(apt-get "$@" 2>&1) || fail "apt-get $*: $out"
  if grep -q '^[WE]:' <<< "$out"; then fail "apt-get $* warns: $out"; fi
}

# An empty repository is a valid one.
install_script deb ubuntu jammy
quietly update
refuse 'Unable to locate package hello' apt-get install -y hello-one

# Every compression of this dpkg, an epoch, a plus sign and a tilde.
make_deb hello-one 1.0 all gzip
push $jammy hello-one_1.0_all.deb
zstd=zstd
dpkg-deb --help | grep -q zstd || zstd=xz
make_deb hello-two 1:2.0~rc1+b1-1 amd64 $zstd $'Depends: hello-one (>= 1.0), libc6 | libc0.1\nSection: misc\nPriority: optional\n'
push $jammy hello-two_2.0~rc1+b1-1_amd64.deb
make_deb hello-three 3 amd64 none
push $jammy hello-three_3_amd64.deb
make_deb hello-arm 1 arm64 xz
push $jammy hello-arm_1_arm64.deb
quietly update
quietly install -y hello-two hello-three
expect 'hello-two 1:2.0~rc1+b1-1' hello-two
expect 'hello-one 1.0' hello-one
expect 'hello-three 3' hello-three
refuse 'Unable to locate package hello-arm' apt-get install -y hello-arm

# The file with a foreign architecture is there for those who want it.
dpkg --add-architecture arm64
dpkg --add-architecture s390x # has no packages but those of "all"
quietly update
expect 'Candidate: 1' apt-cache policy hello-arm:arm64
dpkg --remove-architecture s390x
dpkg --remove-architecture arm64

# apt pins by the fields of Release.
expect "v=1,o=${URL#http://}/admin/demo,a=jammy,n=jammy,l=demo,c=main" apt-cache policy

# An upgrade, by the digest that the old index named, and by the new one.
curl_options=(-sSfL)
if [ "$PRIVATE" = 1 ]; then curl_options+=(-u "$(read_token):"); fi
old=$(read_repository ubuntu/dists/jammy/InRelease | awk '$3 == "main/binary-amd64/Packages.gz" {print $1}')
make_deb hello-one 1.1 all
push $jammy hello-one_1.1_all.deb
new=$(read_repository ubuntu/dists/jammy/InRelease | awk '$3 == "main/binary-amd64/Packages.gz" {print $1}')
[ "$old" != "$new" ] || fail "a push did not change the index"
for digest in "$old" "$new"; do
  for architecture in amd64 arm64; do
    if [ "$digest" = "$(curl "${curl_options[@]}" "$URL/admin/demo/ubuntu/dists/jammy/main/binary-$architecture/by-hash/SHA256/$digest" | sha256sum | cut -d' ' -f1)" ]; then continue; fi
    fail "by-hash/SHA256/$digest is not what it says"
  done
done
out=$(apt-get update -o Debug::Acquire::http=1 2>&1)
grep -q 'GET .*/by-hash/SHA256/' <<< "$out" || fail "apt does not fetch by hash: $out"
quietly upgrade -y
expect 'hello-one 1.1' hello-one

# Source packages. Small root file systems cannot make them.
if command -v dpkg-source > /dev/null; then
  mkdir -p source/hello-src-1.0/debian/source
  printf '3.0 (quilt)\n' > source/hello-src-1.0/debian/source/format
  printf 'Source: hello-src\nMaintainer: Nobody <nobody@example.com>\nBuild-Depends: hello-one\n\nPackage: hello-src\nArchitecture: all\nDescription: test\n' > source/hello-src-1.0/debian/control
  printf 'hello-src (1.0-1) unstable; urgency=low\n\n  * Test.\n\n -- Nobody <nobody@example.com>  Mon, 02 Jan 2023 00:00:00 +0000\n' > source/hello-src-1.0/debian/changelog
  (cd source && echo hello > hello-src-1.0/file && tar czf hello-src_1.0.orig.tar.gz --exclude=debian hello-src-1.0 && dpkg-source -b hello-src-1.0 > /dev/null)
  push $jammy source/hello-src_1.0-1.dsc -F 'package[source_files][]=@source/hello-src_1.0.orig.tar.gz' -F 'package[source_files][]=@source/hello-src_1.0-1.debian.tar.xz'
  quietly update
  mkdir unpacked
  (cd unpacked && chmod 777 . && expect 'extracting' apt-get source hello-src && [ "$(cat hello-src-1.0/file)" = hello ]) || fail "the source is not what was packed"
fi

# What is pushed is served as it is.
cmp hello-two_*.deb <(read_repository ubuntu/pool/jammy/main/h/hello-two/hello-two_2.0~rc1+b1-1_amd64.deb) || fail "the pool has another file"

# A removed package.
quietly remove -y hello-three
remove ubuntu/jammy hello-three_3_amd64.deb
quietly update
refuse 'hello-three' apt-get install -y hello-three

# The same name again, with other bytes.
make_deb hello-three 3 amd64 gzip
push $jammy hello-three_3_amd64.deb
quietly update
quietly install -y hello-three

# A package that was tried in another repository, and is promoted from there.
api repos.json -d 'repository[name]=testing&repository[private]=1' > /dev/null
export PACKAGECLOUD_TOKEN=$TOKEN PACKAGECLOUD_URL=$URL
make_deb hello-tried 1.0 all
expect 'success!' "$BIN/package_cloud" push --wait admin/testing/ubuntu/jammy hello-tried_1.0_all.deb
before=$(generation ubuntu/jammy)
expect 'done!' "$BIN/package_cloud" promote admin/testing/ubuntu/jammy hello-tried_1.0_all.deb admin/demo
refuse 'filename: not found' "$BIN/package_cloud" promote admin/testing/ubuntu/jammy hello-tried_1.0_all.deb admin/demo
published ubuntu/jammy "$before" || fail 'hello-tried was promoted, and is not listed'
quietly update
quietly install -y hello-tried
expect 'hello-tried 1.0' hello-tried

if [ "$PRIVATE" = 1 ]; then
  # Nobody gets in without a token, or with a wrong one.
  auth=/etc/apt/auth.conf.d/admin_demo.conf
  [ "$(stat -c %a $auth)" = 600 ] || fail "everybody may read the token in $auth"
  cp $auth saved
  rm $auth
  refuse '401  Unauthorized' apt-get update
  sed 's/login [0-9a-f]*/login 0123456789abcdef0123456789abcdef0123456789abcdef/' saved > $auth
  refuse '404  Not Found' apt-get update
  cp saved $auth
  quietly update
  # Revoking the master token ends the read tokens that it made.
  api "repos/admin/demo/master_tokens/$(master_token)" -X DELETE
  refuse '404  Not Found' apt-get update
fi
