"""A small HTTP client that can be cut off in the middle of an answer and says which server gave it."""
import asyncio
import json

PATIENCE = 60


class Broken(Exception):
    """No whole answer came."""


class Answer:
    """The head of an answer, and what is still to be read."""

    def __init__(self, status, headers, reader, writer):
        self.status, self.headers, self.reader, self.writer = status, headers, reader, writer

    @property
    def upstream(self):
        """The last server that nginx asked."""
        return self.headers.get("x-upstream", "").split(",")[-1].strip()

    async def body(self):
        try:
            body = await asyncio.wait_for(self.reader.read(), PATIENCE)
        except (OSError, asyncio.TimeoutError) as error:
            raise Broken(repr(error)) from error
        finally:
            self.close()
        if len(body) < int(self.headers.get("content-length", 0)):
            raise Broken("the body was cut off")
        return body

    async def json(self):
        body = await self.body()
        try:
            return json.loads(body)
        except ValueError as error:
            raise Broken(f"no JSON: {body[:80]!r}") from error

    async def events(self):
        """The events of a stream, each with its id; ends where the stream does."""
        event = {}
        while True:
            try:
                line = await asyncio.wait_for(self.reader.readline(), PATIENCE)
            except (OSError, asyncio.TimeoutError) as error:
                raise Broken(repr(error)) from error
            if not line:
                return
            line = line.decode().rstrip("\r\n")
            if not line:
                if "data" in event:
                    yield int(event.get("id", 0)), event.get("event"), json.loads(event["data"])
                event = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                event[name] = value.removeprefix(" ")

    def close(self):
        self.writer.close()


async def ask(port, method, path, body=None, headers=None):
    """Sends one request; the answer's head has come when this returns."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.0", "Host: cluster.test", "Accept: */*", f"Content-Length: {len(data)}"]
    if body is not None:
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer = None
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
            await writer.drain()
            status = (await reader.readline()).split()
            if len(status) < 2:
                raise Broken("the connection ended before the answer")
            found = {}
            while line := (await reader.readline()).decode().strip():
                name, _, value = line.partition(":")
                found[name.lower()] = value.strip()
    except (OSError, TimeoutError, Broken) as error:
        if writer:
            writer.close()
        raise Broken(repr(error)) from error
    return Answer(int(status[1]), found, reader, writer)
