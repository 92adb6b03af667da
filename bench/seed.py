"""Filling a database before its server starts, for the table of flatness.

Among `conversations` conversations of one user, MEASURED have `messages_in_one` messages each, the
others SHORT. A measured turn makes its conversation longer by two, so the turns go round over several
conversations and each stays about as long as it was made. Every function returns the user and the
ids of the measured conversations: {"user": str, "conversation_ids": [int, ...]}.
"""
import sqlite3

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
    raise NotImplementedError("seed_parlor is not written yet")
