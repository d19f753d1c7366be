# needs: python3 curl
# tools: python-clients
. "$LIB"
create_repository
export PIP_CONFIG_FILE=/dev/null PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 UV_NO_CACHE=1 UV_NO_CONFIG=1
host=${URL#http://}
index=$URL/admin/demo/pypi/simple/
python=$TOOLS/bin/python

# make NAME VERSION [METADATA LINES]: a wheel whose module says its version.
make() {
  "$python" - "$@" << 'PYTHON'
import sys, zipfile
name, version, more = (sys.argv[1:] + [""])[:3]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(f"{name}-{version}-py3-none-any.whl", "w") as z:
    z.writestr(f"{name}.py", f"version = {version!r}\n")
    z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: a test\n{more}\n\nA test.\n")
    z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
PYTHON
}

# twine uploads with an API token, the old one of Debian and a new one.
make hello_lib 1.0
make hello_lib 2.0 'Requires-Python: >=3.6'
make hello_app 1.0 'Requires-Dist: hello-lib (>=1.0)'
export TWINE_REPOSITORY_URL=$URL/admin/demo/pypi/legacy/ TWINE_USERNAME=__token__ TWINE_PASSWORD=$TOKEN TWINE_NON_INTERACTIVE=1
twine=$TOOLS/bin/twine
"$twine" upload --disable-progress-bar hello_lib-1.0-py3-none-any.whl
"$twine" upload --disable-progress-bar hello_lib-1.0-py3-none-any.whl # the same bytes again
make other 1.0 && mv other-1.0-py3-none-any.whl hello_lib-9.0-py3-none-any.whl
refuse 422 "$twine" upload --disable-progress-bar hello_lib-9.0-py3-none-any.whl
make hello_lib 1.0 'License: another'
refuse 409 "$twine" upload --disable-progress-bar hello_lib-1.0-py3-none-any.whl
# A token that the server does not know: a private repository is then as one that is not there.
if [ "$PRIVATE" = 1 ]; then status=404; else status=401; fi
TWINE_PASSWORD=0123456789abcdef0123456789abcdef0123456789abcdef refuse "$status" "$twine" upload --disable-progress-bar hello_lib-2.0-py3-none-any.whl
if [ -x /usr/bin/twine ]; then twine=/usr/bin/twine; fi
TWINE_USERNAME=$TOKEN TWINE_PASSWORD=x "$twine" upload --disable-progress-bar hello_lib-2.0-py3-none-any.whl

# What was uploaded is listed when the client hears of it, in a burst too: uv looks
# into the page before each file, and sends nothing that is there.
for i in 1 2 3; do make burst $i.0; done
"$TOOLS/bin/twine" upload --disable-progress-bar burst-1.0-py3-none-any.whl
for i in 1 2; do
  uv_out=$("$TOOLS/bin/uv" publish --no-progress --publish-url "$TWINE_REPOSITORY_URL" --check-url "${URL/:\/\//://__token__:$TOKEN@}/admin/demo/pypi/simple/" --username __token__ --password "$TOKEN" burst-*.whl 2>&1) || fail "$uv_out"
  echo "$uv_out" | grep -c '^Uploading' | expect $((i == 1 ? 2 : 0)) cat || fail "$uv_out"
done
export PACKAGECLOUD_TOKEN=$TOKEN PACKAGECLOUD_URL=$URL
# A name that says nothing: the metadata has one.
make random 1.0 && mv random-1.0-py3-none-any.whl random.whl
expect 'success!' "$BIN/package_cloud" push --wait admin/demo/python random.whl
expect 'success!' "$BIN/package_cloud" push --wait admin/demo/python hello_app-1.0-py3-none-any.whl

user=
if [ "$PRIVATE" = 1 ]; then user=$(read_token):irrelevant@; fi
from=${index/http:\/\//http://$user}

# install CLIENT ARGUMENTS: into the folder got.
install_with() {
  local client=$1
  shift
  rm -rf got
  case $client in
    uv) "$TOOLS/bin/uv" pip install --quiet --python "$python" --target got --default-index "$from" "$@" ;;
    *) PYTHONPATH=$TOOLS/$client "$python" -m pip install --quiet --target got --index-url "$from" --trusted-host "${host%:*}" "$@" ;;
  esac
}
clients=(uv)
for p in "$TOOLS"/pip-*; do clients+=("$(basename "$p")"); done
says() { expect "$1" env PYTHONPATH=got "$python" -c "import hello_lib; print(hello_lib.version)"; }

