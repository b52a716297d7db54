# SPDX-License-Identifier: Apache-2.0
"""The audit log against the server's own general log, one for one.

    with completeness.checked(stack):
        ... clients talk through the proxy ...

raises Difference unless each session of the proxy has the same commands in both logs: order, text, MySQL user, schema,
and the bound values. Accounts that tests use directly at the server are not compared.

The general log goes to a file: it keeps the bytes as they came and the order in which the server took the commands.
(MariaDB's table is utf8mb3.) MySQL gets log_raw, so that it logs what was sent instead of what it parsed: whole texts,
passwords, and statements that do not parse.

What the servers log otherwise than they were asked is normalised by the rules below and by nothing else (those of texts
in logged_text.py, those of times in bound_values.py). Seen with MariaDB 10.11 and 11.8 and MySQL 9.7:

UNLOGGED    Some commands are in no general log. Most are counted by the server's status counters instead (COUNTED);
            that leaves set_option and process_kill, which only the sessions' results show.
FAILED      These are not logged when they fail, because servers fail them before they would log them; an execution for
            the errors in UNBOUND.
stripped()  White space around a statement, and semicolons behind it, are not logged; statement_length counts them.
_name()     A COM_INIT_DB that fails is logged as the error message.
Echoes      Entries that the server makes of its own, for a command that has its entry: the Prepare and Execute of SQL's
            PREPARE and EXECUTE, and the Init DB of a USE or a change of user that fails. A Prepare is logged again when
            the server prepares anew, because a table has changed, or, MySQL, because an execution binds other types.
Bulk        MariaDB logs a bulk execution without its values: once, or once for each row where the statement can take
            but one. Where several follow, and there are no more entries than commands, each has one.
Lost        A command without an answer may be sent to a server that closes the connection, and is then read by nobody.
Times       MySQL prints each with a fraction, MariaDB none that is zero, and zeros for a date and time that is none.
Quit        The proxy says goodbye for clients that do not.
Charset     The login's character set is in neither log: the first text that is not ASCII tells it for the session.
Refused     A login that the server refuses has a record without the connection's id: it is found by user and schema.
Retired     Logins of sallyport_retired, which are refused (docs/database.md).
"""

import collections
import contextlib
import dataclasses
import itertools
import re

import pymysql

from . import process
from .bound_values import segments, sent_bytes, values_difference
from .logged_text import CODECS, short, stripped, text_difference

# How the general log calls a command of the record.
NAMES = {
    "query": b"Query", "stmt_prepare": b"Prepare", "stmt_execute": b"Execute", "stmt_bulk_execute": b"Execute",
    "stmt_close": b"Close stmt", "stmt_reset": b"Reset stmt", "stmt_send_long_data": b"Long Data",
    "init_db": b"Init DB", "field_list": b"Field List", "statistics": b"Statistics", "process_info": b"Processlist",
    "change_user": b"Change user", "quit": b"Quit", "refresh": b"Refresh", "debug": b"Debug",
    "process_kill": b"Kill", "create_db": b"Create DB",
    "drop_db": b"Drop DB", "shutdown": b"Shutdown", "register_slave": b"Register Slave", "binlog_dump": b"Binlog Dump",
    "binlog_dump_gtid": b"Binlog Dump GTID",
}
UNLOGGED = {"ping", "set_option", "reset_connection", "stmt_fetch", "process_kill"}
FAILED = {
    "stmt_prepare", "refresh", "debug", "process_info", "create_db", "drop_db", "shutdown", "register_slave",
    "binlog_dump", "binlog_dump_gtid",
}
# Errors of an execution that the server does not begin, so that it is not logged: values that it does not take, and a
# bulk execution of a statement that cannot be one.
UNBOUND = {1210, 1295, 1835}
UNBOUND_MESSAGE = "in 'set_parameter_value'"
# Header of a COM_STMT_BULK_EXECUTE with the types of a few hundred parameters.
BULK_OVERHEAD = 1024
REPLICATION = {"register_slave", "binlog_dump", "binlog_dump_gtid"}
# Status counter: the commands that it counts, done or failed.
COUNTED = {
    "Com_admin_commands": {"ping", "reset_connection", "debug", "change_user", "shutdown"},
    "Com_stmt_fetch": {"stmt_fetch"},
}
UNKNOWN_COMMAND = 1047  # an error: the server counts nothing
# Commands without an answer: they end as they are sent, and so may stand before earlier ones in the audit log.
UNANSWERED = {"stmt_close", "stmt_send_long_data"}
# Accounts that do not come through the proxy.
OTHERS = frozenset({b"root", b"direct"})
RETIRED = b"sallyport_retired"


