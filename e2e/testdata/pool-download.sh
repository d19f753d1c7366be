# Downloads packages of Debian into $POOL: small ones that differ.
. "$LIB"
cd "$POOL"
if [ -e /etc/apt/sources.list ]; then sed -i 's/^deb \(.*\)/deb \1\ndeb-src \1/' /etc/apt/sources.list; fi
for f in /etc/apt/sources.list.d/*; do
  case $f in
    *.list) sed -i 's/^deb \(.*\)/deb \1\ndeb-src \1/' "$f" ;;
    *.sources) sed -i 's/^Types: *deb *$/Types: deb deb-src/' "$f" ;;
  esac
done
apt-get update > /dev/null || fail "apt-get update"
apt-get download -o APT::Sandbox::User=root \
  base-files bash bsdutils coreutils dash debconf debianutils diffutils dpkg e2fsprogs fdisk findutils fonts-dejavu-core gcc-12-base grep gzip hostname init-system-helpers \
  libacl1 libbz2-1.0 libc-bin libdb5.3 libgcc-s1 libncurses6 libpam-runtime libpcre2-8-0 libsigc++-2.0-0v5 libstdc++6 libsystemd0 login mawk mount ncurses-base netbase \
  perl-base python3-minimal sed sensible-utils sysvinit-utils tar tzdata util-linux zlib1g > download.log 2>&1 || fail "$(cat download.log)"
apt-get source --download-only -o APT::Sandbox::User=root hello sl mawk cowsay > source.log 2>&1 || fail "$(cat source.log)"
