# Lets the package managers of this system judge repositories that keys of many
# kinds have signed: $KEYS/<kind>/ has key.asc, deb/ and rpm/. Prints the kind, the
# client, and ok or refused. CLIENTS names the clients.
cd "$(mktemp -d)"

judge() { # KIND CLIENT COMMAND...
  local kind=$1 client=$2 verdict=refused
  shift 2
  if "$@" > log 2>&1; then verdict=ok; fi
  printf '%s\t%s\t%s\n' "$kind" "$client" "$verdict"
  if [ "$verdict" = refused ]; then sed "s/^/$kind $client: /" log >&2; fi
}

apt() {
  echo "deb [signed-by=$1/key.asc] file:$1/deb ./" > sources
  rm -rf lists
  mkdir -p lists/partial
  apt-get update -o Dir::Etc::SourceList="$PWD/sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$PWD/lists" \
    -o APT::Sandbox::User=root -o Acquire::Languages=none > update 2>&1 || { cat update; return 1; }
  cat update
  # An error of a signature is a warning where there was an older index.
  ls lists | grep -q InRelease && ! grep -q '^[WE]:.*signature' update
}

repository() { # FOLDER
  rm -rf repos cache
  mkdir -p repos cache
  printf '[kinds]\nname=kinds\nbaseurl=file://%s/rpm\nenabled=1\ngpgcheck=0\nrepo_gpgcheck=1\nskip_if_unavailable=0\ngpgkey=file://%s/key.asc\n' "$1" "$1" > repos/kinds.repo
}

dnf4() { repository "$1"; dnf -y --setopt=retries=1 --setopt=reposdir="$PWD/repos" --setopt=cachedir="$PWD/cache" makecache; }
dnf5() { repository "$1"; command dnf5 -y --setopt=retries=1 --setopt=reposdir="$PWD/repos" --setopt=cachedir="$PWD/cache" makecache; }
zypper() { repository "$1"; command zypper --non-interactive --gpg-auto-import-keys --reposd-dir "$PWD/repos" --cache-dir "$PWD/cache" refresh --force kinds; }
rpm() { rm -rf db; mkdir db; rpmkeys --dbpath "$PWD/db" --import "$1/key.asc"; }

for folder in "$KEYS"/*/; do
  folder=${folder%/}
  for client in $CLIENTS; do judge "${folder##*/}" "$client" "$client" "$folder"; done
done
