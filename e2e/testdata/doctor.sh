# What cloudfront-doctor says of CloudFront as setup-cloudfront made it, told by
# AWS and by requests alone; and of a server that has ANOTHER secret.
. "$LIB"
export PACKAGECLOUD_DATA_DIRECTORY=$work/data
doctor=(packagecloud-ctl cloudfront-doctor)

# examine STATUS FAULTS COMMAND...: it ends so, and tells of these and no others.
examine() {
  local status=$1 faults=$2 got=0 out
  shift 2
  out=$("$@" 2> errors) || got=$?
  if [ $got != "$status" ] || [ "$(sed -n 's/^BROKEN *\([^:]*\):.*/\1/p' <<< "$out")" != "$faults" ]; then
    fail "$* ended with $got, not $status and \"$faults\": $out $(cat errors)"
  fi
  if grep -qF -e "$PACKAGECLOUD_CLOUDFRONT_SECRET" -e "$ANOTHER" <<< "$out$(cat errors)"; then fail "a secret is told: $out"; fi
  cat <<< "$out"
}

nothing=http://127.0.0.1:9
for aws in "$AWS_ENDPOINT_URL" $nothing; do
  export AWS_ENDPOINT_URL=$aws
  out=$(examine 0 '' "${doctor[@]}")
  [[ $out == *'All is well.'* && $out != *'not so'* ]] || fail "healthy, and it says: $out"
  if [ "$aws" = $nothing ]; then only='only requests tell'; else only=; fi
  [[ $out == *"$only"* ]] || fail "it does not say that AWS was not asked: $out"
  out=$(examine 1 wrong-secret env PACKAGECLOUD_CLOUDFRONT_SECRET="$ANOTHER" "${doctor[@]}")
  [[ $out == *'another secret'* && $out == *'link was not made by the package server'* ]] || fail "with another secret it says: $out"
done