class Difference(AssertionError):
    """The two logs are not equal; the message lists where."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of the general log."""

    thread: int
    command: bytes
    text: bytes

    def __str__(self):
        return f"{self.command.decode()} {short(self.text)}"


@dataclasses.dataclass
class Summary:
    """How much was compared."""

    sessions: int = 0
    commands: int = 0
    values: int = 0
    unlogged: collections.Counter = dataclasses.field(default_factory=collections.Counter)


# --- the general log ---

# MariaDB writes the time only when the second has changed, MySQL always.
_START = re.compile(
    rb"(?:(?:\d{6} [ \d]\d:\d\d:\d\d)?\t+|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d)\t) *(\d+)"
    rb" ([A-Z][A-Za-z]*(?: [A-Za-z]+)*)\t"
)
_HEADING = re.compile(rb"Time +Id +Command +Argument\n", re.ASCII)


def parse(data, texts=()):
    """The entries of a general log. A statement with a line that looks like an entry's start cannot be told from one:
    such `texts` must be known."""
    shielded = {}
    for number, text in enumerate(texts):
        shield = b"\0\1shielded %d\1\0" % number
        shielded[shield] = text
        data = data.replace(text, shield)
    heading = _HEADING.search(data.replace(b"\t", b" ", 2000)[:2000])
    lines = data.split(b"\n")
    lines = lines[data.count(b"\n", 0, heading.end()):] if heading else lines
    found = []
    for line in lines:
        start = _START.match(line)
        if start:
            found.append((int(start[1]), start[2], [line[start.end():]]))
        elif found:
            found[-1][2].append(line)
    if found and found[-1][2][-1:] == [b""]:
        found[-1][2].pop()  # what follows the last line feed
    entries = []
    for thread, command, parts in found:
        text = b"\n".join(parts)
        for shield, original in shielded.items():
            text = text.replace(shield, original)
        entries.append(Entry(thread, command, text))
    return entries


class GeneralLog:
    """What a server logged while it was captured."""

    def __init__(self, data, first, counters):
        self.data = data
        self.first = first  # connections up to this one were there before
        self.counters = counters

    def entries(self, texts=()):
        return [entry for entry in parse(self.data, texts) if entry.thread > self.first]


_numbers = itertools.count(1)


def _counters(cursor):
    names = "', '".join(COUNTED)
    cursor.execute(f"SHOW GLOBAL STATUS WHERE Variable_name IN ('{names}')")
    return collections.Counter({name: int(value) for name, value in cursor.fetchall()})


@contextlib.contextmanager
def capture(server):
    """Yields a list that holds the GeneralLog once the block has been left."""
    name = f"completeness-{next(_numbers)}.log"
    path = server.directory / "data" / name
    captured = []
    with server.admin() as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL log_output = 'FILE'")
        cursor.execute(f"SET GLOBAL general_log_file = '{name}'")
        if server.mysql9:
            cursor.execute("SET GLOBAL log_raw = ON")
        before = _counters(cursor)
        cursor.execute("SET GLOBAL general_log = ON")
        try:
            yield captured
        finally:
            cursor.execute("SET GLOBAL general_log = OFF")
            after = _counters(cursor)
            cursor.execute("SET GLOBAL log_output = 'TABLE'")
            if server.mysql9:
                cursor.execute("SET GLOBAL log_raw = OFF")
            counters = {key: after[key] - before[key] for key in after}
            captured.append(GeneralLog(path.read_bytes(), connection.thread_id(), counters))
            path.unlink()


# --- sessions ---

_ACCOUNT = re.compile(rb"(?P<user>.*)@(?P<host>[^@ ]*)(?: as .*)? on (?P<schema>.*) using .*", re.DOTALL)
_USE = re.compile(r"\s*use\s+(?:`((?:[^`]|``)+)`|([\w$]+))\s*", re.IGNORECASE)
_DROP = re.compile(
    r"\s*drop\s+(?:database|schema)\s+(?:if\s+exists\s+)?(?:`((?:[^`]|``)+)`|([\w$]+))\s*", re.IGNORECASE
)
_NAMES = re.compile(r"\s*set\s+(?:names|character\s+set|charset)\s+['\"]?(\w+)", re.IGNORECASE)
# Words that may change the schema in a way that a text does not show.
_MAY_CHANGE = re.compile(r"\b(?:use|execute)\b|\bdrop\s+(?:database|schema)\b", re.IGNORECASE)
_DYNAMIC = re.compile(rb"\b(prepare|execute)\b", re.IGNORECASE)


