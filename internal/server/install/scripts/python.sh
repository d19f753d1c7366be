#!/bin/sh
( # The parentheses make a shell read all of the script before it runs any of it.
# Configures pip to install packages of {{.Repository}} from {{.Host}}, for the
# user who runs it. What it detects can be overridden by the environment:
#   unique_id   the name of this machine, for its read token
#   timeout     how many seconds the server may send nothing, 60 by default
{{template "common.sh" .}}
{{template "home.sh" .}}
# options FILE [URL]: pip.conf as pip reads it. Without a URL it prints the values
# of extra-index-url in [global], a line each; with one, the file with the URL
# among those of [global] and of each section that has its own. A line that has
# the same URL with other credentials loses it.
options() {
  # A list of processes shows arguments, and the URL has a token in it.
  URL=${2:-} awk '
    BEGIN { url = ENVIRON["URL"] }
    # bare(u): the URL without credentials, and with a slash at its end.
    function bare(u) { sub(/:\/\/[^\/@]*@/, "://", u); sub(/\/*$/, "/", u); return u }
    # others(text): the values in it that are not the URL.
    function others(text,   v, i, n, all) {
      n = split(text, v, /[ \t\r]+/)
      for (i = 1; i <= n; i++) if (v[i] != "" && bare(v[i]) != bare(url)) all = all (all == "" ? "" : " ") v[i]
      return all
    }
    function show(line) { if (url != "") print line }
    function values(text,   v, i, n) {
      if (url != "" || section != "global") return
      n = split(text, v, /[ \t\r]+/)
      for (i = 1; i <= n; i++) if (v[i] != "") print v[i]
    }
    # leave: the end of a section.
    function leave() { if (section == "global" && !done) { show("extra-index-url = " url); done = 1 } }
    { indent = match($0, /[^ \t]/) }
    /^[ \t]*([#;].*)?\r?$/ { show($0); next }
    # A line further to the right than its option goes on with the value.
    name != "" && indent > depth {
      if (name != "extra-index-url") { show($0); next }
      rest = others($0)
      if (rest != "") show(sprintf("%" (depth + 3) "s", "") rest)
      values($0)
      next
    }
    /^[ \t]*\[[^]]*\]/ { leave(); section = $0; sub(/^[ \t]*\[/, "", section); sub(/\].*/, "", section); name = ""; show($0); next }
    {
      depth = indent; name = tolower($0); sub(/[=:].*/, "", name); gsub(/^[ \t]+(--)?|^--|[ \t\r]+$/, "", name); gsub(/_/, "-", name)
      if (name != "extra-index-url" || !match($0, /[=:]/)) { show($0); next }
      if (section == "global") done = 1
      text = substr($0, RSTART + 1)
      show(substr($0, 1, RSTART) " " url)
      rest = others(text)
      if (rest != "") show(sprintf("%" (indent + 3) "s", "") rest)
      values(text)
    }
    END { leave(); if (!done && url != "") { print "[global]"; print "extra-index-url = " url } }' "$1"
}

# with_url FILE: the file with the URL. A value in a file of the user hides that
# of the files for all users, so the URLs there are taken over.
with_url() {
  options "$1" "$url" > "$stage/made" || return
  if [ -z "$(options "$1")" ]; then
    system=
    for other_file in /etc/xdg/pip/pip.conf /etc/pip.conf; do
      if [ -r "$other_file" ] && [ -n "$(options "$other_file")" ]; then system=$(options "$other_file"); fi
    done
    for value in $system; do
      options "$stage/made" "$value" > "$stage/more" && mv "$stage/more" "$stage/made" || return
    done
    options "$stage/made" "$url" > "$stage/more" && mv "$stage/more" "$stage/made" || return
  fi
  cat "$stage/made"
}

main() {
  command -v curl > /dev/null || die "curl is needed."
  home
  unique_id=$(machine) os=python dist=
  begin

  ask_token
  url=${base%%://*}://${read_token:+$read_token:$password@}${base#*://}/pypi/simple/
  ask_summary
  # pip reads both files, and takes the value of the second where it has one.
  pip_conf=$HOME/.pip/pip.conf
  second=${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf
  if [ -r "$second" ] && [ -n "$(options "$second")" ]; then pip_conf=$second; fi
  replace "$pip_conf" with_url
  for name in PIP_CONFIG_FILE PIP_EXTRA_INDEX_URL VIRTUAL_ENV; do
    if [ -n "$(printenv "$name")" ]; then say "Note: $name is set here. What it leads to may count more than $pip_conf."; fi
  done
  finish "$pip_conf"
}

main
)
