"""Load on a cluster while its parts fail, and what must be true then. Ends with 1 when something is not."""
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time

from checks import Report
from load import Load
from processes import Cluster, until

CALM = 6
REDIS_AWAY = 10


async def incidents(cluster, report):
    """One after the other, with calm between them."""
    first, second = cluster.replicas[0], cluster.replicas[1]
    await asyncio.sleep(CALM)
    with report.incident("kill -9 of replica 1", killed=f"127.0.0.1:{cluster.ports[0]}"):
        await first.stop(signal.SIGKILL)
        await asyncio.sleep(8)
        await first.start(cluster.ports[0])
    await asyncio.sleep(CALM)
    with report.incident("restart of replica 2, out of nginx' rotation"):
        await cluster.rotate(without=cluster.ports[1])
        await second.stop()
        await second.start(cluster.ports[1])
        await cluster.rotate(without=None)
    await asyncio.sleep(CALM)
    with report.incident(f"Redis away for {REDIS_AWAY} s"):
        await cluster.redis.stop()
        await asyncio.sleep(REDIS_AWAY)
        await cluster.redis.start(cluster.redis_port)
    await asyncio.sleep(CALM)
    with report.incident("restart of PostgreSQL", database_away=True):
        await asyncio.to_thread(cluster.postgres.control, "-m", "fast", "stop")
        await asyncio.sleep(2)
        await asyncio.to_thread(cluster.postgres.control, "start")
        # What waits for a connection gives up, or gets one.
        await asyncio.sleep(4)
    await asyncio.sleep(CALM)


async def main():
    folder = tempfile.mkdtemp(prefix="parlor-cluster-")
    os.chmod(folder, 0o755)
    cluster, code = Cluster(folder), 1
    try:
        print("starting PostgreSQL, Redis, nginx, a provider and three replicas", flush=True)
        await cluster.start()
        load, report = Load(cluster.port), Report()
        await load.prepare(accounts=20)
        clients = [asyncio.create_task(client) for client in load.clients()]
        await incidents(cluster, report)
        load.is_over = True
        for client in clients:
            await client

        async def nothing_is_pending():
            return cluster.postgres.query("SELECT count(*) FROM turns WHERE state IN ('pending', 'streaming')") == [["0"]]

        begun = time.monotonic()
        await until("no turn is pending", nothing_is_pending)
        code = report.print(load, cluster, time.monotonic() - begun)
    finally:
        await cluster.stop()
        if code and os.environ.get("KEEP_LOGS"):
            print(f"logs: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code


sys.exit(asyncio.run(main()))
