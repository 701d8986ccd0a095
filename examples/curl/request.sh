#!/bin/sh
# curl takes the proxy from HTTPS_PROXY and the CA from CURL_CA_BUNDLE.
set -eu
curl --silent --show-error --location --no-buffer --write-out '\n%{http_code}\n' \
  ${GRANT:+--header "X-Alter-Grant: $GRANT"} \
  ${FILE:+--header 'Content-Type: application/octet-stream' --data-binary "@$FILE"} \
  "$URL"
