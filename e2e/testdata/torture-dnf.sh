. "$LIB"
rm -f /etc/yum.repos.d/*
printf '[main]\ngpgcheck=0\nretries=1\n' > /etc/dnf/dnf.conf
install_script rpm el 9
n=0
while [ "$(date +%s)" -lt "$END" ] || [ "$n" -lt 2 ]; do
  out=$(dnf --releasever=9 --disableplugin=local -y makecache --refresh 2>&1) || fail "dnf makecache: $out"
  if grep -qiE 'error|failed|mismatch' <<< "$out"; then fail "dnf makecache warns: $out"; fi
  n=$((n + 1))
done
echo "$n updates"
