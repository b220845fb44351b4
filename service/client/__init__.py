"""A client of this server, in plain and in asyncio form. It needs httpx, and nothing of the server.

NumPy is imported once a mask is asked for or an array is sent, Pillow once it has to write a
picture.
"""

from service.client.async_client import AsyncClient
from service.client.client import Client
from service.client.errors import ClientError, RefusedError, UnansweredError

__all__ = ["AsyncClient", "Client", "ClientError", "RefusedError", "UnansweredError"]
