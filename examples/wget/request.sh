#!/bin/sh
# wget takes the proxy from https_proxy. Built with GnuTLS, as by Debian, it reads no variable for the CA.
set -eu
wget --quiet --server-response --tries=1 --output-document=- --ca-certificate="$SSL_CERT_FILE" \
  ${GRANT:+--header "X-Alter-Grant: $GRANT"} \
  ${FILE:+--header 'Content-Type: application/octet-stream' --post-file "$FILE"} \
  "$URL"
