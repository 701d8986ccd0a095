"""urllib takes the proxy from https_proxy and the CA from SSL_CERT_FILE."""

import os
import sys
import urllib.error
import urllib.request

request = urllib.request.Request(os.environ["URL"])
if "GRANT" in os.environ:
    request.add_header("X-Alter-Grant", os.environ["GRANT"])
if "FILE" in os.environ:
    request.data = open(os.environ["FILE"], "rb")
    request.add_header("Content-Type", "application/octet-stream")

try:
    response = urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    response = error

print(response.status, flush=True)
while chunk := response.read1(65536):
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
