"""The classic chatbot backend (seeds/000) in FastAPI, as its document describes it.

The baseline of the benchmarks. Synchronous endpoints (FastAPI runs them on its thread pool), the
`openai` client, one sqlite3 connection behind a lock, a commit after every write.

Environment: OPENAI_API_KEY, OPENAI_BASE_URL, DATABASE_URL (a path or sqlite:///path).
Run: uvicorn app:app --port 8000
"""
import logging
import os
import sqlite3
import threading
from contextlib import asynccontextmanager
from datetime import datetime
from typing import List, Optional

from dotenv import load_dotenv
from fastapi import FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from openai import OpenAI
from pydantic import BaseModel

load_dotenv()
logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)

OPENAI_API_KEY = os.getenv("OPENAI_API_KEY", "")
OPENAI_BASE_URL = os.getenv("OPENAI_BASE_URL") or None
DATABASE_PATH = os.getenv("DATABASE_URL", "chatbot.db").removeprefix("sqlite:///")

SYSTEM_PROMPT = "You are a helpful assistant chatbot."
FALLBACK = "I'm sorry, I'm having trouble answering right now. Please try again later."

SCHEMA = """
CREATE TABLE IF NOT EXISTS conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id INTEGER,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    content TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (conversation_id) REFERENCES conversations(id)
);
"""


class ChatRequest(BaseModel):
    message: str
    conversation_id: Optional[int] = None
    user_id: str = "default_user"


class ChatResponse(BaseModel):
    response: str
    conversation_id: int


class ConversationCreate(BaseModel):
    user_id: str


class ConversationResponse(BaseModel):
    id: int
    user_id: str


class DatabaseManager:
    def __init__(self, path: str):
        self.path = path
        self.lock = threading.Lock()
        self.connection: Optional[sqlite3.Connection] = None

    def connect(self):
        self.connection = sqlite3.connect(self.path, check_same_thread=False)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.executescript(SCHEMA)
        self.connection.commit()
        logger.info("connected to the database")

    def close(self):
        if self.connection:
            self.connection.close()

    def _write(self, sql: str, *values):
        with self.lock:
            cursor = self.connection.execute(sql, values)
            self.connection.commit()
            return cursor

    def _read(self, sql: str, *values):
        with self.lock:
            return self.connection.execute(sql, values).fetchall()

    def create_conversation(self, user_id: str) -> int:
        return self._write("INSERT INTO conversations (user_id) VALUES (?)", user_id).lastrowid

    def get_conversation(self, conversation_id: int):
        rows = self._read("SELECT id, user_id, created_at FROM conversations WHERE id = ?", conversation_id)
        return rows[0] if rows else None

    def save_message(self, conversation_id: int, role: str, content: str) -> int:
        sql = "INSERT INTO messages (conversation_id, role, content) VALUES (?, ?, ?)"
        return self._write(sql, conversation_id, role, content).lastrowid

    def get_conversation_history(self, conversation_id: int):
        sql = "SELECT id, role, content, created_at FROM messages WHERE conversation_id = ? ORDER BY created_at, id"
        return self._read(sql, conversation_id)

    def get_all_conversations(self, user_id: str):
        sql = """
            SELECT c.id, c.user_id, c.created_at,
                   COALESCE(MAX(m.created_at), c.created_at) AS updated_at,
                   COUNT(m.id) AS message_count,
                   (SELECT content FROM messages WHERE conversation_id = c.id AND role = 'user'
                    ORDER BY id LIMIT 1) AS title,
                   (SELECT content FROM messages WHERE conversation_id = c.id
                    ORDER BY id DESC LIMIT 1) AS last_message
            FROM conversations c LEFT JOIN messages m ON m.conversation_id = c.id
            WHERE c.user_id = ? GROUP BY c.id ORDER BY c.created_at DESC
        """
        return self._read(sql, user_id)

    def delete_conversation(self, conversation_id: int) -> bool:
        with self.lock:
            self.connection.execute("DELETE FROM messages WHERE conversation_id = ?", (conversation_id,))
            cursor = self.connection.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
            self.connection.commit()
            return cursor.rowcount > 0


class ChatService:
    def __init__(self):
        self.client = OpenAI(api_key=OPENAI_API_KEY, base_url=OPENAI_BASE_URL)

    def generate_response(self, history) -> str:
        messages = [{"role": "system", "content": SYSTEM_PROMPT}]
        messages += [{"role": role, "content": content} for role, content in history]
        try:
            completion = self.client.chat.completions.create(
                model="gpt-3.5-turbo", messages=messages, temperature=0.7, max_tokens=500
            )
            return completion.choices[0].message.content
        except Exception:
            logger.exception("the OpenAI call failed")
            return FALLBACK


db = DatabaseManager(DATABASE_PATH)
chat_service = ChatService()


@asynccontextmanager
async def lifespan(_: FastAPI):
    db.connect()
    yield
    db.close()


app = FastAPI(title="AI Chatbot API", version="1.0.0", lifespan=lifespan)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["http://localhost:3000"],
    allow_credentials=True,
    allow_methods=["*"],
    allow_headers=["*"],
)


@app.get("/health")
async def health_check():
    return {"status": "healthy", "timestamp": datetime.now().isoformat(), "database": "connected"}


@app.get("/api")
async def api_status():
    return {"message": "API is running", "version": "1.0.0"}


def existing(conversation_id: int):
    conversation = db.get_conversation(conversation_id)
    if conversation is None:
        raise HTTPException(status_code=404, detail="Conversation not found")
    return conversation


@app.post("/chat", response_model=ChatResponse)
def chat(request: ChatRequest):
    try:
        conversation_id = request.conversation_id
        if conversation_id is None:
            conversation_id = db.create_conversation(request.user_id)
        else:
            existing(conversation_id)
        db.save_message(conversation_id, "user", request.message)
        history = [(row["role"], row["content"]) for row in db.get_conversation_history(conversation_id)]
        answer = chat_service.generate_response(history)
        db.save_message(conversation_id, "assistant", answer)
        return ChatResponse(response=answer, conversation_id=conversation_id)
    except HTTPException:
        raise
    except Exception:
        logger.exception("the chat request failed")
        raise HTTPException(status_code=500, detail="Internal server error")


@app.post("/conversations", response_model=ConversationResponse)
def create_conversation(request: ConversationCreate):
    return ConversationResponse(id=db.create_conversation(request.user_id), user_id=request.user_id)


@app.get("/conversations/{conversation_id}/messages")
def conversation_messages(conversation_id: int) -> List[dict]:
    existing(conversation_id)
    return [dict(row) for row in db.get_conversation_history(conversation_id)]


@app.get("/conversations/user/{user_id}")
def user_conversations(user_id: str) -> List[dict]:
    return [dict(row) for row in db.get_all_conversations(user_id)]


@app.get("/conversations/{conversation_id}/full")
def full_conversation(conversation_id: int) -> dict:
    conversation = dict(existing(conversation_id))
    conversation["messages"] = [dict(row) for row in db.get_conversation_history(conversation_id)]
    return conversation


@app.delete("/conversations/{conversation_id}")
def delete_conversation(conversation_id: int) -> dict:
    if not db.delete_conversation(conversation_id):
        raise HTTPException(status_code=404, detail="Conversation not found")
    return {"message": "Conversation deleted successfully"}
