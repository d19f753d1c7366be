# Installs with npm, again and again, until it is told to stop.
# tools: npm-clients
. "$LIB"
only_this_server
export HOME=$work npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false npm_config_fetch_retries=0
rm -f /etc/npmrc /usr/etc/npmrc /usr/local/etc/npmrc
DIR=$HOME install_script node '' ''
mkdir project
cd project
n=0
while going; do
  rm -rf "$HOME/.npm" node_modules package-lock.json
  echo '{"name":"project","version":"1.0.0","private":true}' > package.json
  out=$("$TOOLS/npm11" install hello 2>&1) || fail "$out"
  grep -q '"version":"1.0.0"' node_modules/hello/package.json || fail "hello is not installed: $out"
  n=$((n + 1))
done
rounds $n hello-1.0.0.tgz
