"""requests takes the proxy from HTTPS_PROXY and the CA from REQUESTS_CA_BUNDLE."""

import os
import sys

import requests

headers = {"X-Alter-Grant": os.environ["GRANT"]} if "GRANT" in os.environ else {}

if "FILE" in os.environ:
    with open(os.environ["FILE"], "rb") as file:
        response = requests.post(os.environ["URL"], headers=headers, data=file, stream=True)
else:
    response = requests.get(os.environ["URL"], headers=headers, stream=True)

print(response.status_code, flush=True)
for chunk in response.iter_content(chunk_size=None):
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
