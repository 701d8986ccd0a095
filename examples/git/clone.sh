#!/bin/sh
# git takes the proxy from HTTPS_PROXY and the CA from GIT_SSL_CAINFO, and shows its key when the proxy has asked for it.
set -eu
into=$(mktemp -d)
trap 'rm -rf "$into"' EXIT
git ${GRANT:+-c "http.extraHeader=X-Alter-Grant: $GRANT"} clone --quiet "$URL" "$into/clone"
git -C "$into/clone" log --format=%s
