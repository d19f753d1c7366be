# Every package of $POOL comes back as it is, checked by apt.
. "$LIB"
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
install_script deb debian bookworm
mkdir back && cd back
apt-get update > /dev/null
for file in "$POOL"/*.deb; do
  name=$(dpkg-deb -f "$file" Package)
  version=$(dpkg-deb -f "$file" Version)
  apt-get download -o APT::Sandbox::User=root "$name=$version" > log 2>&1 || fail "$name=$version: $(cat log)"
  cmp "$file" "$name"_*.deb || fail "$file came back as another file"
  rm "$name"_*.deb
done
for file in "$POOL"/*.dsc; do
  name=$(sed -n 's/^Source: //p' "$file")
  apt-get source --download-only -o APT::Sandbox::User=root "$name" > log 2>&1 || fail "$name: $(cat log)"
  cmp "$file" "$(basename "$file")" || fail "$file came back as another file"
done
