"""Signs again, with botocore, what arrived at an upstream; one JSON object a line, answered line by line.

In: {"method", "target", "headers": [[name, value], ...], "secretKey", "s3"}; header values as Latin-1 text.
Out: {"signature", "signed": the names that were signed} as botocore makes them of the same date, scope and names.
"""
import json
import sys

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def sign(arrived):
    headers = [(name.lower(), value) for name, value in arrived["headers"]]
    only = dict(headers)
    parts = dict(part.strip().split("=", 1) for part in only["authorization"].split(" ", 1)[1].split(","))
    access_key, _, region, service, _ = parts["Credential"].split("/")
    names = parts["SignedHeaders"].split(";")
    request = AWSRequest(method=arrived["method"], url="https://%s%s" % (only["host"], arrived["target"]))
    for name, value in headers:
        if name in names:
            request.headers.add_header(name, value.encode("latin-1").decode("utf-8"))
    request.context["timestamp"] = only["x-amz-date"]
    kind = S3SigV4Auth if arrived["s3"] else SigV4Auth
    auth = kind(Credentials(access_key, arrived["secretKey"]), service, region)
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    signed = auth.signed_headers(auth.headers_to_sign(request)).split(";")
    return {"signature": signature, "signed": signed, "canonical": canonical}


for line in sys.stdin:
    print(json.dumps(sign(json.loads(line))), flush=True)
