# Installs with pip, again and again, until it is told to stop.
# tools: python-clients
. "$LIB"
only_this_server
export PIP_CONFIG_FILE=/dev/null PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_RETRIES=0
export PYTHONPATH=$TOOLS/pip-25.1.1
python=$TOOLS/bin/python
index=http://$(read_token):irrelevant@${URL#http://}/admin/demo/pypi/simple/
n=0
while going; do
  rm -rf got
  out=$("$python" -m pip install --quiet --target got --index-url "$index" hello 2>&1) || fail "$out"
  PYTHONPATH=got expect 1.0 "$python" -c 'import hello; print(hello.version)'
  n=$((n + 1))
done
rounds $n hello-1.0-py3-none-any.whl
