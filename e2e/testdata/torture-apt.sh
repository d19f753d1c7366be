. "$LIB"
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
export APT_CONFIG=$work/apt.conf
printf 'Acquire::Retries "0";\nAcquire::Languages "none";\n' > "$APT_CONFIG"
install_script deb ubuntu jammy
n=0
while [ "$(date +%s)" -lt "$END" ] || [ "$n" -lt 2 ]; do
  out=$(apt-get update 2>&1) || fail "apt-get update: $out"
  if grep -q '^[WE]:' <<< "$out"; then fail "apt-get update warns: $out"; fi
  n=$((n + 1))
done
echo "$n updates"
