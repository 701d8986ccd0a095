"""aiohttp takes the proxy from HTTPS_PROXY only with trust_env=True, and the CA from SSL_CERT_FILE."""

import asyncio
import os
import sys

import aiohttp


async def main() -> None:
    headers = {"X-Alter-Grant": os.environ["GRANT"]} if "GRANT" in os.environ else {}
    data = open(os.environ["FILE"], "rb") if "FILE" in os.environ else None
    # Headers of the session would go onto the CONNECT as well, and hold for every host that the session is sent on to.
    async with aiohttp.ClientSession(trust_env=True) as session:
        async with session.request("POST" if data else "GET", os.environ["URL"], data=data, headers=headers) as response:
            print(response.status, flush=True)
            async for chunk in response.content.iter_any():
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()


asyncio.run(main())
