#!/usr/bin/env python3
"""Parlor's benchmarks: builds, measures each server in turn, prints tables. See bench/README.md.

Exit code 1 when a wanted server or measurement failed.
"""
import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

import gateways
import seed
import servers
from servers import CACHE, CannotStart, HERE, LOAD_CORE, REPO
from tables import ON_DATABASES, SERVERS, print_tables

TABLES = ["calls", "streams", "memory", "flat", "gateways"]
TARGETS = {"direct": "direct", "floor": "floor", "parlor": "classic", "fastapi": "classic", **dict.fromkeys(ON_DATABASES, "classic")}
GATEWAY_TARGETS = {"parlor": "gateway-parlor", "portkey": "gateway-portkey"}
STREAM_TARGETS = {"direct": "direct", "floor": "floor", "parlor": "parlor-stream"}
MODEL = "mock-0ms-20tok"
# Far away, but reserved and settled with each call.
QUOTAS = """[[quotas]]
scope = "api_key"
window = "month"
requests = 1000000000
tokens = 1000000000000
"""
SETTLE_SECONDS = 1
RUN_SECONDS = 300


class Plan:
    """How long and how large; `--quick` is a check that everything runs, not a measurement."""

    def __init__(self, quick, secs):
        self.secs = secs or (2 if quick else 4)
        self.warm = 0.5 if quick else 2
        self.hold = {"k": 500, "ramp": 250 if quick else 100, "secs": 4 if quick else 12}
        self.conversations = [100, 10_000] if quick else [100, 1000, 10_000, 100_000]
        self.lengths = [10, 1000] if quick else [10, 100, 1000, 10_000]
        # Three turns a conversation: their lengths stay near what was seeded.
        self.turns = 3 * seed.MEASURED
        self.flat_secs = 5 if quick else 20


