#!/usr/bin/env python3
"""Measures a search among one person's messages: python3 bench/search.py

Builds Parlor (profile `perf`), seeds a SQLite file, and asks `GET /api/v1/conversations?q=` for words that are rare, frequent and nowhere;
beside it, in the same file, a scan of all messages with LIKE. Then it deletes the account.
"""
import argparse
import json
import os
import random
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time
import urllib.request
from urllib.parse import urlencode

from servers import REPO

PASSWORD = "a long password"
PER_CONVERSATION = 10
# For one word.
SCAN = """SELECT id FROM conversations WHERE account_id = 1 AND is_archived = 0 AND (title LIKE ?1 OR id IN (
    SELECT m.conversation_id FROM conversations mine JOIN messages m ON m.conversation_id = mine.id
    WHERE mine.account_id = 1 AND m.content LIKE ?1)) ORDER BY is_pinned DESC, updated_at DESC, id DESC LIMIT 21"""


def vocabulary(rng):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(rng.choices(letters, k=rng.randint(3, 11))) for _ in range(30_000)]


def seed(path, messages):
    """So many messages of one account; their words are distributed as those of languages are, 80 in the middle."""
    rng = random.Random(messages)
    words = vocabulary(rng)
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    now = int(time.time() * 1_000_000)
    ids = rng.sample(range(10**15, 2**53), messages // PER_CONVERSATION)
    with connection:
        for number, conversation in enumerate(ids):
            connection.execute(
                "INSERT INTO conversations (id, account_id, title, message_count, created_at, updated_at) VALUES (?, 1, ?, ?, ?, ?)",
                (conversation, "Seeded", PER_CONVERSATION, now, now + number),
            )
            for _ in range(PER_CONVERSATION):
                content = " ".join(rng.choices(words, weights, k=rng.randint(10, 150)))
                connection.execute(
                    "INSERT INTO messages (conversation_id, role, content, tokens, created_at, updated_at) VALUES (?, 'user', ?, ?, ?, ?)",
                    (conversation, content, len(content) // 4, now, now),
                )
    connection.close()
    return {"frequent": words[0], "usual": words[300], "rare": words[-1], "nowhere": "qqqqqqqqqqqq"}


class Server:
    def __init__(self, parlor, folder, worker):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.base = f"http://127.0.0.1:{free.getsockname()[1]}"
        environment = {"PATH": os.environ["PATH"], "DATA_DIR": folder, "JOBS__IN_SERVER": worker, "LOG_LEVEL": "warn"}
        environment["LIMITS__PER_MINUTE"] = environment["LIMITS__PER_HOUR"] = "0"
        command = [parlor, "serve", "--port", self.base.rsplit(":", 1)[1], "--generate-secret"]
        self.process = subprocess.Popen(command, env=environment, cwd=folder)
        for _ in range(600):
            try:
                urllib.request.urlopen(self.base + "/health", timeout=1).read()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server does not answer")

    def call(self, method, path, body=None, token=None):
        request = urllib.request.Request(self.base + path, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        data = None
        if isinstance(body, str):
            data = body.encode()
        elif body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=600) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def median_ms(action, times):
    took = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--parlor", help="the program [default: built with the profile perf]")
    options = parser.parse_args()
    parlor = options.parlor and os.path.abspath(options.parlor)
    if not parlor:
        subprocess.run(["cargo", "build", "--locked", "--profile", "perf", "-p", "parlor"], cwd=REPO, check=True)
        parlor = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(REPO, "target")), "perf", "parlor")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chatbot.db")
        login = {"email": "bench@example.com", "password": PASSWORD}
        server = Server(parlor, folder, "off")
        server.call("POST", "/api/v1/auth/register", login)
        server.stop()
        words = seed(path, options.messages)
        size = os.path.getsize(path)
        server = Server(parlor, folder, "on")
        token = server.call("POST", "/api/v1/auth/login", urlencode({"username": login["email"], "password": PASSWORD}))["access_token"]
        connection = sqlite3.connect(path)
        began = time.monotonic()
        behind = "SELECT (SELECT MAX(id) FROM messages) - COALESCE((SELECT MAX(message_id) FROM search_cursor), 0)"
        while connection.execute(behind).fetchone()[0] > 0:
            time.sleep(1)
        took = time.monotonic() - began
        grown = (os.path.getsize(path) - size) / size
        print(f"{options.messages} messages, {size / 2**20:.0f} MiB, indexed in {took:.0f} s with rests; the file grew by {grown:.0%}")
        print(f"{'word':<10} {'found':>6} {'index ms':>9} {'scan ms':>9} {'ratio':>7}")
        for name, word in words.items():
            search = lambda: server.call("GET", f"/api/v1/conversations?q={word}", token=token)
            found = len(search()["items"])
            by_index = median_ms(search, 15)
            by_scan = median_ms(lambda: connection.execute(SCAN, (f"%{word}%",)).fetchall(), 3)
            print(f"{name:<10} {found:>6} {by_index:>9.2f} {by_scan:>9.1f} {by_scan / by_index:>7.0f}")
        connection.close()
        began = time.monotonic()
        server.call("DELETE", "/api/v1/users/me", {"password": PASSWORD}, token)
        print(f"erased with the account in {time.monotonic() - began:.1f} s")
        server.stop()


if __name__ == "__main__":
    main()