class _Session:
    """One session, walked through both logs at once."""

    def __init__(self, records, entries, summary):
        self.records = self._in_order(records)
        self.rest = collections.deque(self.records[1:])
        self.entries = collections.deque(entries)
        self.summary = summary
        self.where = f"session {records[0]['session']}, connection {entries[0].thread if entries else '?'}"
        self.schema = records[0].get("schema")
        self.schema_known = True
        self.user = records[0].get("mysql_user")
        self.charset = None
        self.last = None
        self.last_entry = None
        self.dynamic = collections.Counter()
        self.prepared = set()

    def fail(self, record, what):
        name = f"record {record['seq']} ({record.get('command', record['event'])})"
        following = "; ".join(map(str, itertools.islice(self.entries, 3))) or "its end"
        raise Difference(f"{self.where}: {name} {what}. The general log goes on with: {following}")

    def _in_order(self, records):
        """By arrival. Those that have answers stand in the order of their answers, which is that of the commands."""
        answered = [record for record in records if record.get("command") not in UNANSWERED]
        for one, other in zip(answered, answered[1:]):
            if other["time"] < one["time"] and other["event"] != "session.end" and one["event"] != "session.start":
                raise Difference(f"record {other['seq']} ended behind record {one['seq']}, and arrived before it")
        first, last = [r for r in records if r["event"] in ("session.start", "session.denied")], records[-1]
        commands = [r for r in records if not r["event"].startswith("session.")]
        if len(first) != 1 or first[0] is not records[0] or not last["event"].startswith("session."):
            raise Difference(f"session {records[0].get('session')} does not begin and end as a session")
        return [first[0], *sorted(commands, key=lambda r: (r["time"], r["seq"])), *([last] if len(records) > 1 else [])]

    # What the server adds of its own.
    def skip_echoes(self, record):
        while self.entries:
            entry, last = self.entries[0], self.last or {}
            error = last.get("error", {}).get("message", "").encode()
            # The server logs a PREPARE's and an EXECUTE's statement behind them.
            if self.dynamic[entry.command] > 0:
                self.dynamic[entry.command] -= 1
            elif (entry.command, entry.text) == (b"Init DB", error) and last.get("command") in ("query", "change_user"):
                self.last = {}
            elif self._executed_anew(last, record):
                self.entries.popleft()
            elif not self._prepared_anew(record):
                return
            self.entries.popleft()

    def _executed_anew(self, last, record):
        """Prepare and Execute behind an Execute that found a table changed."""
        if last.get("command") != "stmt_execute" or len(self.entries) < 2 or self.entries[0].command != b"Prepare":
            return False
        if self.entries[1] != self.last_entry or text_difference(last, self.entries[0].text, self.charset):
            return False
        # The next execution of the same looks so as well, when it is prepared anew: an echo is one too many.
        same = sum(1 for other in (record, *self.rest)
                   if other.get("command") == "stmt_execute" and self._values(other) == self._values(last))
        return sum(1 for entry in self.entries if entry == self.last_entry) > same

    def _prepared_anew(self, record):
        """A Prepare of a statement that was prepared before, and is executed next."""
        if record.get("command") != "stmt_execute" or self.entries[0].command != b"Prepare" or len(self.entries) < 2:
            return False
        if self._text(record) not in self.prepared:
            return False
        again, execute = self.entries[0], self.entries[1]
        return execute.command == b"Execute" and not text_difference(record, again.text, self.charset)

    def login(self, record):
        connects = []
        while self.entries and self.entries[0].command == b"Connect":
            connects.append(self.entries.popleft())
        account = _ACCOUNT.fullmatch(connects[0].text) if connects else None
        if record["event"] == "session.denied":
            retired = account and account["user"] == RETIRED and record.get("reason") != "upstream_refused"
            if connects and account and not retired and account["user"].decode() != record.get("mysql_user"):
                self.fail(record, f"is of {record.get('mysql_user')}; the server saw {connects[0]}")
            self.entries = collections.deque(e for e in self.entries if e.command not in (b"Init DB", b"Quit"))
            return
        if not account:
            self.entries.extendleft(reversed(connects))
            self.fail(record, "is not in the general log")
        if len(connects) > 1 or account["user"].decode() != record["mysql_user"]:
            self.fail(record, f"is of {record['mysql_user']}; the server saw {'; '.join(map(str, connects))}")
        if account["schema"].decode() != record.get("schema", ""):
            self.fail(record, f"has the schema {record.get('schema')}; the server saw {connects[0]}")

    def check_who(self, record):
        if record.get("mysql_user") != self.user:
            self.fail(record, f"is of {record.get('mysql_user')} instead of {self.user}")
        if not self.schema_known:
            self.schema, self.schema_known = record.get("schema"), True
        elif record.get("schema") != self.schema:
            self.fail(record, f"has the schema {record.get('schema')} instead of {self.schema}")

    def _name(self, record, entry):
        """COM_INIT_DB and COM_FIELD_LIST, whose table and pattern the log parts by a space."""
        wanted = record.get("statement", "")
        if record["command"] == "init_db" and record["outcome"] == "error":
            wanted = record["error"]["message"]
        return entry.text == wanted.replace("\0", " ").encode()

    def difference(self, record, entry):
        command = record["command"]
        if command in ("query", "stmt_prepare", "stmt_bulk_execute"):
            wrong = text_difference(record, entry.text, self.charset)
            if wrong and self.charset is None and not entry.text.isascii():
                # The login's character set is in neither log: the one that makes them equal holds from here on.
                self.charset = next((c for c in CODECS if not text_difference(record, entry.text, c)), None)
                return wrong if self.charset is None else None
            return wrong
        if command == "stmt_execute":
            return values_difference(record, entry.text, self.charset, self.summary)
        if command in ("init_db", "field_list", "create_db", "drop_db"):
            return None if self._name(record, entry) else f"names {record.get('statement')!r}"
        if command == "change_user":
            account = _ACCOUNT.fullmatch(entry.text)
            return None if account or record["outcome"] == "error" else "is of an account that cannot be read"
        return None

    @staticmethod
    def _text(record):
        return record.get("statement"), record.get("statement_base64")

    def _values(self, record):
        return *self._text(record), record.get("params")

    def follow(self, record, entry):
        """What a command changes for those behind it."""
        command, done = record["command"], record["outcome"] == "ok"
        if command == "stmt_prepare":
            self.prepared.add(self._text(record))
        elif command == "change_user" and done:
            account = _ACCOUNT.fullmatch(entry.text)
            self.user, self.schema = account["user"].decode(), account["schema"].decode() or None
            self.schema_known, self.charset = True, None
        elif command == "reset_connection":
            self.charset = None
        elif command == "init_db" and done:
            self.schema, self.schema_known = record["statement"], True
        elif command == "query":
            self._follow_text(record, done)
        elif command == "stmt_execute" and _MAY_CHANGE.search(record.get("statement", "")):
            self.schema_known = False

    def _follow_text(self, record, done):
        text = record.get("statement", "")
        words = [word.lower() for word in _DYNAMIC.findall(text.encode())]
        self.dynamic = collections.Counter({
            b"Prepare": len(words), b"Execute": words.count(b"execute"),
        })
        names = _NAMES.match(text)
        if names and done:
            self.charset = names[1].lower() if names[1].lower() not in ("default", "binary") else None
        if not _MAY_CHANGE.search(text):
            return
        # Each statement of a text without quotes and comments; what is left is not known, until it is again.
        plain = not re.search(r"['\"#]|--|/\*", text) and (done or ";" not in text)
        for one in text.split(";") if plain else ():
            use, drop = _USE.fullmatch(one), _DROP.fullmatch(one)
            if use and done:
                self.schema = use[1] or use[2]
            elif drop and done and (drop[1] or drop[2]) == self.schema:
                self.schema = None
            elif not use and not drop and _MAY_CHANGE.search(one):
                plain = False
        self.schema_known = bool(plain)

    def take(self, record):
        """Takes the entry of one command off the log."""
        command, outcome = record["command"], record["outcome"]
        if outcome == "denied" or (outcome == "error" and command in FAILED):
            return None
        if record["event"] == "execute" and outcome == "error" and (
                record["error"]["code"] in UNBOUND or UNBOUND_MESSAGE in record["error"]["message"]):
            return None
        if command in UNLOGGED:
            self.summary.unlogged[command] += 1
            return None
        if not self._is_next(record):
            if outcome == "unknown":
                return None  # it may not have reached the server
            if command in UNANSWERED and not self.entries and self.records[-1].get("reason") == "upstream_closed":
                return None
            self.fail(record, "is not in the general log")
        wrong = self.difference(record, self.entries[0])
        if wrong:
            self.fail(record, wrong)
        entry = self.entries.popleft()
        if command == "stmt_bulk_execute":
            self._take_rows(record, entry)
        return entry

    def _take_rows(self, record, entry):
        """A bulk execution that MariaDB ran row by row."""
        params = record.get("params", [])
        count = len(params)
        alike = list(itertools.takewhile(lambda other: other == entry, self.entries))
        following = itertools.takewhile(
            lambda other: other.get("command") == record["command"] and self._text(other) == self._text(record),
            self.rest,
        )
        sent = sum(sent_bytes(value) for value in params)
        says_so = any("omitted" in value for value in params if isinstance(value, dict))
        left_out = record["bytes_in"] > sent + BULK_OVERHEAD + record["bytes_in"] // 1000
        if record["outcome"] == "ok" and left_out and not says_so:
            self.fail(record, f"has {record['bytes_in']} bytes, its values {sent}: it hides that some are left out")
        if len(alike) <= sum(1 for _ in following):
            return
        marks = len(segments(entry.text)) - 1
        most = count // marks - 1 if marks else 0
        if says_so:
            # {"omitted": null}: how many rows came behind the part that was kept, the values do not tell; an INSERT's
            # outcome does.
            omitted = params[-1]["omitted"]
            rows = record.get("affected_rows", 1) if omitted is None else (count + omitted - 1) // marks
            most = max(rows, 1) - 1
        rows = alike[:most]
        # All of them, or as far as one failed. Where there are fewer they are another command's.
        if len(rows) == most or record["outcome"] == "error" or says_so:
            for _ in rows:
                self.entries.popleft()

    def _is_next(self, record):
        return bool(self.entries) and self.entries[0].command == NAMES.get(record["command"])

    def walk(self):
        self.login(self.records[0])
        while self.rest:
            record = self._next()
            self.skip_echoes(record)
            self.check_who(record)
            if record["event"].startswith("session."):
                break
            entry = self.take(record)
            self.summary.commands += 1
            self.dynamic.clear()
            if entry is not None or record["outcome"] == "ok":
                self.follow(record, entry)
            self.last, self.last_entry = record, entry
        end = self.records[-1]
        if end.get("reason") != "client_quit" and self.entries and self.entries[0].command == b"Quit":
            self.entries.popleft()
        if self.entries:
            self.fail(end, "has come, and the server has seen more")

    def _next(self):
        """Of commands that arrived in the same microsecond, the one that the log has next."""
        for at, record in enumerate(self.rest):
            if record["event"].startswith("session.") or record["time"] != self.rest[0]["time"]:
                break
            if record["command"] in UNANSWERED and self._is_next(record) and not self._is_next(self.rest[0]):
                del self.rest[at]
                return record
        return self.rest.popleft()


