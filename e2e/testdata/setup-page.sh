# The set-up page, in its order: its commands, the lines they print pasted into
# the configuration, and the command that one of them prints run as it stands.
# Packages are installed before, through CloudFront, and after it is disabled.
rb=/etc/packagecloud/packagecloud.rb
mkdir -p /etc/packagecloud
echo "$CONFIGURATION" > $rb
chmod 600 $rb
packagecloud serve > /var/log/packagecloud 2>&1 &
until curl -sf -o /dev/null "$URL/healthz"; do sleep 0.1; done
TOKEN=$(sed -n 's/.*PACKAGECLOUD_TOKEN=\([0-9a-f]*\).*/\1/p' /var/log/packagecloud)
. "$LIB"
control() { curl -sSf "$CONTROL/$1"; }

rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/yum.repos.d/*
printf '[main]\ngpgcheck=0\nkeepcache=0\n' > /etc/dnf/dnf.conf
dnf=(dnf --releasever=9 --disableplugin=local -y --refresh)
create_repository
make_deb hello 1.0 all
push 237 hello_1.0_all.deb
make_rpm hello 1.0
push 240 hello-1.0-1.noarch.rpm
install_script deb ubuntu jammy
install_script rpm el 9

# installs FROM: both install a package and its metadata, from that host alone.
installs() {
  control forget
  apt-get clean && rm -rf /var/lib/apt/lists/*
  expect '' apt-get update
  expect 'Setting up hello' apt-get install -y hello
  expect 'Complete!' "${dnf[@]}" install hello
  control log > asked
  for what in packages/.*.deb packages/.*.rpm indexes/.*InRelease indexes/.*repomd.xml; do
    grep -q "GET $1.*/$what.*: 200" asked || fail "no $what came from $1: $(cat asked)"
  done
  if grep -v "GET $1" asked; then fail "clients were sent elsewhere than to $1"; fi
  expect '' apt-get purge -y hello
  expect 'Complete!' "${dnf[@]}" remove hello
}

installs "$FRONT"

# "Instructions for enabling CloudFront", 1 to 7.
echo "127.0.0.1 $KEYVALUES" >> /etc/hosts
expect '' packagecloud-ctl reindex-everything
packagecloud-ctl generate-cloudfront-secret 2> told >> $rb || fail "generate-cloudfront-secret"
grep -q "$rb" told || fail "it is not told where the secret belongs: $(cat told)"
expect 'The configuration is valid' packagecloud-ctl reconfigure
packagecloud-ctl bootstrap-cloudfront > next 2> told || fail "bootstrap-cloudfront: $(cat told)"
grep -qx "packagecloud-ctl reconfigure-cloudfront-distribution $FUNCTION" next || fail "it prints $(cat next)"
bash -eu next > lines 2> told || fail "$(cat next): $(cat told)"
cat lines >> $rb
for key in cloudfront_enabled cloudfront_distribution_id cloudfront_packages_domain; do
  grep -q "^packagecloud_rails\['$key'\] = " lines || fail "no $key is printed: $(cat lines)"
done
expect 'The configuration is valid' packagecloud-ctl reconfigure
expect '' packagecloud-ctl restart

domain=$(sed -n "s/.*cloudfront_packages_domain'\] = '\(.*\)'/\1/p" lines)
trust "$ADDRESS $domain"
installs "$domain"

# What they were, again, changes nothing.
for command in bootstrap-cloudfront "$(sed 's/^packagecloud-ctl //' next)"; do
  # shellcheck disable=SC2086 # words
  expect 'nothing was changed' packagecloud-ctl $command
done
expect 'Nothing is to be changed' packagecloud-ctl setup-cloudfront --plan

# "Instructions for disabling CloudFront", 1 to 3.
sed -i "s/\(packagecloud_rails\['cloudfront_enabled'\] = \)true/\1false/" $rb
expect 'The configuration is valid' packagecloud-ctl reconfigure
expect '' packagecloud-ctl restart
installs "$FRONT"
