"""Starting and stopping what is measured. Every server is one process, stopped by its pid."""
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(HERE)
CACHE = os.path.expanduser(os.environ.get("PARLOR_BENCH_CACHE", "~/.cache/parlor-bench"))
CORES = sorted(os.sched_getaffinity(0))
# The load generator and the provider share the first core, the server under test has the second.
LOAD_CORE = CORES[0]
SERVER_CORE = CORES[1] if len(CORES) > 1 else CORES[0]
STOP_SECONDS = 15


class CannotStart(Exception):
    """A server is missing, ended, or never got ready; the text says which."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


class Server:
    """A running process, pinned to one core, with its output in a log file."""

    def __init__(self, name, command, core, ready_url, log, env=None, cwd=None, ready_seconds=60):
        if not os.path.exists(command[0]):
            raise CannotStart(f"{name}: {command[0]} does not exist")
        self.name = name
        begun = time.monotonic()
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                env={**os.environ, **(env or {})}, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )
        self.pid = self.process.pid
        while status(ready_url) != 200:
            if self.process.poll() is not None:
                raise CannotStart(f"{name}: ended with {self.process.returncode} at its start: {tail(log)}")
            if time.monotonic() - begun > ready_seconds:
                self.stop()
                raise CannotStart(f"{name}: not ready within {ready_seconds} s: {tail(log)}")
            time.sleep(0.01)
        self.ready_after = time.monotonic() - begun

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def rss_mib(self, peak=False):
        with open(f"/proc/{self.pid}/status") as lines:
            for line in lines:
                if line.startswith("VmHWM:" if peak else "VmRSS:"):
                    return int(line.split()[1]) / 1024
        raise CannotStart(f"{self.name}: ended soon after its start")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as text:
            fields = text.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tail(log):
    with open(log, errors="replace") as lines:
        return " | ".join(lines.read().strip().splitlines()[-3:])[-500:]


def start_upstream(binaries, log, port=None):
    port = port or free_port()
    command = [os.path.join(binaries, "fake-upstream"), "--port", str(port)]
    server = Server("fake-upstream", command, LOAD_CORE, f"http://127.0.0.1:{port}/health", log)
    server.base = f"http://127.0.0.1:{port}"
    return server


def start(name, binaries, upstream, data, log):
    """Starts `floor`, `parlor` or `fastapi` on a data directory; the caller stops it."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    provider = upstream.base + "/v1"
    env, cwd = {}, None
    if name == "floor":
        command = [os.path.join(binaries, "floor"), "--port", str(port), "--upstream", provider]
        command += ["--db", database(name, data)]
    elif name.split("-")[0] == "parlor":
        command = [os.path.join(binaries, "parlor"), "serve"]
        cwd = data
        env = {
            "HOST": "127.0.0.1", "PORT": str(port), "DATA_DIR": data, "SECRET_KEY": secret(data),
            "GUEST_ACCESS": "on", "OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": provider,
            "CHAT__MODEL": "mock-0ms-20tok", "CHAT__MODELS": "*", "LOG_LEVEL": "info",
            # One client sends everything, which is what limits by client are made to stop.
            "RATE_LIMIT__PER_MINUTE": "0", "RATE_LIMIT__PER_HOUR": "0",
        }
        if name != "parlor":
            env["DATABASE_URL"] = new_database(name.removeprefix("parlor-"))
    elif name == "fastapi":
        command = [os.path.join(venv(), "bin", "python"), "-m", "uvicorn", "app:app", "--port", str(port)]
        cwd = os.path.join(HERE, "baselines", "fastapi_classic")
        env = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": provider, "DATABASE_URL": database(name, data),
               "PYTHONDONTWRITEBYTECODE": "1"}
    else:
        raise CannotStart(f"{name}: no such server")
    server = Server(name, command, SERVER_CORE, base + "/health", log, env, cwd)
    server.base = base
    return server


def database(name, data):
    """The SQLite file of a server's data directory; Parlor's is looked for, the others' is named here."""
    if name != "parlor":
        return os.path.join(data, "chat.db")
    found = [f for f in sorted(os.listdir(data)) if f.endswith((".db", ".sqlite", ".sqlite3"))]
    if not found:
        raise CannotStart("parlor: no SQLite file in its data directory")
    return os.path.join(data, found[0])


DATABASE_SERVERS = {"postgres": "PARLOR_TEST_POSTGRES_URL", "mysql": "PARLOR_TEST_MYSQL_URL"}


def client(kind, url):
    """The database server's own client, as a command that a statement is added to."""
    if kind == "postgres":
        return ["psql", url, "-qc"]
    # mysql://root@127.0.0.1:PORT/mysql
    user, place = url.split("://")[1].split("@")
    host, port = place.split("/")[0].split(":")
    return ["mariadb", f"--user={user}", f"--host={host}", f"--port={port}", "-e"]


def new_database(kind):
    """An empty database on the server that the environment names; it goes with that server."""
    url = os.environ.get(DATABASE_SERVERS[kind])
    if not url:
        raise CannotStart(f"{DATABASE_SERVERS[kind]} is not set: run this through scripts/services")
    name = f"parlor_bench_{secrets.token_hex(6)}"
    subprocess.run([*client(kind, url), f"CREATE DATABASE {name}"], check=True)
    return f"{url.rsplit('/', 1)[0]}/{name}"


def secret(data):
    """One random key for a data directory, as it may be started twice."""
    path = os.path.join(data, ".bench-secret")
    if not os.path.exists(path):
        with open(path, "w") as out:
            out.write(secrets.token_hex(32))
    with open(path) as text:
        return text.read()


def venv():
    return os.path.join(CACHE, "fastapi_classic")


def make_venv():
    """Installs the baseline's pinned requirements, once for each version of their list."""
    with open(os.path.join(HERE, "baselines", "fastapi_classic", "requirements.txt")) as text:
        wanted = text.read()
    mark = os.path.join(venv(), "installed.txt")
    if os.path.exists(mark):
        with open(mark) as text:
            if text.read() == wanted:
                return
    print("installing the FastAPI baseline into", venv(), flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv()], check=True)
    requirements = os.path.join(HERE, "baselines", "fastapi_classic", "requirements.txt")
    pip = [os.path.join(venv(), "bin", "pip"), "install", "-q", "--disable-pip-version-check", "-r", requirements]
    subprocess.run(pip, check=True, timeout=900)
    with open(mark, "w") as out:
        out.write(wanted)