# --- the whole ---


def hostile_texts(records):
    """Statements that hold what looks like an entry of the log."""
    texts = set()
    for record in records:
        text = record.get("statement", "")
        if "\n" in text and any(_START.match(line) for line in text.encode().split(b"\n")[1:]):
            texts.add(stripped(text.encode()))
    return sorted(texts, key=len, reverse=True)


def _unknown_threads(entries, threads, others, refused):
    """Threads of the log that no session accounts for, without those that are none of the proxy's. `refused`: the
    logins that the server refused, whose records do not name their connections."""
    by_thread = collections.defaultdict(list)
    for entry in entries:
        by_thread[entry.thread].append(entry)
    for thread, own in by_thread.items():
        account = _ACCOUNT.fullmatch(own[0].text) if own[0].command == b"Connect" else None
        retired = all(entry.command == b"Connect" and RETIRED in entry.text for entry in own)
        if account and own[1:] and (account["user"].decode(), account["schema"].decode()) in refused:
            refused.remove((account["user"].decode(), account["schema"].decode()))
            continue
        if thread not in threads and not retired and not (account and account["user"] in others):
            yield f"connection {thread} is in the general log and in no record: {'; '.join(map(str, own[:5]))}"


def _counted(records, counters):
    """The commands that no log has, by number. Unknown outcomes may or may not have been counted."""
    commands = [record for record in records if record.get("command") and record["outcome"] != "denied"
                and record.get("error", {}).get("code") != UNKNOWN_COMMAND]
    if any(record["command"] in REPLICATION for record in commands):
        return
    for counter, names in COUNTED.items():
        most = sum(1 for record in commands if record["command"] in names)
        least = sum(1 for record in commands if record["command"] in names and record["outcome"] != "unknown")
        if not least <= counters[counter] <= most:
            yield f"{sorted(names)}: {most} records, and {counter} says {counters[counter]}"