class Bench:
    def __init__(self, options, binaries):
        self.options, self.binaries = options, binaries
        self.plan = Plan(options.quick, options.secs)
        self.rows, self.broken = [], {}
        self.logs = os.path.join(CACHE, "logs")
        os.makedirs(self.logs, exist_ok=True)
        os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)

    def record(self, row):
        self.rows.append(row)
        with open(self.options.out, "a") as out:
            out.write(json.dumps(row) + "\n")
        if "failed" in row:
            text = "FAILED " + row["failed"]
        elif "rps" in row:
            latency, ttft = row.get("latency_ms") or {}, row.get("ttft_ms") or {}
            text = f"{row['rps']:.0f}/s p50 {latency.get('p50')} p99 {latency.get('p99')} ms"
            text += f" ttft {ttft.get('p50')} ms" if ttft else ""
            text += f" errors {row['errors']} incomplete {row['incomplete']} others {row['foreign_cores']:.2f} cores"
        else:
            text = f"ready after {row['ready_s']:.2f} s, RSS {row['rss_mib']:.1f} MiB"
        print(f"  [{row['rep']}] {row['server']} {row['scenario']}: {text}", flush=True)

    def fail(self, name, rep, scenario, why):
        self.record({"server": name, "rep": rep, "scenario": scenario, "failed": str(why)})

    def log(self, name):
        return os.path.join(self.logs, name + ".log")

    def data(self, name):
        """A new, empty data directory."""
        path = os.path.join(self.options.data, f"{name}-{os.getpid()}")
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def load(self, target, model, mode, pid, base, request=None, options=(), **numbers):
        """One run of the load generator; its JSON object."""
        command = ["taskset", "-c", str(LOAD_CORE), os.path.join(self.binaries, "load")]
        command += ["--target", os.path.join(HERE, "targets", target + ".json"), "--model", model, "--pid", str(pid)]
        command += ["--var", f"base={base}", *options]
        command += ["--request", request] if request else []
        command += [mode, *(part for key, value in numbers.items() for part in (f"--{key}", str(value)))]
        run = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, stdin=subprocess.DEVNULL)
        if run.returncode != 0:
            raise CannotStart(f"load generator: {run.stderr.strip()[-400:]}")
        return json.loads(run.stdout)

    def measure(self, name, rep, scenario, server, upstream, *args, **kwargs):
        ours = [upstream] if server is upstream else [upstream, server]
        all_before, our_before, wall = busy_seconds(), own_seconds(ours), time.monotonic()
        try:
            row = self.load(*args, pid=server.pid, base=server.base, **kwargs)
        except (CannotStart, subprocess.TimeoutExpired) as error:
            return self.fail(name, rep, scenario, error)
        others = busy_seconds() - all_before - (own_seconds(ours) - our_before)
        row.update(server=name, rep=rep, scenario=scenario)
        row["foreign_cores"] = max(0.0, others / (time.monotonic() - wall))
        if row["ok"] == 0:
            row["failed"] = f"nothing succeeded: {row['error_kinds']}"
        self.record(row)

    def with_server(self, name, rep, body, data=None, gateway=False):
        """Runs `body(server, upstream)` between a fresh start and the stop of both."""
        upstream = server = None
        try:
            port = gateways.upstream_port(name) if gateway else None
            upstream = servers.start_upstream(self.binaries, self.log("fake-upstream"), port)
            if name == "direct":
                server = upstream
            elif gateway and name != "parlor":
                server = gateways.start(name, self.binaries, upstream, data, self.log(name))
            else:
                server = servers.start(name, self.binaries, upstream, data, self.log(name))
            body(server, upstream)
        finally:
            for process in (server, upstream):
                if process:
                    process.stop()

    def repetition(self, name, rep):
        plan, wanted = self.plan, self.options.tables

        def body(server, upstream):
            time.sleep(SETTLE_SECONDS)
            start = {"ready_s": server.ready_after, "rss_mib": server.rss_mib()}
            self.record({"server": name, "rep": rep, "scenario": "START", **start})
            common = (name, rep)
            streaming = STREAM_TARGETS.get(name)
            # Memory first: what other measurements leave behind is not the streams'.
            if "memory" in wanted and streaming and name != "direct":
                self.measure(*common, "HOLD", server, upstream, streaming, "mock-1000ms-600tok-ts", "hold", **plan.hold)
            if "calls" in wanted or "streams" in wanted:
                self.load(TARGETS[name], MODEL, "calls", server.pid, server.base, c=8, secs=plan.warm)
            if "calls" in wanted:
                for c in (1, 16, 64):
                    args = (server, upstream, TARGETS[name], MODEL, "calls")
                    self.measure(*common, f"C{c}", *args, c=c, secs=plan.secs)
            if "streams" in wanted and streaming:
                for c, model in ((1, "mock-5ms-20tok-ts"), (32, "mock-20ms-50tok-ts")):
                    args = (server, upstream, streaming, model, "streams")
                    self.measure(*common, f"S{c}", *args, c=c, secs=plan.secs)

        data = self.data(name)
        try:
            self.with_server(name, rep, body, data)
        finally:
            shutil.rmtree(data, ignore_errors=True)

    def flat(self, name, rep):
        sizes = [(f"N{n}", n, 10) for n in self.plan.conversations] + [(f"L{m}", 100, m) for m in self.plan.lengths]
        for scenario, conversations, messages in sizes:
            data = self.data(name)
            try:
                if name == "parlor":
                    # Its first start makes the schema.
                    self.with_server(name, rep, lambda *_: None, data)
                    values = seed.seed_parlor(servers.database(name, data), conversations, messages)
                else:
                    values = seed.seed_classic(servers.database(name, data), conversations, messages)

                def body(server, upstream):
                    args = (TARGETS[name], MODEL, "calls")
                    self.load(*args, server.pid, server.base, c=1, secs=0.3)
                    ids = ",".join(map(str, values["conversation_ids"]))
                    turns = ("--var", f"user={values['user']}", "--each", f"conversation_id={ids}",
                             "--limit", str(self.plan.turns))
                    more = {"request": "turn", "options": turns, "c": 1, "secs": self.plan.flat_secs}
                    self.measure(name, rep, scenario, server, upstream, *args, **more)

                self.with_server(name, rep, body, data)
            except NotImplementedError as error:
                self.fail(name, rep, scenario, error)
                return
            finally:
                shutil.rmtree(data, ignore_errors=True)

    def gateway(self, name, rep):
        """The same calls through one gateway, or straight to the provider."""
        plan, target = self.plan, GATEWAY_TARGETS.get(name, "gateway")

        def body(server, upstream):
            time.sleep(SETTLE_SECONDS)
            options = ("--var", f"upstream={upstream.base}/v1")
            common, args = (name, rep), (server, upstream, target)
            self.load(target, MODEL, "calls", server.pid, server.base, options=options, c=8, secs=plan.warm)
            for c in (1, 16, 64):
                self.measure(*common, f"G{c}", *args, MODEL, "calls", options=options, c=c, secs=plan.secs)
            model = "mock-20ms-50tok-ts"
            self.measure(*common, "GS32", *args, model, "streams", options=options, c=32, secs=plan.secs)
            # Some are several processes: the one that was started is the one whose memory counts, which is in their favour.
            after = {"rss_mib": server.rss_mib(), "rss_mib_peak": server.rss_mib(peak=True)}
            self.record({"server": name, "rep": rep, "scenario": "GEND", "ready_s": server.ready_after, **after})

        data = self.data(name)
        if name == "parlor":
            with open(os.path.join(data, "parlor.toml"), "w") as out:
                out.write(QUOTAS)
        try:
            self.with_server(name, rep, body, data, gateway=True)
        finally:
            shutil.rmtree(data, ignore_errors=True)

    def run_gateways(self):
        for name in self.options.gateways:
            try:
                gateways.install(name)
            except (OSError, subprocess.SubprocessError) as error:
                self.broken[name] = f"it could not be installed: {error}"
                self.fail(name, 0, "GSTART", self.broken[name])
        for rep in range(self.options.reps):
            for name in ["direct", *self.options.gateways]:
                if name in self.broken:
                    continue
                print(f"gateway {name}, repetition {rep + 1} of {self.options.reps}", flush=True)
                try:
                    self.gateway(name, rep)
                except (CannotStart, OSError, subprocess.TimeoutExpired) as error:
                    self.broken[name] = error
                    self.fail(name, rep, "GSTART", error)

    def run(self):
        if not set(self.options.tables) - {"gateways"}:
            return
        for rep in range(self.options.reps):
            for name in self.options.servers:
                if name in self.broken:
                    continue
                print(f"{name}, repetition {rep + 1} of {self.options.reps}", flush=True)
                try:
                    if set(self.options.tables) & {"calls", "streams", "memory"}:
                        self.repetition(name, rep)
                    if "flat" in self.options.tables and name not in ["direct", *ON_DATABASES]:
                        self.flat(name, rep)
                except (CannotStart, OSError, subprocess.TimeoutExpired) as error:
                    # What does not start now will not in the next repetition either.
                    self.broken[name] = error
                    self.fail(name, rep, "START", error)


