"""The servers of a cluster: each a process in a private folder, on a free port of the loopback, stopped by its number."""
import asyncio
import glob
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
STARTS_WITHIN = 60
IS_ROOT = os.getuid() == 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


async def until(what, condition, seconds=STARTS_WITHIN):
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds} s in vain until {what}")
        await asyncio.sleep(0.05)


async def listens(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


class Process:
    """A server that can be stopped, killed and started again on the same port."""

    def __init__(self, folder, name, command, env=None):
        self.name, self.command, self.env = name, command, env
        self.log = os.path.join(folder, f"{name}.log")
        self.child = None

    def spawn(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, env={**os.environ, **(self.env or {})}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    async def start(self, port):
        self.spawn()

        async def ready():
            if self.child.poll() is not None:
                with open(self.log, errors="replace") as log:
                    raise SystemExit(f"{self.name} ended at its start:\n{log.read()[-2000:]}")
            return await listens(port)

        await until(f"{self.name} listens", ready)

    async def stop(self, how=signal.SIGTERM):
        if self.child and self.child.poll() is None:
            self.child.send_signal(how)
            await asyncio.to_thread(self.child.wait)


class Postgres:
    def __init__(self, folder):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.data, self.port = os.path.join(folder, "postgres"), free_port()
        self.log = os.path.join(folder, "postgres.log")
        os.mkdir(self.data)
        if IS_ROOT:
            shutil.chown(self.data, "postgres", "postgres")
        open(self.log, "w").close()
        os.chmod(self.log, 0o666)

    def run(self, *command, **more):
        become = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"] if IS_ROOT else []
        return subprocess.run([*become, os.path.join(self.bin, command[0]), *command[1:]], check=True, stdout=subprocess.DEVNULL, **more)

    def control(self, *what):
        self.run("pg_ctl", "-D", self.data, "-w", "-l", self.log, "-o", f"-p {self.port} -k {self.data} -c listen_addresses=127.0.0.1 -c max_connections=300", *what, cwd="/")

    async def start(self):
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", cwd="/")
        await asyncio.to_thread(self.control, "start")
        self.query("CREATE DATABASE cluster", "postgres")

    @property
    def url(self):
        return f"postgresql://postgres@127.0.0.1:{self.port}/cluster"

    def query(self, sql, database="cluster"):
        """The rows of a query, as lists of texts."""
        command = ["psql", "-qtA", "-F", "\t", "-v", "ON_ERROR_STOP=1", f"postgresql://postgres@127.0.0.1:{self.port}/{database}", "-c", sql]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [line.split("\t") for line in out.splitlines() if line]

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop", cwd="/")


class Cluster:
    """PostgreSQL, Redis, a fake provider, three replicas and nginx before them."""

    def __init__(self, folder):
        self.folder = folder
        self.postgres = Postgres(folder)
        self.redis_port, self.provider_port, self.port = free_port(), free_port(), free_port()
        target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
        redis_command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.redis_port), "--save", "", "--appendonly", "no", "--dir", folder]
        self.redis = Process(folder, "redis", redis_command)
        self.provider = Process(folder, "provider", [os.path.join(target, "debug", "fake-upstream"), "--port", str(self.provider_port)])
        self.nginx = Process(folder, "nginx", ["nginx", "-c", os.path.join(folder, "nginx.conf"), "-e", os.path.join(folder, "nginx-error.log")])
        self.ports = [free_port() for _ in range(3)]
        env = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "DATABASE_URL": self.postgres.url,
            "DATABASE_POOL_SIZE": "10",
            "DATABASE_MAX_OVERFLOW": "10",
            "DATABASE__SERVER_LEASE_SECONDS": "5",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}",
            "OPENAI_API_KEY": "sk-cluster",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.provider_port}/v1",
            "CHAT__MODEL": "mock-echo-40ms",
            "CHAT__CHECKPOINT_INTERVAL_SECONDS": "1",
            "SECURITY__BCRYPT_ROUNDS": "4",
            # Counted, so that Redis is asked at every request, but never reached.
            "RATE_LIMIT__PER_MINUTE": "100000",
            "RATE_LIMIT__PER_HOUR": "1000000",
            "GUEST_ACCESS": "on",
            "TRUSTED_PROXIES": "127.0.0.1",
            "LOG_FORMAT": "json",
        }
        self.replicas = []
        for number, port in enumerate(self.ports):
            data = os.path.join(folder, f"replica-{number + 1}")
            os.mkdir(data)
            command = [os.path.join(target, "debug", "parlor"), "serve", "--port", str(port)]
            self.replicas.append(Process(folder, f"replica-{number + 1}", command, {**env, "DATA_DIR": data}))

    async def start(self):
        await self.postgres.start()
        await self.redis.start(self.redis_port)
        await self.provider.start(self.provider_port)
        # All at once, on an empty database: one of them migrates it.
        await asyncio.gather(*(replica.start(port) for replica, port in zip(self.replicas, self.ports)))
        self.write_nginx()
        await self.nginx.start(self.port)

    def write_nginx(self, without=None):
        servers = "\n".join(f"    server 127.0.0.1:{port}{' down' if port == without else ''};" for port in self.ports)
        with open(os.path.join(HERE, "nginx.conf")) as template:
            text = template.read()
        for name, value in (("FOLDER", self.folder), ("SERVERS", servers), ("PORT", str(self.port)), ("USER", "user root;" if IS_ROOT else "")):
            text = text.replace(f"@{name}@", value)
        with open(os.path.join(self.folder, "nginx.conf"), "w") as conf:
            conf.write(text)

    async def rotate(self, without):
        """Takes a replica out of nginx' rotation, or puts all in; returns when what was under way by the old one has ended."""
        self.write_nginx(without)
        workers = self.workers()
        self.nginx.child.send_signal(signal.SIGHUP)

        async def are_replaced():
            now = self.workers()
            return bool(now) and not set(now) & set(workers)

        await until("the old workers of nginx have done their work", are_replaced)

    def workers(self):
        with open(f"/proc/{self.nginx.child.pid}/task/{self.nginx.child.pid}/children") as children:
            return children.read().split()

    async def stop(self):
        for process in [self.nginx, *self.replicas, self.provider, self.redis]:
            await process.stop(signal.SIGKILL if process in self.replicas else signal.SIGTERM)
        if os.path.exists(os.path.join(self.postgres.data, "postmaster.pid")):
            self.postgres.stop()