for client in "${clients[@]}"; do
  echo "+ $client" >&2
  install_with "$client" hello-app
  says 2.0
  install_with "$client" 'Hello.Lib<2'
  says 1.0
  refuse '' install_with "$client" nothing-there
done

# A lock file with digests.
digest=$(sha256sum hello_lib-2.0-py3-none-any.whl | cut -d' ' -f1)
echo "hello-lib==2.0 --hash=sha256:$digest" > lock
install_with pip-25.1.1 --require-hashes -r lock
echo "hello-lib==2.0 --hash=sha256:${digest//[0-9a-f]/0}" > lock
refuse 'DO NOT MATCH' install_with pip-25.1.1 --require-hashes -r lock

# Who asks for no version does not get a yanked one; who asks for it does.
api repos/admin/demo/python/1/hello_lib-2.0-py3-none-any.whl/attributes/yanked -X PUT -d value=broken > /dev/null
for _ in $(seq 100); do
  if curl -sS "${from}hello-lib/" | grep -q data-yanked; then break; fi
  sleep 0.1
done
for client in uv pip-20.3.4 pip-25.1.1; do
  install_with "$client" hello-lib
  says 1.0
  install_with "$client" hello-lib==2.0
  says 2.0
done
api repos/admin/demo/python/1/hello_lib-2.0-py3-none-any.whl/attributes/yanked -X DELETE > /dev/null

# The metadata is read without the wheel.
expect '.metadata' env PYTHONPATH="$TOOLS/pip-25.1.1" "$python" -m pip install -vvv --dry-run --ignore-installed --target got2 --index-url "$from" hello-app

# netrc, and the install script.
if [ "$PRIVATE" = 1 ]; then
  refuse '' "$python" -m pip install --quiet --target got --index-url "$index" hello-lib
  printf 'machine %s login %s password irrelevant\n' "${host%:*}" "$(read_token)" > "$HOME/.netrc"
  chmod 600 "$HOME/.netrc"
  from=$index
  install_with pip-23.0.1 hello-lib
  rm "$HOME/.netrc"
fi
install_script python '' ''
(unset PIP_CONFIG_FILE && rm -rf got && PIP_INDEX_URL=$URL/nowhere "$python" -m pip install --quiet --target got hello-app)
says 2.0

# What real projects publish is taken as it is, and installs.
from=${index/http:\/\//http://$user}
for f in "$TOOLS"/packages/*; do
  out=$(api "repos/admin/demo/packages.json" -F "package[distro_version_id]=166" -F "package[package_file]=@$f") || fail "push $f: $out"
done
make last 1.0
push 166 last-1.0-py3-none-any.whl # when it is there, all are
install_with uv pytest requests
PYTHONPATH=got expect 'requests' "$python" -c 'import pytest, requests; print(requests.__name__)'
install_with pip-25.1.1 zope.interface ruamel.yaml jaraco.classes --no-deps
rm -rf got2
PYTHONPATH="$TOOLS/pip-25.1.1" "$python" -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation --dest got2 --index-url "$from" six
cmp got2/six-*.tar.gz "$TOOLS"/packages/six-*.tar.gz || fail "six is another file"

# Deletion.
expect 'done!' "$BIN/package_cloud" yank admin/demo/python hello_app-1.0-py3-none-any.whl
for _ in $(seq 100); do
  if [ "$(curl -sS -o /dev/null -w '%{http_code}' "${from}hello-app/")" = 404 ]; then break; fi
  sleep 0.1
done
refuse '' install_with uv hello-app
