# Installs with dnf, again and again, until it is told to stop.
. "$LIB"
rm -f /etc/yum.repos.d/*
printf '[main]\ngpgcheck=0\nkeepcache=0\n' > /etc/dnf/dnf.conf
install_script rpm el 9
dnf=(dnf --releasever=9 --disableplugin=local -y --refresh)
n=0
while going; do
  "${dnf[@]}" clean all > /dev/null
  expect 'Complete!' "${dnf[@]}" install hello
  expect 'Complete!' "${dnf[@]}" remove hello
  n=$((n + 1))
done
rounds $n hello-1.0-1.noarch.rpm
