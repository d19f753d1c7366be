# How clients get along with redirects, row by row. WAY says where they lead: S3
# or CloudFront. CONTROL is the URL of what the test in Go offers.
. "$LIB"
jammy=237
el9=240
create_repository
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/yum.repos.d/*
token=$(read_token)

control() { curl -sSf -G "$CONTROL/$1" "${@:2}"; }

# asked TIMES EXPRESSION: so many lines of the log match, as soon as the last
# request is in it.
asked() {
  local n
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    n=$(control log | grep -cE "$2") || true
    [ "$n" != "$1" ] || return 0
    sleep 0.1
  done
  fail "$n lines, not $1, of the log match $2: $(control log)"
}

# same FILE: it is the package.
same() {
  cmp "$1" "$work/$file" || fail "$1 is another file"
  rm "$1"
}

# Everything that is hard in one name.
file=big+one_2.0~rc1+b1_all.deb
make_deb big+one 1:2.0~rc1+b1 all none
head -c 300000 /dev/urandom > build/big+one/usr/bin/noise
dpkg-deb -Znone --build --root-owner-group build/big+one . > /dev/null
push $jammy $file
size=$(stat -c %s $file)
package=$URL/admin/demo/ubuntu/pool/jammy/main/b/big+one/$file
index=$URL/admin/demo/ubuntu/dists/jammy/main/binary-all/Packages.gz
link=$(curl -sSf -u "$token:" -o /dev/null -w '%{redirect_url}' "$package")

# Clients that keep their credentials to themselves.
control forget
curl -sSfL -u "$token:" -o got "$package" && same got
wget -q --user="$token" --password= -O got "$package" && same got
fetch='fetch(process.argv[1], {headers: {authorization: "Bearer " + process.argv[2]}}).then(async (r) => {
  if (r.status !== 200) throw r.status;
  require("fs").writeFileSync("got", Buffer.from(await r.arrayBuffer()))})'
"$NODE" -e "$fetch" "$package" "$token" && same got
/usr/bin/python3 - "$package" "$token" > got << 'PYTHON' && same got
# As pip does: when a transfer broke off it asks the first URL again.
import requests, sys
session = requests.Session()
session.auth = (sys.argv[2], "")
first = session.get(sys.argv[1], headers={"Accept-Encoding": "identity"})
second = session.get(sys.argv[1], headers={"Accept-Encoding": "identity", "Range": "bytes=1000-", "If-Range": first.headers["ETag"]})
assert (first.status_code, second.status_code) == (200, 206), (first, second)
sys.stdout.buffer.write(first.content[:1000] + second.content)
PYTHON
asked 5 '^GET .*packages/'
asked 0 'authorization'

# Those that hand them on: S3 refuses two kinds at once, the edge drops one.
[ "$WAY" = S3 ] && forwarded=400 || forwarded=200
control forget
[ "$(curl -sS --location-trusted -u "$token:" -o got -w '%{http_code}' "$package")" = $forwarded ] || fail "curl --location-trusted"
[ $forwarded = 400 ] || same got
urllib='import sys, urllib.request, urllib.error
try: answer = urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]}))
except urllib.error.HTTPError as e: answer = e
open("got", "wb").write(answer.read())
print(answer.status)'
[ "$(/usr/bin/python3 -c "$urllib" "$package" "$token")" = $forwarded ] || fail "urllib"
[ $forwarded = 400 ] || same got
npm='const get = (url) => (url.startsWith("https") ? require("https") : require("http")).get(url, {agent: false, headers: {authorization: "Bearer " + process.argv[2]}}, (r) => {
  if (r.statusCode === 302) return get(r.headers.location);
  console.log(r.statusCode); r.pipe(require("fs").createWriteStream("got"))});
get(process.argv[1])'
[ "$("$NODE" -e "$npm" "$package" "$token")" = $forwarded ] || fail "a client like npm"
[ $forwarded = 400 ] || same got
asked 3 ": $forwarded[ ,].*authorization"

# HEAD is answered by the server itself.
control forget
head=$(curl -sSf -I -u "$token:" "$package")
grep -qi "^content-length: $size"$'\r' <<< "$head" || fail "HEAD says $head"
grep -qi '^etag: "' <<< "$head" || fail "HEAD says $head"
asked 0 .
# A link is good for GET alone on S3, for both at the edge.
[ "$WAY" = S3 ] && expected=403 || expected=200
[ "$(curl -sS -I -o /dev/null -w '%{http_code}' "$link")" = $expected ] || fail "HEAD of a link"

# Ranges.
range() { curl -sSL -u "$token:" -r "$1" -o got -w '%{http_code}' "$package"; }
for r in 0-9 1000-1999 299000-; do
  [ "$(range $r)" = 206 ] || fail "range $r"
  from=${r%-*} to=${r#*-}
  cmp got <(tail -c +$((from + 1)) $file | head -c $((${to:-$size} - from + 1))) || fail "range $r is other bytes"
done
[ "$(range -5)" = 206 ] && cmp got <(tail -c 5 $file) || fail "the last bytes"
[ "$(range 9999999-)" = 416 ] || fail "a range behind the end"

# However a client writes the name.
for name in big+one_2.0~rc1+b1_all.deb big%2Bone_2.0%7Erc1%2bb1_all.deb 'big%2bone_2%2E0~rc1+b1_all.deb'; do
  curl -sSfL -u "$token:" -D headers -o got "${package%/*}/$name" && same got
done
grep -qi 'content-disposition: .*big+one_2.0~rc1+b1_all.deb' headers || fail "the name of the file is lost: $(cat headers)"
case ${link#*://} in *[!A-Za-z0-9._/:?=\&%-]*) fail "$link has a character that clients rewrite" ;; esac
[[ ${link%%\?*} != *[%+~]* ]] || fail "the path of $link has a character that clients rewrite"

# Transfers that are cut: wget and curl go on with what they have.
control forget
control cut -d path=/packages/ -d after=100000
wget -q --tries=3 --waitretry=0 --user="$token" --password= -O got "$package" && same got
control cut -d path=/packages/ -d after=100000
! curl -sSfL -u "$token:" -o got "$package" 2> /dev/null || fail "a transfer that is cut off succeeds"
wget -q -c --user="$token" --password= -O got "$package" && same got
asked 2 ', cut'
asked 2 ': 206[ ,].*bytes=100000-'

# apt goes on too, at the link that it has.
export APT_CONFIG=$work/apt.conf
printf 'Acquire::Retries "2";\nAcquire::Languages "none";\n' > "$APT_CONFIG"
install_script deb ubuntu jammy
apt-get update > /dev/null
control forget
control cut -d path=/packages/ -d after=100000
expect 'Get:1' apt-get download -o APT::Sandbox::User=root big+one
cmp "$file" "$(ls big+one_1%3a*.deb)" || fail "apt has another file"
asked 1 ', cut'
asked 1 ': 206[ ,].*bytes=100000-'
# apt before 2.1.15 rewrites what it is redirected to.
rm big+one_1%3a*.deb
expect 'Get:1' apt-get download -o Acquire::Send-URI-Encoded=false -o APT::Sandbox::User=root big+one
cmp "$file" "$(ls big+one_1%3a*.deb)" || fail "an old apt has another file"
# dnf begins again.
make_rpm hello 1.0
push $el9 hello-1.0-1.noarch.rpm
printf '[main]\ngpgcheck=0\nretries=2\n' > /etc/dnf/dnf.conf
install_script rpm el 9
control forget
control cut -d path=.rpm -d after=1000
expect 'Complete!' dnf --releasever=9 --disableplugin=local -y install hello
asked 1 ', cut'

# Metadata is never cached, and changes while nobody waits.
control forget
for _ in 1 2 3; do curl -sSfL -u "$token:" -o /dev/null "$index"; done
asked 3 '^GET .*indexes/.*: 200( Miss)?,'

[ "$WAY" = CloudFront ] || exit 0

# Nothing is answered without TLS.
case $(curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' "http${link#https}") in
  403* | "301 $link") ;;
  *) fail "a link is answered without TLS" ;;
esac

# A link that has expired, or was changed, is refused where the object is hot.
for _ in 1 2 3; do curl -sSf -o got "$link"; done
control forget
curl -sSf -o got "$link" && same got
asked 1 ': 200 Hit'
for old in -1 -86400; do
  [ "$(curl -sS -o got -w '%{http_code}' "$(control link --data-urlencode "of=$link" -d seconds=$old)")" = 403 ] || fail "an expired link is answered"
  grep -q expired got || fail "the answer to an expired link does not say so: $(cat got)"
done
changed=${link%?}
[ "${link: -1}" = A ] && changed+=B || changed+=A
for wrong in "$changed" "${link%%\?*}" "${link/packages/indexes}" "$link&t=x"; do
  [ "$(curl -sS -o got -w '%{http_code}' "$wrong")" = 403 ] || fail "$wrong is answered"
done
asked 6 ': 403 (Lambda|Function)GeneratedResponse'

# A transfer that has begun ends, even if the link expires meanwhile.
short=$(control link --data-urlencode "of=$link" -d seconds=1)
control stall -d path=/packages/ -d after=100000 -d seconds=3
curl -sSf -o got "$short" && same got
[ "$(curl -sS -o /dev/null -w '%{http_code}' "$short")" = 403 ] || fail "a link is good for longer than it says"
