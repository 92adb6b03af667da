"""The gateways that Parlor's `/v1` is measured beside: installing them at pinned versions, and starting them."""
import json
import os
import shutil
import subprocess
import sys

from servers import CACHE, SERVER_CORE, CannotStart, Server, free_port

NAMES = ["passthrough", "parlor", "litellm-rs", "portkey", "litellm"]
INSTALL_SECONDS = 3600

LITELLM = "litellm[proxy]==1.106.2"
# Newer releases of node-server than 1.13.8 make this version of the gateway answer 500 to every stream.
PORTKEY = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": "1.15.2", "hono": "4.9.7", "@hono/node-server": "1.13.8"},
    "overrides": {"hono": "4.9.7", "@hono/node-server": "1.13.8"},
}
LITELLM_RS = "0.9.0"
# Its guard against requests to internal addresses refuses every other port of the loopback address.
LITELLM_RS_UPSTREAM_PORT = 8000
MODELS = ["mock-0ms-20tok", "mock-5ms-20tok-ts", "mock-20ms-50tok-ts"]


def folder(name):
    return os.path.join(CACHE, "gateways", name)


def installed(name, version):
    mark = os.path.join(folder(name), "installed.txt")
    if not os.path.exists(mark):
        return False
    with open(mark) as text:
        return text.read() == version


def install(name):
    """Installs a gateway from its registry, once for each version. Raises what the installer says."""
    version = {"litellm": LITELLM, "portkey": json.dumps(PORTKEY), "litellm-rs": LITELLM_RS}.get(name)
    if version is None or installed(name, version):
        return
    home = folder(name)
    print(f"installing {name} into {home}", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    if name == "litellm":
        run([sys.executable, "-m", "venv", os.path.join(home, "venv")])
        run([os.path.join(home, "venv", "bin", "pip"), "install", "-q", "--disable-pip-version-check", LITELLM])
    elif name == "portkey":
        with open(os.path.join(home, "package.json"), "w") as out:
            json.dump(PORTKEY, out)
        run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=home)
    else:
        target = os.path.join(home, "target")
        command = ["cargo", "install", "litellm-rs", "--version", LITELLM_RS, "--locked", "--features", "gateway,sqlite"]
        run([*command, "--root", home, "--target-dir", target])
        shutil.rmtree(target, ignore_errors=True)
    with open(os.path.join(home, "installed.txt"), "w") as out:
        out.write(version)


def run(command, cwd=None):
    subprocess.run(command, check=True, timeout=INSTALL_SECONDS, cwd=cwd, stdin=subprocess.DEVNULL)


def upstream_port(name):
    return LITELLM_RS_UPSTREAM_PORT if name == "litellm-rs" else free_port()


def start(name, binaries, upstream, data, log):
    """Starts a gateway that is not Parlor, in front of `upstream`; the caller stops it."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    provider = upstream.base + "/v1"
    env, cwd, ready = {}, data, base + "/health"
    if name == "passthrough":
        command = [os.path.join(binaries, "passthrough"), "--port", str(port), "--upstream", provider, "--threads", "1"]
    elif name == "litellm":
        config = write(data, "litellm.yaml", litellm_config(provider))
        command = [os.path.join(folder(name), "venv", "bin", "python"), os.path.join(folder(name), "venv", "bin", "litellm")]
        command += ["--config", config, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR",
               "LITELLM_TELEMETRY": "False"}
        ready = base + "/health/liveliness"
    elif name == "portkey":
        cwd, ready = folder(name), base + "/"
        node = shutil.which("node") or "node"
        command = [node, "node_modules/@portkey-ai/gateway/build/start-server.js", "--headless", f"--port={port}"]
    elif name == "litellm-rs":
        config = write(data, "litellm-rs.yaml", litellm_rs_config(port))
        command = [os.path.join(folder(name), "bin", "gateway"), "--config", config]
        env = {"RUST_LOG": "warn"}
    else:
        raise CannotStart(f"{name}: no such gateway")
    server = Server(name, command, SERVER_CORE, ready, log, env, cwd, ready_seconds=180)
    server.base = base
    return server


def write(data, name, config):
    """JSON is YAML, so one writer does for all of them."""
    path = os.path.join(data, name)
    with open(path, "w") as out:
        json.dump(config, out)
    return path


def litellm_config(provider):
    """A master key as authentication; no database: nothing is metered durably."""
    models = [
        {"model_name": model, "litellm_params": {"model": f"openai/{model}", "api_base": provider, "api_key": "sk-x"}}
        for model in MODELS
    ]
    return {
        "model_list": models,
        "litellm_settings": {"num_retries": 0, "request_timeout": 120, "telemetry": False},
        "general_settings": {"master_key": "sk-bench"},
    }


def litellm_rs_config(port):
    """One worker, no authentication, no database, no guardrails (they hold streamed text back)."""
    off = {"enabled": False}
    return {
        "schema_version": "1.0",
        "server": {"host": "127.0.0.1", "port": port, "workers": 1, "max_connections": 4000, "timeout": 120, "dev_mode": True},
        "providers": [{
            "name": "bench", "provider_type": "vllm", "api_key": "sk-x", "weight": 1.0, "rpm": 100_000_000,
            "tpm": 1_000_000_000, "max_concurrent_requests": 2000, "timeout": 120, "max_retries": 0, "models": MODELS,
            "enabled": True,
        }],
        "router": {
            "strategy": "round_robin",
            "circuit_breaker": {"failure_threshold": 5, "recovery_timeout": 60, "min_requests": 10, "success_threshold": 3},
            "load_balancer": {"health_check_enabled": False, "sticky_sessions": False, "session_timeout": 3600},
        },
        "storage": {
            "database": {**off, "url": "postgresql://localhost/x", "max_connections": 10, "connection_timeout": 5,
                         "ssl": False, "auto_migrate": False},
            "redis": {**off, "url": "redis://localhost:6379", "max_connections": 20, "connection_timeout": 5,
                      "cluster": False},
            "vector_db": None,
        },
        "auth": {
            "enable_jwt": False, "enable_api_key": False, "allow_anonymous": True, "jwt_secret": "",
            "jwt_expiration": 86400, "api_key_header": "Authorization",
            "rbac": {**off, "default_role": "user", "admin_roles": ["admin"]},
        },
        "monitoring": {
            "metrics": {**off, "port": 9090, "path": "/metrics", "interval_seconds": 15},
            "tracing": {**off, "endpoint": None, "service_name": "x", "sampling_rate": 0.1, "jaeger": None},
            "health": {"path": "/health", "detailed": True}, "logging": None,
        },
        "cache": {**off, "ttl": 3600, "max_size": 1000},
        "pricing": {"source": "embedded://model_prices_extended", "allow_degraded": False,
                    "unpriced_model_policy": "allow_unpriced", "unpriced_fallback_cost_per_1k_tokens": 0.0},
        "rate_limit": {**off, "strategy": "token_bucket", "default_rpm": 100_000_000, "default_tpm": 100_000_000},
        "enterprise": {**off, "sso": None, "audit_logging": False},
        "guardrails": off,
    }
