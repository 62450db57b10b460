#!/bin/sh
# Fetches Debian trixie's wireguard-go, which has the kernel's offloads (2023-12), for the benchmark to measure beside
# the one that is installed: `npm run bench -- --peers wireguard-go-trixie,…`. Nothing is installed; it is
# unpacked in the folder given, or where the benchmark looks for it.
# It comes from where this machine has its own packages from, by whatever proxy that is: only the release is another.
set -eu

folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/udptun-fast/wireguard-go-trixie}
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# Where apt has lists by now it knows whose they are; where it has none, any that has this release will be tried.
sources=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
  awk -v codename="$codename" '$1 == codename && $2 == "main" && ($3 == "Debian" || $3 == "$(ORIGIN)") { print $4 }' |
  sort -u)
if [ -z "$sources" ]; then
  echo "no source of Debian's packages is set up here, in /etc/apt/sources.list or sources.list.d; add one" >&2
  exit 1
fi

# The keyring that a source is to be checked by, where one is named: in the paragraph of the URI, or on its line.
keyring_of() {
  uri=${1%/}
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] || continue
    awk -v uri="$uri" 'BEGIN { RS = "" } $0 ~ "\nURIs:[^\n]*[ \t]" uri "/?([ \t\n]|$)" || $0 ~ "^URIs:[^\n]*[ \t]" uri "/?([ \t\n]|$)"' "$file" |
      sed -n 's/^Signed-By:[ \t]*\(\/.*\)$/\1/p'
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] || continue
    grep -F " $uri" "$file" | sed -n 's/^deb .*signed-by=\([^] ]*\).*/\1/p'
  done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$folder"
apt() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
for uri in $sources; do
  keyring=$(keyring_of "$uri" | head -n 1)
  echo "deb ${keyring:+[signed-by=$keyring] }$uri trixie main" > "$work/sources.list"
  if apt update && (cd "$work" && apt download wireguard-go && dpkg -x wireguard-go_*.deb "$folder"); then
    echo "$folder/usr/bin/wireguard-go"
    exit 0
  fi
done
echo "none of this machine's package sources has Debian trixie's wireguard-go: $sources" >&2
exit 1
