. "$LIB"
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/yum.repos.d/*
printf '#!/bin/sh\nexec env "$@"\n' > /usr/local/bin/sudo # who runs this is root already
chmod 755 /usr/local/bin/sudo
printf '[main]\ngpgcheck=0\nassumeyes=1\n' > /etc/dnf/dnf.conf
printf 'APT::Get::Assume-Yes "true";\n' > /etc/apt/apt.conf.d/99yes

# Each step must work, as pasted.
while read -r command; do
  echo "+ $command"
  eval "$command" < /dev/null || fail "$command"
  case $command in
    *'apt-get install'*)
      expect 'Hello from your package repository.' hello-packagecloud
      apt-get remove hello-packagecloud > /dev/null ;;
    *'dnf install'*) expect 'Hello from your package repository.' hello-packagecloud ;;
  esac
done <<< "$COMMANDS"
