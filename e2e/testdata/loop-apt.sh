# Installs with apt, again and again, until it is told to stop.
. "$LIB"
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
export APT_CONFIG=$work/apt.conf
printf 'Acquire::Languages "none";\n' > "$APT_CONFIG"
install_script deb ubuntu jammy
n=0
while going; do
  apt-get clean
  out=$(apt-get update 2>&1 && apt-get install -y --reinstall hello 2>&1) || fail "$out"
  if grep -q '^[WE]:' <<< "$out"; then fail "apt-get warns: $out"; fi
  n=$((n + 1))
done
rounds $n hello_1.0_all.deb
