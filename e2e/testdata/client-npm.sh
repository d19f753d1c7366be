# needs: node npm curl
# tools: npm-clients
. "$LIB"
PATH=$TOOLS:$PATH
create_repository
registry=$URL/admin/demo/npm/
place=${registry#http:}

# No machine's own settings count.
only_this_server
export HOME=$work/home npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false npm_config_loglevel=notice
export YARN_ENABLE_TELEMETRY=0 YARN_ENABLE_GLOBAL_CACHE=0 YARN_ENABLE_IMMUTABLE_INSTALLS=0 COREPACK_ENABLE_STRICT=0
rm -f /etc/npmrc /usr/etc/npmrc /usr/local/etc/npmrc
mkdir "$HOME"

# A machine that installs, as the script sets it up; and one that publishes.
echo 'init-author-name=Somebody' > "$HOME/.npmrc"
DIR=$HOME install_script node "" "" > /dev/null
grep -qx 'init-author-name=Somebody' "$HOME/.npmrc" || fail "the script lost a setting: $(cat "$HOME/.npmrc")"
grep -qx "registry=$registry" "$HOME/.npmrc" || fail "the script did not set the registry: $(cat "$HOME/.npmrc")"
DIR=$HOME install_script node "" "" > /dev/null
[ "$(grep -c registry= "$HOME/.npmrc")" = 1 ] || fail "the script adds lines again and again: $(cat "$HOME/.npmrc")"
publisher=$work/publisher.npmrc
printf 'registry=%s\n%s:_authToken=%s\n' "$registry" "$place" "$TOKEN" > "$publisher"

# as_publisher COMMAND...: with the API token.
as_publisher() { npm_config_userconfig=$publisher "$@"; }

# quiet COMMAND...: it succeeds.
quiet() {
  local out
  out=$("$@" 2>&1) || fail "$* ended with $?: $out"
}

# make_package NAME VERSION [FIELDS]: a folder, whose command says what it is.
make_package() {
  folder=$work/source/${1//\//+}-$2
  mkdir -p "$folder"
  printf '{"name":"%s","version":"%s","description":"Says what it is.","bin":"cli.js","files":["cli.js"]%s}' "$1" "$2" "${3:+,$3}" > "$folder/package.json"
  printf '#!/usr/bin/env node\nconsole.log("%s %s")\n' "$1" "$2" > "$folder/cli.js"
}

# publish CLIENT NAME VERSION FIELDS [ARGUMENTS]
publish() {
  local client=$1
  make_package "$2" "$3" "$4"
  shift 4
  (cd "$folder" && quiet as_publisher "$client" publish "$@")
}

# fresh: an empty project, and no caches.
fresh() {
  rm -rf "$work/project" "$HOME/.npm" "$HOME/.cache" "$HOME/.yarn" "$HOME/.local"
  mkdir "$work/project"
  cd "$work/project"
  echo '{"name":"project","version":"1.0.0","private":true}' > package.json
}

# Whose registry it is.
for npm in npm9 npm11; do
  expect PONG $npm ping
  [ "$(as_publisher $npm whoami 2> /dev/null)" = admin ] || fail "$npm whoami does not say admin"
  if [ "$PRIVATE" = 1 ]; then refuse E401 $npm whoami; else refuse ENEEDAUTH $npm whoami; fi
  fresh
  refuse E404 $npm install hello
done

# Published with every client, installed with every client.
publish npm9 hello 1.0.0 ''
publish npm11 elsewhere 1.0.0 '"os":["aix"]'
publish npm11 @acme/tools 1.0.0 '"dependencies":{"hello":"^1.0.0"},"optionalDependencies":{"elsewhere":"1"}'
# Where no token is asked for, the oldest and the newest will do. So they will
# where clients are sent elsewhere, but in the long drill: those of one family
# follow redirects alike.
clients='npm6 npm12 yarn1 pnpm8 pnpm12 bun'
if [ "$PRIVATE" = 1 ] && [ -z "${CONTROL:-}" -o -n "${PACKAGECLOUD_SOAK:-}" ]; then
  clients='npm6 npm8 npm9 npm10 npm11 npm12 yarn1 pnpm8 pnpm9 pnpm10 pnpm11 pnpm12 bun'
fi
published=
for client in $clients; do
  case $client in
    yarn*) set -- --non-interactive ;;
    pnpm*) set -- --no-git-checks ;;
    *) set -- ;;
  esac
  # No client keeps the build metadata; bun leaves it in the name of the tarball.
  publish $client from-$client 1.0.0+b.7 '"dependencies":{"@acme/tools":"*","hello":"1.0.0"},"peerDependencies":{"hello":"*"}' "$@"
  published="$published from-$client"
