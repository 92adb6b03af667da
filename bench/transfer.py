#!/usr/bin/env python3
"""Measures `parlor transfer` from SQLite to a database server: scripts/services python3 bench/transfer.py

Builds Parlor (profile `perf`), seeds a file, moves it, and prints what the command says. Exit code 1 when the sides are not equal.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

import seed
from servers import DATABASE_SERVERS, REPO, client


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--to", choices=sorted(DATABASE_SERVERS), default="postgres")
    parser.add_argument("--parlor", help="the program [default: built with the profile perf]")
    options = parser.parse_args()
    variable = DATABASE_SERVERS[options.to]
    if variable not in os.environ:
        sys.exit(f"{variable} is not set: run this through scripts/services")
    parlor = options.parlor
    if not parlor:
        subprocess.run(["cargo", "build", "--locked", "--profile", "perf", "-p", "parlor"], cwd=REPO, check=True)
        parlor = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(REPO, "target")), "perf", "parlor")
    server = os.environ[variable]
    name = f"parlor_transfer_{os.getpid()}"
    subprocess.run([*client(options.to, server), f"CREATE DATABASE {name}"], check=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "chatbot.db")
            environment = {"PATH": os.environ["PATH"], "DATA_DIR": folder}
            subprocess.run([parlor, "migrate"], env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            began = time.monotonic()
            seed.seed_many(source, options.messages)
            size = os.path.getsize(source) / 2**20
            print(f"seeded {options.messages} messages, {size:.0f} MiB, in {time.monotonic() - began:.0f} s", flush=True)
            target = f"{server.rsplit('/', 1)[0]}/{name}"
            command = [parlor, "transfer", "--from", source, "--to", target]
            sys.exit(subprocess.run(command, env=environment, cwd=folder, check=False).returncode)
    finally:
        subprocess.run([*client(options.to, server), f"DROP DATABASE {name}"], check=True)


if __name__ == "__main__":
    main()