def busy_seconds():
    """Processor time of the whole machine so far, idling and waiting for disks left out (proc(5))."""
    with open("/proc/stat") as lines:
        fields = [int(f) for f in lines.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def own_seconds(running):
    times = os.times()
    return sum(s.cpu_seconds() for s in running) + sum(times[:4])


def build(profile):
    """Builds both packages; says whether Parlor's succeeded. A failed build is never measured."""
    command = ["cargo", "build", "--profile", profile]
    if subprocess.run([*command, "-p", "parlor", "-p", "parlor-bench"], cwd=REPO).returncode == 0:
        return True
    subprocess.run([*command, "-p", "parlor-bench"], cwd=REPO, check=True)
    return False


def machine(options):
    with open("/proc/cpuinfo") as lines:
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=REPO, capture_output=True, text=True)
    return {
        "scenario": "MACHINE", "server": None, "cpu": model, "cores": len(servers.CORES), "kernel": platform.release(),
        "python": platform.python_version(), "commit": commit.stdout.strip(), "quick": options.quick,
        "reps": options.reps, "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def choice(allowed):
    def parse(text):
        chosen = text.split(",")
        if not set(chosen) <= set(allowed):
            raise argparse.ArgumentTypeError(f"choose among {','.join(allowed)}")
        return [a for a in allowed if a in chosen]

    return parse


def main():
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=choice(SERVERS + ON_DATABASES), default=SERVERS,
                        help="of " + ",".join(SERVERS + ON_DATABASES) + "; the last two run by scripts/services")
    parser.add_argument("--tables", type=choice(TABLES), default=TABLES, help="of " + ",".join(TABLES))
    parser.add_argument("--gateways", type=choice(gateways.NAMES), default=gateways.NAMES, help="of " + ",".join(gateways.NAMES))
    parser.add_argument("--reps", type=int, help="repetitions (3; quick: 1)")
    parser.add_argument("--secs", type=float, help="seconds of a measurement (4; quick: 2)")
    parser.add_argument("--quick", action="store_true", help="a short form, to see that everything runs")
    parser.add_argument("--profile", default="release", help="cargo's profile: release, or perf, which builds in a tenth of the time")
    parser.add_argument("--no-build", action="store_true", help="measure the binaries that are there")
    parser.add_argument("--data", default=os.path.join(CACHE, "data"), help="folder for the databases; its disk counts")
    parser.add_argument("--out", default=os.path.join(HERE, "results", stamp + ".jsonl"), help="file for the raw rows")
    options = parser.parse_args()
    options.reps = options.reps or (1 if options.quick else 3)

    # Ended from outside, it still stops what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(REPO, "target"))
    bench = Bench(options, os.path.join(os.path.abspath(target), options.profile))
    if not options.no_build and not build(options.profile):
        bench.broken["parlor"] = "it does not build"
    if "fastapi" in options.servers and set(options.tables) - {"gateways"}:
        try:
            servers.make_venv()
        except (OSError, subprocess.SubprocessError) as error:
            bench.broken["fastapi"] = f"its environment could not be made: {error}"
    about = machine(options)
    with open(options.out, "a") as out:
        out.write(json.dumps(about) + "\n")
    for name in set(options.servers) & set(bench.broken):
        bench.fail(name, 0, "START", bench.broken[name])
    bench.run()
    if "gateways" in options.tables:
        bench.run_gateways()

    form = "quick form, not a measurement; " if options.quick else ""
    print(f"\n## Results ({form}{about['cpu']}, {about['cores']} cores, commit {about['commit']}, "
          f"medians of {options.reps})")
    print_tables(bench.rows)
    print("\nRaw rows:", os.path.relpath(options.out))
    sys.exit(1 if any("failed" in row for row in bench.rows) else 0)


if __name__ == "__main__":
    main()
