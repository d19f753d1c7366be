# needs: curl wget aria2c sha256sum
# direct: it is about statuses and conditions that a redirect changes.
. "$LIB"
create_repository
base=$URL/admin/demo/generic
head -c 3000000 /dev/urandom > tool.bin
digest=$(sha256sum tool.bin | cut -d' ' -f1)
put() { curl -sS --fail-with-body -u "$TOKEN:" -T "$1" "$2" "${@:3}"; }

# Nobody writes without an API token, and nothing wrong is kept.
refuse 401 curl -sS --fail-with-body -w '%{http_code}' -T tool.bin "$base/tool/1.0/tool.bin"
refuse 'another digest' put tool.bin "$base/tool/1.0/tool.bin" -H "X-Checksum-Sha256: ${digest//[0-9a-f]/0}"
put tool.bin "$base/tool/1.0/tool.bin" -H "X-Checksum-Sha256: $digest" -H 'If-None-Match: *'
refuse 'condition' put tool.bin "$base/tool/1.0/tool.bin" -H 'If-None-Match: *'
put tool.bin "$base/tool/1.0/tool.bin" # the same again

# How each client brings a read token, where it needs one.
curl_user=() wget_user=()
if [ "$PRIVATE" = 1 ]; then
  refuse 401 curl -sSf "$base/tool/1.0/tool.bin"
  refuse 404 curl -sSf -u 0123456789abcdef0123456789abcdef0123456789abcdef: "$base/tool/1.0/tool.bin"
  printf 'machine %s login %s password irrelevant\n' "$(sed 's|http://||; s|:.*||' <<< "$URL")" "$(read_token)" > "$HOME/.netrc"
  chmod 600 "$HOME/.netrc"
  curl_user=(--netrc) wget_user=(--auth-no-challenge)
  expect 200 curl -sS -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $(read_token)" "$base/tool/1.0/tool.bin"
fi

# A transfer that is cut in the middle goes on where it stopped.
partial() { head -c 1000000 tool.bin > "$1"; }
mkdir got
partial got/curl
curl -sSf "${curl_user[@]}" -C - -o got/curl "$base/tool/1.0/tool.bin"
curl -sSf "${curl_user[@]}" "$base/tool/1.0/tool.bin" 2> /dev/null | head -c 1234567 > got/cut # hangs up
curl -sSf "${curl_user[@]}" -C - -o got/cut "$base/tool/1.0/tool.bin"
partial got/tool.bin
wget -q "${wget_user[@]}" -c -P got "$base/tool/1.0/tool.bin"
mv got/tool.bin got/wget
aria2c -q --netrc-path="$HOME/.netrc" --no-netrc=false -x 4 -s 4 -k 1M -d got -o aria2 --checksum=sha-256="$digest" "$base/tool/1.0/tool.bin"
partial got/aria2c
aria2c -q --netrc-path="$HOME/.netrc" -c -d got -o aria2c "$base/tool/1.0/tool.bin"
for f in got/*; do
  cmp tool.bin "$f" || fail "$f is another file"
done

# Beside the file stands its digest; the file's own name comes along.
(cd got && cp curl tool.bin && curl -sSf "${curl_user[@]}" "$base/tool/1.0/tool.bin.sha256" | sha256sum -c --quiet -) || fail "the digest is another one"
(cd got && rm tool.bin && curl -sSf "${curl_user[@]}" -OJ "$base/tool/1.0/tool.bin" && cmp tool.bin ../tool.bin) || fail "the name is another one"

# What has not changed is not sent again.
expect 304 curl -sS "${curl_user[@]}" -o /dev/null -w '%{http_code}' -H "If-None-Match: \"$digest\"" "$base/tool/1.0/tool.bin"

# A file can be put in place of one that is known.
head -c 1000 /dev/urandom > other.bin
refuse 'already exists' put other.bin "$base/tool/1.0/tool.bin"
put other.bin "$base/tool/1.0/tool.bin" -H "If-Match: \"$digest\""
cmp other.bin <(curl -sSf "${curl_user[@]}" "$base/tool/1.0/tool.bin") || fail "the old file is still there"

# The API and package_cloud.
export PACKAGECLOUD_TOKEN=$TOKEN PACKAGECLOUD_URL=$URL
cp tool.bin 'model v2.bin'
expect 'success!' "$BIN/package_cloud" push admin/demo/anyfile/1 'model v2.bin'
refuse 'has already been taken' "$BIN/package_cloud" push admin/demo/anyfile/1 'model v2.bin'
cmp tool.bin <(curl -sSf "${curl_user[@]}" "$base/model%20v2.bin") || fail "what was pushed is another file"
expect 'done!' "$BIN/package_cloud" yank admin/demo/anyfile/1 'model v2.bin'
refuse 404 curl -sSf "${curl_user[@]}" "$base/model%20v2.bin"
curl -sSf -u "$TOKEN:" -X DELETE "$base/tool/1.0/tool.bin"
refuse 404 curl -sSf "${curl_user[@]}" "$base/tool/1.0/tool.bin"
