"""Filling a database before its server starts, for the table of flatness; and, run by itself, for a transfer.

    python3 bench/seed.py FILE --messages 1000000    # a file that `parlor migrate` has made

Among `conversations` conversations of one user, MEASURED have `messages_in_one` messages each, the
others SHORT. A measured turn makes its conversation longer by two, so the turns go round over several
conversations and each stays about as long as it was made. Every function returns the user and the
ids of the measured conversations: {"user": str, "conversation_ids": [int, ...]}.
"""
import argparse
import random
import sqlite3
import time

USER = "bench"
MEASURED = 50
# What every other conversation holds: one question and its answer.
SHORT = 2
QUESTION = "What are the opening hours of the shop on public holidays?"
ANSWER = "The shop is open from ten to four on public holidays, except on the first of January."

CLASSIC = """
CREATE TABLE IF NOT EXISTS conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id INTEGER,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant')), content TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (conversation_id) REFERENCES conversations(id));
"""


def contents(count):
    """Role and text of `count` messages that take turns."""
    for number in range(count):
        yield ("user", QUESTION) if number % 2 == 0 else ("assistant", ANSWER)


def seed_classic(db_path, conversations, messages_in_one):
    """The document's schema, for the floor and the FastAPI baseline."""
    connection = sqlite3.connect(db_path)
    with connection:
        connection.executescript(CLASSIC)
        connection.executemany(
            "INSERT INTO conversations (id, user_id) VALUES (?, ?)",
            ((number, USER) for number in range(1, conversations + 1)),
        )
        connection.executemany(
            "INSERT INTO messages (conversation_id, role, content) VALUES (?, ?, ?)",
            (
                (number, role, content)
                for number in range(1, conversations + 1)
                for role, content in contents(messages_in_one if number <= MEASURED else SHORT)
            ),
        )
    connection.close()
    return {"user": USER, "conversation_ids": list(range(1, MEASURED + 1))}


def seed_parlor(db_path, conversations, messages_in_one):
    """Parlor's own schema, in a file that Parlor has made and closed; the user is a classic guest."""
    connection = sqlite3.connect(db_path)
    now = int(time.time() * 1_000_000)
    # As Parlor's own ids: sixteen digits, in no order.
    ids = random.Random(conversations).sample(range(10**15, 2**53), conversations)
    with connection:
        account = connection.execute(
            "INSERT INTO accounts (role, guest_realm, guest_key, created_at, updated_at) VALUES ('guest', 'classic', ?, ?, ?)",
            (USER, now, now),
        ).lastrowid
        for number, conversation in enumerate(ids):
            count = messages_in_one if number < MEASURED else SHORT
            seed_parlor_conversation(connection, account, conversation, count, now + number)
    connection.close()
    return {"user": USER, "conversation_ids": ids[:MEASURED]}


def seed_parlor_conversation(connection, account, conversation, count, now):
    connection.execute(
        "INSERT INTO conversations (id, account_id, title, last_message, message_count, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (conversation, account, QUESTION[:60], ANSWER, count, now, now),
    )
    parent = question = None
    for role, content in contents(count):
        message = connection.execute(
            "INSERT INTO messages (conversation_id, parent_id, role, content, tokens, created_at, updated_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (conversation, parent, role, content, -(-len(content.encode()) // 4), now, now),
        ).lastrowid
        if role == "user":
            question = message
        else:
            connection.execute(
                "INSERT INTO turns (account_id, conversation_id, user_message_id, answer_message_id, state, "
                "requested_model, started_at, ended_at) VALUES (?, ?, ?, ?, 'complete', 'seed', ?, ?)",
                (account, conversation, question, message, now, now),
            )
        parent = message
    connection.execute("UPDATE conversations SET head_message_id = ? WHERE id = ?", (parent, conversation))


# What a conversation holds in a database that is to be transferred, and how many of them an account has.
PER_CONVERSATION = 10
PER_ACCOUNT = 100


def seed_many(db_path, messages):
    """Parlor's own schema with so many messages of some length, their turns, and a ledger line for each turn."""
    connection = sqlite3.connect(db_path)
    connection.execute("PRAGMA synchronous = OFF")
    rng = random.Random(messages)
    words = (QUESTION + " " + ANSWER).split()
    texts = [" ".join(rng.choices(words, k=rng.randint(4, 120))) for _ in range(1000)]
    now = int(time.time() * 1_000_000)
    conversations = messages // PER_CONVERSATION
    ids = random.Random(conversations).sample(range(10**15, 2**53), conversations)
    with connection:
        accounts = [
            (number, f"seed-{number}", now, now) for number in range(1, conversations // PER_ACCOUNT + 2)
        ]
        connection.executemany(
            "INSERT INTO accounts (id, role, guest_realm, guest_key, created_at, updated_at) VALUES (?, 'guest', 'classic', ?, ?, ?)",
            accounts,
        )
        connection.executemany(
            "INSERT INTO conversations (id, account_id, title, head_message_id, last_message, message_count, created_at, updated_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (id, number // PER_ACCOUNT + 1, texts[number % 1000][:60], (number + 1) * PER_CONVERSATION,
                 texts[number % 999][:500], PER_CONVERSATION, now + number, now + number)
                for number, id in enumerate(ids)
            ),
        )
        connection.executemany(
            "INSERT INTO messages (id, conversation_id, parent_id, role, content, tokens, created_at, updated_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (number + 1, ids[number // PER_CONVERSATION], number if number % PER_CONVERSATION else None,
                 "assistant" if number % 2 else "user", texts[number % 1000], 20, now + number, now + number)
                for number in range(conversations * PER_CONVERSATION)
            ),
        )
        answers = range(2, conversations * PER_CONVERSATION + 1, 2)
        connection.executemany(
            "INSERT INTO turns (account_id, conversation_id, user_message_id, answer_message_id, state, requested_model, "
            "chunk_ends, started_at, ended_at) VALUES (?, ?, ?, ?, 'complete', 'seed', ?, ?, ?)",
            (
                ((answer - 1) // PER_CONVERSATION // PER_ACCOUNT + 1, ids[(answer - 1) // PER_CONVERSATION], answer - 1,
                 answer, bytes(range(20)), now + answer, now + answer)
                for answer in answers
            ),
        )
        connection.execute(
            "INSERT INTO usage_ledger (account_id, conversation_id, turn_id, kind, provider, model, prompt_tokens, "
            "completion_tokens, is_estimated, created_at) "
            "SELECT account_id, conversation_id, id, 'chat', 'seed', 'seed', 20, 20, 0, started_at FROM turns"
        )
    connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fill a database that `parlor migrate` has made.")
    parser.add_argument("file")
    parser.add_argument("--messages", type=int, default=1_000_000)
    options = parser.parse_args()
    seed_many(options.file, options.messages)