done
for client in $clients; do
  fresh
  case $client in
    npm*) quiet $client install @acme/tools $published ;;
    yarn1) quiet $client add --non-interactive @acme/tools $published ;;
    pnpm*) quiet $client add @acme/tools $published ;;
    bun) quiet $client add @acme/tools $published ;;
  esac
  expect "tools 1.0.0" node_modules/.bin/tools
  for name in $published; do expect "$name 1.0.0" node_modules/.bin/$name; done
  case $client in
    npm8 | npm12)
      expect 'hello 1.0.0' node_modules/.bin/hello
      # Again from the lock file and the cache, then from the lock file alone.
      quiet $client ci
      rm -rf "$HOME/.npm"
      quiet $client ci
      if grep '"resolved"' package-lock.json | grep -v "\"$URL/"; then fail "the lock file names another server"; fi
      [ ! -e node_modules/elsewhere ] || fail "a package for another system was installed"
      ;;
  esac
done

# What npm asks for and is not here is refused in words.
refuse 'this registry has no stars' as_publisher npm11 star hello
refuse 'this registry has no stars' as_publisher npm6 unstar hello
expect 'has not starred any packages' as_publisher npm11 stars
refuse 'this registry has no organizations' as_publisher npm12 team create acme:developers
refuse 'this registry has no token management' as_publisher npm12 token list
refuse 'this registry has no staged publishing' as_publisher npm12 stage list
refuse 'this registry has no hooks' as_publisher npm6 hook ls
refuse 'this registry has no users to look up' as_publisher npm11 owner add somebody hello
refuse 'this registry has no stars' as_publisher pnpm11 star hello

# yarn 4 has a configuration of its own.
fresh
touch yarn.lock
{
  printf 'npmRegistryServer: "%s"\nunsafeHttpWhitelist: ["127.0.0.1"]\nnodeLinker: node-modules\nnpmMinimalAgeGate: 0\n' "$registry"
  if [ "$PRIVATE" = 1 ]; then printf 'npmAuthToken: "%s"\nnpmAlwaysAuth: true\n' "$(read_token)"; fi
} > .yarnrc.yml
(
  unset http_proxy https_proxy
  quiet yarn4 add @acme/tools
  expect '@acme/tools 1.0.0' node_modules/.bin/tools
  make_package @acme/from-yarn4 1.0.0
  cp .yarnrc.yml "$folder"
  sed -i '/npmAuth/d; /npmAlways/d' "$folder/.yarnrc.yml"
  printf 'npmAuthToken: "%s"\n' "$TOKEN" >> "$folder/.yarnrc.yml"
  touch "$folder/yarn.lock"
  cd "$folder"
  quiet yarn4 install
  quiet yarn4 npm publish
)
fresh
quiet npm11 install @acme/from-yarn4
expect '@acme/from-yarn4 1.0.0' node_modules/.bin/from-yarn4

# What is published stays: the same version again is refused.
make_package hello 1.0.0 '"license":"MIT"'
(cd "$folder" && refuse "Cannot publish over" as_publisher npm9 publish && refuse "cannot publish over" as_publisher npm11 publish)

