# Installs with apt, again and again, until it is told to stop.
. "$LIB"
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
export APT_CONFIG=$work/apt.conf
printf 'Acquire::Languages "none";\n' > "$APT_CONFIG"
install_script deb ubuntu jammy
n=0
while [ "$(curl -sSf "$CONTROL/going")" = yes ]; do
  apt-get clean
  out=$(apt-get update 2>&1 && apt-get install -y --reinstall hello 2>&1) || fail "$out"
  if grep -q '^[WE]:' <<< "$out"; then fail "apt-get warns: $out"; fi
  n=$((n + 1))
done
[ "$n" -gt 2 ] || fail "only $n rounds"
echo "$n rounds"
