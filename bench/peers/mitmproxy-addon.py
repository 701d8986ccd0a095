"""Sets one header on every request, dials 127.0.0.1 whatever the name, and lets bodies pass as they come."""

import os

value = os.environ["HEADER_VALUE"]
address = ("127.0.0.1", int(os.environ["UPSTREAM_PORT"]))


def server_connect(data):
    data.server.sni = data.server.sni or data.server.address[0]
    data.server.address = address


def requestheaders(flow):
    flow.request.headers["Authorization"] = value
    if int(flow.request.headers.get("Content-Length", "0")) > 65536:
        flow.request.stream = True


def responseheaders(flow):
    flow.response.stream = flow.response.status_code != 101