# Tags, by packagecloud's rules: what is pushed without one is the latest,
# whatever its version.
publish npm11 hello 2.0.0-rc.1 '' --tag next
expect 'latest: 1.0.0' npm11 dist-tag ls hello
expect 'next: 2.0.0-rc.1' npm9 dist-tag ls hello
publish npm9 hello 1.1.0 ''
make_package hello 1.0.1
(cd "$folder" && tar czf "$work/hello-1.0.1.tgz" --transform 's,^\.,package,' ./package.json ./cli.js)
quiet env PACKAGECLOUD_URL="$URL" PACKAGECLOUD_TOKEN="$TOKEN" package_cloud push --wait admin/demo/node/1 "$work/hello-1.0.1.tgz"
expect 'latest: 1.0.1' npm11 dist-tag ls hello
expect '+stable: hello@1.1.0' as_publisher npm9 dist-tag add hello@1.1.0 stable
expect '+latest: hello@1.1.0' as_publisher npm11 dist-tag add hello@1.1.0
expect '-stable: hello@1.1.0' as_publisher npm11 dist-tag rm hello stable
refuse 'stable is not a dist-tag' as_publisher npm9 dist-tag rm hello stable
refuse 'always has a latest version' as_publisher npm11 dist-tag rm hello latest
refuse 'there is no' as_publisher npm11 dist-tag add hello@9.9.9 wrong
for version in '' 1.1.0 @next 2.0.0-rc.1 @1.0.1 1.0.1 @^1.0.0 1.1.0; do
  if [ "${version#@}" != "$version" ] || [ -z "$version" ]; then
    spec=hello$version
    continue
  fi
  fresh
  quiet npm11 install "$spec"
  expect "hello $version" node_modules/.bin/hello
done

# Deprecation, and back.
expect '' as_publisher npm11 deprecate hello@1.0.0 'use "2.0" <now>'
fresh
expect 'hello@1.0.0: use "2.0" <now>' npm9 install hello@1.0.0
fresh
expect 'hello@1.0.0: use "2.0" <now>' npm11 install hello@1.0.0
expect '' as_publisher npm9 deprecate hello@1.0.0 ''
fresh
out=$(npm11 install hello@1.0.0 2>&1) || fail "$out"
[[ $out != *deprecated* ]] || fail "still deprecated: $out"

# Search and view.
expect '"name":"hello"' npm11 search --json hello
expect 'Says what it is.' npm9 search acme
out=$(npm11 search --json nothing-of-the-kind) || fail "$out"
[[ $out != *name* ]] || fail "a search finds what is not there: $out"
expect "'1.0.1'" npm11 view hello versions
[ "$(npm11 view hello@next version)" = 2.0.0-rc.1 ] || fail "npm view does not know the tag"
[ -n "$(npm9 view hello 'time[1.1.0]')" ] || fail "npm view does not know when a version was published"

# What clients ask, byte by byte.
ask() {
  local path=$1
  shift
  if [ "$PRIVATE" = 1 ]; then set -- "$@" -H "Authorization: Bearer $(read_token)"; fi
  curl -sSL "$@" "$registry$path"
}
abbreviated='application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*'
expect application/vnd.npm.install-v1+json ask @acme%2ftools --compressed -o /dev/null -w '%{content_type}' -H "Accept: $abbreviated"
for name in @acme/tools @acme%2ftools @acme%2Ftools %40acme%2ftools; do
  [[ $(ask "$name") == '{"_id":"@acme/tools",'*'"time":'* ]] || fail "$name is not the full packument"
  short=$(ask "$name" -H "Accept: $abbreviated")
  [[ $short == '{"name":"@acme/tools",'* && $short != *'"_id"'* ]] || fail "$name is not the abbreviated packument: $short"
done
ask hello --compressed -D headers -o packument
grep -qi '^content-encoding: gzip' headers || fail "the packument is not compressed: $(cat headers)"
grep -qi '^vary:.*accept' headers || fail "the packument does not vary: $(cat headers)"
etag=$(sed -n "s/^etag: //Ip" headers | tail -n 1 | tr -d "\r") # of whoever answered in the end
[ "$(ask hello --compressed -o /dev/null -w '%{http_code}' -H "If-None-Match: $etag")" = 304 ] || fail "no 304 for $etag"
tarball=$(sed -n 's/.*"tarball":"\([^"]*hello-1.1.0.tgz\)".*/\1/p' packument)
[ "$tarball" = "${registry}hello/-/hello-1.1.0.tgz" ] || fail "the tarball is at $tarball"

