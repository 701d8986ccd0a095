"""websockets before version 15 knows no proxy: it is given a socket that http.client has opened through HTTPS_PROXY. The CA
comes from SSL_CERT_FILE. URL begins with wss://, and the server is to send back what it is sent."""

import asyncio
import base64
import http.client
import os
import ssl
from urllib.parse import urlsplit

import websockets

url = urlsplit(os.environ["URL"])
proxy = urlsplit(os.environ["HTTPS_PROXY"])
headers = {"X-Alter-Grant": os.environ["GRANT"]} if "GRANT" in os.environ else {}
named = "additional_headers" if int(websockets.__version__.split(".")[0]) >= 14 else "extra_headers"


def tunnel():
    key = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
    connection = http.client.HTTPConnection(proxy.hostname, proxy.port)
    connection.set_tunnel(url.hostname, url.port or 443, {"Proxy-Authorization": f"Basic {key}"})
    connection.connect()
    connection.sock.setblocking(False)
    return connection.sock


async def main() -> None:
    context = ssl.create_default_context()
    async with websockets.connect(
        url.geturl(), sock=tunnel(), ssl=context, server_hostname=url.hostname, **{named: headers}
    ) as socket:
        print(101, flush=True)
        await socket.send("hello")
        print(await socket.recv(), flush=True)


asyncio.run(main())