def compare(records, entries, counters=None, others=OTHERS):
    """The records of sessions that have begun and ended, and the general log's entries of the same time. Raises
    Difference; returns a Summary. `counters`: what the server counted meanwhile, all of it of the proxy's sessions."""
    summary, found, refused = Summary(), [], []
    sessions = collections.defaultdict(list)
    for record in sorted((record for record in records if "session" in record), key=lambda record: record["seq"]):
        sessions[record["session"]].append(record)
    threads = collections.defaultdict(list)
    for entry in entries:
        threads[entry.thread].append(entry)
    known = set()
    for own in sessions.values():
        thread = own[0].get("upstream_connection_id")
        others_thread = any(record.get("upstream_connection_id") != thread for record in own)
        if others_thread or (thread is not None and thread in known):
            found.append(f"session {own[0]['session']}: its upstream_connection_id is not its own")
        known |= {thread} - {None}
        if thread is None and all(record["event"].startswith("session.") for record in own):
            if own[0].get("reason") == "upstream_refused":
                refused.append((own[0]["mysql_user"], own[0].get("schema", "")))
            continue
        try:
            _Session(own, threads.get(thread, []), summary).walk()
        except Difference as difference:
            found.append(str(difference))
        summary.sessions += 1
    found.extend(_unknown_threads(entries, known, others, refused))
    if counters is not None:
        found.extend(_counted(records, counters))
    if found:
        raise Difference("audit log and general log differ:\n" + "\n".join(found[:20]))
    return summary


