"""httpx takes the proxy from HTTPS_PROXY and the CA from SSL_CERT_FILE."""

import os
import sys

import httpx

headers = {"X-Alter-Grant": os.environ["GRANT"]} if "GRANT" in os.environ else {}
content = open(os.environ["FILE"], "rb") if "FILE" in os.environ else None

with httpx.Client(headers=headers, follow_redirects=True) as client:
    with client.stream("POST" if content else "GET", os.environ["URL"], content=content) as response:
        print(response.status_code, flush=True)
        for chunk in response.iter_bytes():
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
