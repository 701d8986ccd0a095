"""boto3 as anybody uses it, with keys that mean nothing: called with the address of an S3 and the name of a bucket.

Prints what it saw as one JSON object. Raises what the server refuses.
"""
import hashlib
import json
import os
import sys
from html import unescape  # the server escapes what it lists twice

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

endpoint, bucket = sys.argv[1:3]
s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
)
seen = {}

for key in ["plain.txt", "a b/c+d ~!'()*.txt", "grün/日本/💥.txt"]:
    body = ("hello " + key).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"a": "one space"}, ContentType="text/plain; x=1")
    got = s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-4")
    assert got["Body"].read() == body[:5], key
    assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"a": "one space"}, key

seen["keys"] = [unescape(o["Key"]) for o in s3.list_objects_v2(Bucket=bucket, Prefix="")["Contents"]]
seen["under"] = [unescape(o["Key"]) for o in s3.list_objects_v2(Bucket=bucket, Prefix="a b/c+d", Delimiter="/")["Contents"]]

data = os.urandom(10 * 1024 * 1024)
with open(os.path.join(os.environ["HOME"], "ten"), "wb") as file:
    file.write(data)
s3.upload_file(
    file.name,
    bucket,
    "ten",
    Config=TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024),
)
got = s3.get_object(Bucket=bucket, Key="ten")["Body"].read()
seen["same"] = hashlib.sha256(got).digest() == hashlib.sha256(data).digest()

s3.delete_object(Bucket=bucket, Key="plain.txt")
s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "ten"}, {"Key": "grün/日本/💥.txt"}]})
seen["left"] = [unescape(o["Key"]) for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
print(json.dumps(seen))
