"""boto3 takes the proxy from HTTPS_PROXY and the CA from AWS_CA_BUNDLE.

It does not send a request without keys to sign it with. Any will do: the proxy takes the signature out.
URL is https://ENDPOINT/BUCKET/KEY; the grant is chosen by the user name of the proxy's address.
"""

import os
from urllib.parse import urlsplit

import boto3

url = urlsplit(os.environ["URL"])
bucket, key = url.path.lstrip("/").split("/", 1)

s3 = boto3.client(
    "s3",
    endpoint_url=f"{url.scheme}://{url.netloc}",
    region_name="us-east-1",
    aws_access_key_id="unused",
    aws_secret_access_key="unused",
)
response = s3.get_object(Bucket=bucket, Key=key)
print(response["ResponseMetadata"]["HTTPStatusCode"])
print(response["Body"].read().decode())