def _own(account, others):
    """Whether a connection came through the proxy."""
    return account and account["user"] not in others


def _alone(server, others):
    """No connection but those of the others is left: the server has logged all that the proxy's did."""
    servers_own = {"system user", "event_scheduler"}
    try:
        rows = server.execute("SELECT DISTINCT user FROM information_schema.processlist")
    except pymysql.err.OperationalError:
        return False  # MySQL cannot list a session while it runs a statement that is no text
    return {row[0].encode() for row in rows if row[0] not in servers_own} <= others


def _settled(stack, before, threads):
    """The audit log has the end of each connection. (It is written a moment after the session is gone.)"""
    ends = [r for r in stack.audit.records(before) if r["event"] in ("session.end", "session.denied")]
    return threads <= {record.get("upstream_connection_id") for record in ends}


@contextlib.contextmanager
def checked(stack, server=None, others=OTHERS):
    """Compares all that the sessions of the block did. `stack` is a Stack, or a Proxy with its `server`. Yields a list
    that holds the Summary once the block has been left. No session may be open before the block; nothing in it may
    change the general log's settings. `others`: accounts that do not come through the proxy."""
    server = server or stack.server
    process.wait_until(lambda: _alone(server, others), "earlier sessions to end")
    before = stack.audit.count()
    summaries = []
    with capture(server) as captured:
        yield summaries
        process.wait_until(lambda: _alone(server, others), "the end of the proxy's connections", timeout=30)
    log = captured[0]
    stack.audit.count()
    connects = {entry.thread: _ACCOUNT.fullmatch(entry.text) for entry in log.entries() if entry.command == b"Connect"}
    # A login that was refused has no record that names its connection.
    refused = {entry.thread for entry in log.entries() if entry.command == b"Init DB" and b"denied" in entry.text}
    own = {thread for thread, account in connects.items() if _own(account, others)} - refused
    with contextlib.suppress(AssertionError):  # what is missing is told below
        process.wait_until(lambda: _settled(stack, before, own), "the ends of the sessions", timeout=2)
    records = [record for record in stack.audit.records(before)
               if record.get("upstream_connection_id", log.first + 1) > log.first]
    # Other accounts' commands are in the counters too; the harness's own root sends none that are counted.
    alone = all(_own(account, others) or not account or account["user"] == b"root" for account in connects.values())
    summaries.append(compare(records, log.entries(hostile_texts(records)), log.counters if alone else None, others))


@contextlib.contextmanager
def noted(stack, outcomes, key):
    """checked(), for a test that is about something else: the Summary or the Difference is kept in outcomes[key]."""
    try:
        with checked(stack) as summaries:
            yield
        outcomes[key] = summaries[0]
    except Difference as difference:
        outcomes[key] = difference
