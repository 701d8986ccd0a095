#!/bin/sh
# A push is a POST with the objects as its body, chunked where they are larger than http.postBuffer.
set -eu
into=$(mktemp -d)
trap 'rm -rf "$into"' EXIT
header=${GRANT:+"http.extraHeader=X-Alter-Grant: $GRANT"}
git ${header:+-c "$header"} clone --quiet "$URL" "$into/clone"
cd "$into/clone"
cp "$FILE" upload
git add upload
git -c user.name=Example -c user.email=example@example.com commit --quiet --message 'Upload'
git ${header:+-c "$header"} push --quiet origin HEAD
git log --format=%s
