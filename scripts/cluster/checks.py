"""What must be true after the load, and a table of it."""
import contextlib
import time
from dataclasses import dataclass, field

# What began this much before an incident's end may still suffer from it.
GRACE = 1.0


@dataclass
class Incident:
    name: str
    began: float
    ended: float = float("inf")
    killed: str = None
    database_away: bool = False
    requests: int = 0
    streams: int = 0
    allowed: list = field(default_factory=list)
    struck: set = field(default_factory=set)

    def touches(self, request):
        return request.ended >= self.began and request.began <= self.ended + GRACE

    def allows(self, message, request):
        """In flight on the killed replica; or refused for want of the database, with the word when to come again."""
        if self.killed and request.began <= self.began + GRACE and (request.upstream == self.killed or request.status in (0, 502)):
            return True
        return self.database_away and request.status == 503 and request.retry_after


class Report:
    def __init__(self):
        self.incidents = []

    @contextlib.contextmanager
    def incident(self, name, **more):
        print(f"{name} …", flush=True)
        incident = Incident(name, time.monotonic(), **more)
        self.incidents.append(incident)
        yield
        incident.ended = time.monotonic()

    def sort(self, load):
        """Gives each failed request to the incident that may have caused it; returns those that none may."""
        wrong = []
        for message in load.messages:
            for request in message.tries:
                touched = [incident for incident in self.incidents if incident.touches(request)]
                for incident in touched:
                    incident.requests += 1
                    incident.streams += message.dialect == "stream"
                if request.status // 100 != 2:
                    cause = next((incident for incident in touched if incident.allows(message, request)), None)
                    # A turn that was killed is over: whoever sends its key again hears that it was interrupted.
                    cause = cause or next((incident for incident in self.incidents if id(message) in incident.struck), None)
                    if cause and cause.killed:
                        cause.struck.add(id(message))
                    (cause.allowed if cause else wrong).append((message, request))
        return wrong

    def print(self, load, cluster, settled_after):
        failures = self.sort(load)
        start = self.incidents[0].began
        for message, request in failures[:20]:
            print(f"failed at {request.began - start:+.1f} s: {message.dialect} {message.text.split()[0]} on {request.upstream}: {request.status} {request.why}")
        kill = self.incidents[0]
        acknowledged = [message for message in load.messages if message.is_acknowledged]
        streams = [message for message in load.messages if message.dialect == "stream"]
        faults = [(message, fault) for message in load.messages for fault in message.faults]
        for message, fault in faults[:20]:
            print(f"{message.dialect} {message.text.split()[0]}: {fault}")
        on_killed = lambda message: any(kill.killed in (request.upstream, *message.servers) and request.began <= kill.began + GRACE and request.ended >= kill.began - GRACE for request in message.tries)
        unended = [message for message in streams if message.ended_with != "done" and not on_killed(message)]
        for message in unended[:20]:
            print(f"stream {message.text.split()[0]} ended with {message.ended_with} after {message.tries[0].began - start:+.1f} s: {[(round(t.began - start, 1), t.status, t.upstream, t.why) for t in message.tries]}")
        cut = [t for m in load.messages for t in m.tries if t.upstream == kill.killed and t.began <= kill.began <= t.ended]
        in_flight = len(cut)
        silent = [m for m in load.messages if not m.is_acknowledged and m.dialect != "stream"]
        for message in silent:
            tries = [(round(t.began - start, 1), round(t.ended - start, 1), t.status, t.upstream == kill.killed) for t in message.tries]
            print(f"{message.dialect} {message.text.split()[0]} has no answer; began, ended, status, on the killed replica: {tries}")
        # Nobody sends a call of /v1 again: it has no key.
        lost = [m for m in silent if m.dialect != "openai" and not on_killed(m)]
        stored = self.stored(cluster)
        absent = [m for m in acknowledged if m.dialect != "openai" and stored.get(m.text) != [m.text]]
        for message in absent[:20]:
            print(f"{message.dialect} {message.text.split()[0]}: stored are {stored.get(message.text)}, told was {message.answer!r:.60}")
        garbled = [m for m in acknowledged if m.answer != m.text]
        billed = int(cluster.postgres.query("SELECT count(*) FROM usage_ledger WHERE turn_id IS NULL AND kind <> 'title'")[0][0])
        asked = sum(m.dialect == "openai" for m in acknowledged)
        moved = [m for m in streams if len(m.servers) > 1]
        lines = [
            ("messages sent", len(load.messages), None),
            ("answers acknowledged, over six dialects", len(acknowledged), len(acknowledged) > 0),
            ("of those not stored exactly once", len(absent), not absent),
            ("of those that were told otherwise than they are stored", len(garbled), not garbled),
            ("messages without an answer, but for the killed replica's and calls of /v1", len(lost), not lost),
            ("calls of /v1 answered / billed", f"{asked} / {billed}", billed >= asked),
            ("streams", len(streams), None),
            ("read on more than one replica", len(moved), bool(moved)),
            ("connections resumed with Last-Event-ID", sum(m.resumes for m in streams), None),
            ("events lost or repeated", len(faults), not faults),
            ("streams not read to their end, but for the killed replica's", len(unended), not unended),
            ("turns pending in the end", 0, True),
            ("requests in flight on the killed replica", in_flight, None),
            ("requests that failed without a cause", len(failures), not failures),
        ]
        print("\n| incident | lasted | requests meanwhile | failed, as they may |\n|---|---|---|---|")
        for incident in self.incidents:
            kinds = {}
            for _, request in incident.allowed:
                kind = "503 with Retry-After" if request.status == 503 and request.retry_after else "cut off" if request.status == 0 else str(request.status)
                kinds[kind] = kinds.get(kind, 0) + 1
            told = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items())) or "none"
            print(f"| {incident.name} | {incident.ended - incident.began:.0f} s | {incident.requests} | {told} |")
        print("\n| what | | |\n|---|---|---|")
        for name, value, holds in lines:
            print(f"| {name} | {value} | {'' if holds is None else 'holds' if holds else 'FAILS'} |")
        print(f"\nthe last turn was settled {settled_after:.1f} s after the load")
        return 0 if all(holds is not False for _, _, holds in lines) else 1

    @staticmethod
    def stored(cluster):
        """The whole answers in the database, by the message that each answers; and all of them, however often it was stored."""
        rows = cluster.postgres.query(
            "SELECT question.content, answer.content FROM turns JOIN messages question ON question.id = turns.user_message_id "
            "JOIN messages answer ON answer.id = turns.answer_message_id")
        stored = {}
        for question, answer in rows:
            stored.setdefault(question, []).append(answer)
        return stored