# Deletion, by npm and by the API. The highest version becomes the latest.
quiet as_publisher npm9 unpublish hello@1.1.0
expect 'latest: 2.0.0-rc.1' npm11 dist-tag ls hello
quiet as_publisher npm11 unpublish hello@2.0.0-rc.1
expect 'latest: 1.0.1' npm11 dist-tag ls hello
refuse 'No matching version' npm11 install hello@1.1.0 --prefer-online
quiet env PACKAGECLOUD_URL="$URL" PACKAGECLOUD_TOKEN="$TOKEN" package_cloud yank admin/demo/node/1 @acme/tools-1.0.0.tgz
for _ in $(seq 100); do
  [ "$(ask @acme/tools -o /dev/null -w '%{http_code}')" = 404 ] && break
  sleep 0.1
done
refuse E404 npm9 view @acme/tools
refuse 'Refusing to delete entire project' as_publisher npm11 unpublish hello
quiet as_publisher npm11 unpublish hello --force
refuse E404 npm11 view hello

# The same version again, with other bytes: at another path, for ever.
publish npm11 hello 1.1.0 '"license":"ISC"'
fresh
quiet npm9 install hello
grep -q "\"resolved\": \"${registry}hello/-/r[0-9a-f]\{16\}/hello-1.1.0.tgz\"" package-lock.json || fail "$(cat package-lock.json)"
quiet as_publisher npm9 unpublish hello@1.1.0 --force
refuse E404 npm11 view hello

# What a client says of a package must be what is in it.
make_package liar 1.0.0
(cd "$folder" && quiet npm11 pack)
lie() {
  node -e '
    const fs = require("fs"), [file, manifest, name] = process.argv.slice(1), data = fs.readFileSync(file)
    console.log(JSON.stringify({_id: "liar", name: "liar", "dist-tags": {latest: "1.0.0"}, versions: {"1.0.0": JSON.parse(manifest)},
      _attachments: {[name]: {content_type: "application/octet-stream", data: data.toString("base64"), length: data.length}}}))' \
    "$folder/liar-1.0.0.tgz" "$1" "$2" | curl -sS -X PUT -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -w ' %{http_code}' --data-binary @- "${registry}liar"
}
expect 'dependencies differ' lie '{"name":"liar","version":"1.0.0","dependencies":{"evil":"*"}}' liar-1.0.0.tgz
expect ' 422' lie '{"name":"other","version":"1.0.1"}' liar-1.0.1.tgz
expect 'SHA-1' lie '{"dist":{"shasum":"0123456789012345678901234567890123456789"}}' liar-1.0.0.tgz
expect 'is not the tarball of' lie '{}' other-1.0.0.tgz
refuse E404 npm11 view liar
expect ' 201' lie '{}' liar-1.0.0.tgz
expect 1.0.0 npm11 view liar version

# Who may not.
printf 'registry=%s\n%s:_authToken=0123456789abcdef0123456789abcdef0123456789abcdef\n' "$registry" "$place" > "$work/wrong.npmrc"
printf 'registry=%s\n%s:_authToken=%s\n' "$registry" "$place" "$(read_token)" > "$work/reader.npmrc"
printf 'registry=%s\n' "$registry" > "$work/nobody.npmrc"
make_package other 1.0.0
cd "$folder"
refuse ENEEDAUTH npm11 publish --userconfig "$work/nobody.npmrc"
# A token that the server does not know: a private repository is then as one that is not there.
if [ "$PRIVATE" = 1 ]; then refuse E404 npm9 publish --userconfig "$work/wrong.npmrc"; else refuse E401 npm9 publish --userconfig "$work/wrong.npmrc"; fi
refuse E403 npm11 publish --userconfig "$work/reader.npmrc"
refuse E404 npm11 view other --userconfig "$publisher"
if [ "$PRIVATE" = 1 ]; then
  fresh
  refuse E401 npm11 view from-yarn1 --userconfig "$work/nobody.npmrc"
  refuse E404 npm9 view from-yarn1 --userconfig "$work/wrong.npmrc"
  expect 1.0.0 npm9 view from-yarn1 version --userconfig "$work/reader.npmrc"
  expect 1.0.0 npm11 view from-yarn1 version --userconfig "$publisher"
  # Revoking the master token ends the read tokens that it made.
  api "repos/admin/demo/master_tokens/$(master_token)" -X DELETE
  refuse E404 npm11 view from-yarn1 --userconfig "$work/reader.npmrc" --prefer-online
fi
