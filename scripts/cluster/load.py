"""Clients of a cluster. Each sends messages that no other sends, in its own dialect, and writes down what became of each."""
import asyncio
import itertools
import random
import time
from dataclasses import dataclass, field

from wire import Broken, ask

# A client that was told to come again does so for as long.
RETRIES_FOR = 45
PASSWORD = "correct horse 42"


@dataclass
class Try:
    """One request."""
    began: float
    ended: float
    status: int
    upstream: str
    retry_after: bool = False
    why: str = ""


@dataclass
class Message:
    """One message of a client, however often it was sent."""
    dialect: str
    text: str
    tries: list = field(default_factory=list)
    answer: str = None
    ended_with: str = None
    resumes: int = 0
    servers: set = field(default_factory=set)
    faults: list = field(default_factory=list)

    @property
    def is_acknowledged(self):
        return self.answer is not None


class Load:
    def __init__(self, port):
        self.port, self.numbers, self.messages = port, itertools.count(1), []
        self.is_over = False
        self.accounts = []

    async def prepare(self, accounts):
        """Signs people up, before anything fails."""
        self.accounts = [await self.account() for _ in range(accounts)]

    def words(self, count):
        number = next(self.numbers)
        return " ".join([f"message-{number}", *(f"w{number}.{word}" for word in range(count - 1))])

    async def once(self, message, method, path, body, headers=None):
        """One request, written down; `None` where it was not answered with 2xx."""
        began = time.monotonic()
        try:
            answer = await ask(self.port, method, path, body, headers)
        except Broken as broken:
            message.tries.append(Try(began, time.monotonic(), 0, "", why=str(broken)))
            return None
        message.servers.add(answer.upstream)
        if answer.status // 100 != 2:
            why = ""
            try:
                why = (await answer.body())[:200].decode(errors="replace")
            except Broken:
                pass
            message.tries.append(Try(began, time.monotonic(), answer.status, answer.upstream, "retry-after" in answer.headers, why))
            return None
        message.tries.append(Try(began, time.monotonic(), answer.status, answer.upstream))
        return answer

    async def until_answered(self, message, path, body, headers, read):
        """Sends a message until it is answered, always with the same Idempotency-Key."""
        end = time.monotonic() + RETRIES_FOR
        while time.monotonic() < end:
            answer = await self.once(message, "POST", path, body, headers)
            if answer is not None:
                try:
                    message.answer = read(await answer.json())
                    message.tries[-1].ended = time.monotonic()
                    return
                except Broken as broken:
                    message.tries[-1].status, message.tries[-1].why = 0, str(broken)
                    message.tries[-1].ended = time.monotonic()
            if message.tries[-1].status in (0, 502):
                # Its turn may have been killed, and be over.
                end = min(end, time.monotonic() + 10)
            await asyncio.sleep(0.5)

    async def account(self):
        name = f"user{next(self.numbers)}"
        setup = Message("setup", name)
        registration = {"email": f"{name}@cluster.test", "password": PASSWORD}
        answer = await self.once(setup, "POST", "/api/v1/auth/register", registration)
        if answer is None:
            raise SystemExit(f"registering failed: {setup.tries}")
        answer.close()
        answer = await self.once(setup, "POST", "/api/v1/auth/login", registration)
        return {"Authorization": f"Bearer {(await answer.json())['access_token']}"}

    async def talk(self, dialect, path, body, read, headers=None, words=8):
        """A client that sends one message after the other."""
        while not self.is_over:
            text = self.words(words)
            message = Message(dialect, text)
            self.messages.append(message)
            keyed = {**(headers or {}), "Idempotency-Key": text.split()[0]}
            await self.until_answered(message, path, body(text), keyed, read)
            await asyncio.sleep(random.uniform(0.1, 0.4))

    async def classic(self):
        guest = f"guest{next(self.numbers)}"
        await self.talk("classic", "/chat", lambda text: {"message": text, "user_id": guest}, lambda body: body["response"])

    async def full_chatbot(self):
        user = next(self.numbers)
        body = lambda text: {"message": text, "user_id": user, "message_id": text.split()[0][-18:], "message_count": 1, "conversation_id": ""}
        await self.talk("full_chatbot", "/chat-message", body, lambda body: body["message"])

    async def native(self):
        await self.talk("native", "/api/v1/chat/send", lambda text: {"message": text}, lambda body: body["response"], self.accounts.pop())

    async def mvp(self):
        await self.talk("mvp", "/chat/send", lambda text: {"message": text}, lambda body: body["message"]["content"], self.accounts.pop())

    async def advanced(self):
        await self.talk("advanced", "/api/chat", lambda text: {"message": text}, lambda body: body["reply"], self.accounts.pop())

    async def openai(self):
        headers = self.accounts.pop()
        body = lambda text: {"model": "mock-echo-40ms", "messages": [{"role": "user", "content": text}]}
        while not self.is_over:
            # No turn stands behind it: what broke off is asked for anew, as another message.
            message = Message("openai", self.words(8))
            self.messages.append(message)
            answer = await self.once(message, "POST", "/v1/chat/completions", body(message.text), headers)
            if answer is not None:
                try:
                    message.answer = (await answer.json())["choices"][0]["message"]["content"]
                except Broken as broken:
                    message.tries[-1].status, message.tries[-1].why = 0, str(broken)
            message.tries[-1].ended = time.monotonic()
            await asyncio.sleep(random.uniform(0.1, 0.4))

    async def stream(self):
        """A reader of long streams who loses every connection sooner or later, and goes on with Last-Event-ID wherever nginx sends it."""
        headers = self.accounts.pop()
        while not self.is_over:
            message = Message("stream", self.words(60))
            self.messages.append(message)
            await self.read(message, headers)
            await asyncio.sleep(0.2)

    async def read(self, message, headers):
        said, last, answer_id = [], 0, None
        end = time.monotonic() + RETRIES_FOR
        while time.monotonic() < end:
            if answer_id is None:
                keyed = {**headers, "Idempotency-Key": message.text.split()[0]}
                answer = await self.once(message, "POST", "/api/v1/chat/stream", {"message": message.text}, keyed)
            else:
                message.resumes += 1
                path = f"/api/v1/chat/messages/{answer_id}/stream"
                answer = await self.once(message, "GET", path, None, {**headers, "Last-Event-ID": str(last)})
            if answer is None:
                await asyncio.sleep(0.3)
                continue
            leave_after = random.randrange(5, 40)
            try:
                async for number, kind, data in answer.events():
                    if number != last + 1:
                        message.faults.append(f"event {number} came after {last}")
                    last = number
                    if kind == "start":
                        answer_id = data["message_id"]
                    elif kind == "chunk":
                        said.append(data["content"])
                    elif kind in ("done", "error"):
                        message.ended_with = kind if kind == "done" else f"error: {data.get('code')}"
                        if kind == "done":
                            message.answer = "".join(said)
                        return
                    leave_after -= 1
                    if leave_after == 0:
                        break
            except Broken as broken:
                message.tries[-1].why = str(broken)
            finally:
                message.tries[-1].ended = time.monotonic()
                answer.close()
        message.faults.append("it never ended")

    def clients(self):
        kinds = [self.classic, self.full_chatbot, self.native, self.mvp, self.advanced, self.openai]
        return [*(kind() for kind in kinds for _ in range(2)), *(self.stream() for _ in range(6))]
