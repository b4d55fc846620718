"""The kernel as a process among others: start, shutdown, restart, signals, transports, several clients, bad senders."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import zmq
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_client.session import Session

from clients import KERNEL, another_client, ask, control_reply, execute, finish, iopub_until_idle, send, start, stop, wait_for_text

PROJECT = os.environ["BUNSEN_PROJECT"]


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_gone(pid, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if gone(pid):
            return True
        time.sleep(0.002)
    return False


def children(pid):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    if int(stat.read().rsplit(")", 1)[1].split()[1]) == pid:
                        found += [int(name), *children(int(name))]
            except OSError:
                pass
    return found


class Life(unittest.TestCase):
    def test_starting(self):
        """a subscriber is welcomed, then told `starting`, before any request"""
        km = KernelManager(kernel_name=KERNEL)
        km.start_kernel()
        try:
            kc = km.client()
            kc.iopub_channel.start()
            welcome = kc.get_iopub_msg(timeout=10)
            self.assertEqual((welcome["msg_type"], welcome["content"]), ("iopub_welcome", {"subscription": ""}))
            self.assertEqual(welcome["parent_header"], {})
            starting = kc.get_iopub_msg(timeout=10)
            self.assertEqual((starting["msg_type"], starting["content"]["execution_state"]), ("status", "starting"))
            kc.stop_channels()
        finally:
            stop(km)

    def test_shutdown(self):
        """the process and all its children are gone within 100 ms of shutdown_reply, also while a cell computes"""
        limit = 0.1 if os.environ.get("BUNSEN_STRICT") else 0.5
        for code in ("1", "while (true) {}"):
            seconds = []
            # A busy machine may take its time once, not three times.
            while len(seconds) < 3 and (not seconds or seconds[-1] >= limit):
                seconds.append(self.shut_down(code))
            self.assertLess(min(seconds), limit)

    def shut_down(self, code):
        """Seconds from the reply to the end of all processes of a kernel that has run `code` or runs it."""
        km, kc = start()
        try:
            execute(kc, "1")
            if code != "1":
                kc.execute("console.log('begun'); " + code)
                wait_for_text(kc, "begun")
            pid = km.provisioner.pid
            family = [pid, *children(pid)]
            self.assertGreater(len(family), 1)
            begin = send(kc, "control", "shutdown_request", {"restart": True})
            reply = control_reply(kc, begin)
            at = time.monotonic()
            self.assertEqual(reply["content"], {"status": "ok", "restart": True})
            for each in family:
                self.assertTrue(wait_gone(each, 2), f"process {each} of {family}")
            return time.monotonic() - at
        finally:
            stop(km, kc)

    def test_restart(self):
        """a restart gives a new state on the same ports"""
        km, kc = start()
        try:
            execute(kc, "var before = 1")
            begin = time.monotonic()
            km.restart_kernel()
            kc.wait_for_ready(timeout=20)
            self.assertLess(time.monotonic() - begin, 5)
            result = execute(kc, "typeof before")
            self.assertEqual((result.text, result.content["execution_count"]), ("'undefined'", 1))
        finally:
            stop(km, kc)

    def test_signals(self):
        """SIGINT interrupts with state kept, SIGTERM ends the kernel with status 0"""
        km, kc = start()
        try:
            msg_id = kc.execute("var kept = 7; console.log('begun'); while (true) {}")
            wait_for_text(kc, "begun")
            os.kill(km.provisioner.pid, signal.SIGINT)
            self.assertEqual(finish(kc, msg_id).content["status"], "error")
            self.assertEqual(execute(kc, "kept").text, "7")
            msg_id = kc.execute("console.log('again'); while (true) {}")
            wait_for_text(kc, "again")
            # What a terminal's Ctrl-C does: the whole process group gets the signal.
            os.killpg(os.getpgid(km.provisioner.pid), signal.SIGINT)
            self.assertEqual(finish(kc, msg_id).content["status"], "error")
            self.assertEqual(execute(kc, "kept").text, "7")
            family = children(km.provisioner.pid)
            os.kill(km.provisioner.pid, signal.SIGTERM)
            self.assertEqual(km.provisioner.process.wait(5), 0)
            self.assertTrue(all(wait_gone(pid, 2) for pid in family))
        finally:
            stop(km, kc)

    def test_killed_kernel(self):
        """no process stays behind a kernel that was killed"""
        km, kc = start()
        execute(kc, "1")
        family = children(km.provisioner.pid)
        self.assertGreater(len(family), 0)
        os.kill(km.provisioner.pid, signal.SIGKILL)
        for pid in family:
            self.assertTrue(wait_gone(pid, 5), f"process {pid}")
        stop(km, kc)

    def test_dead_parent(self):
        """the kernel ends when the process that started it (JPY_PARENT_PID) dies"""
        script = (
            "import sys, time\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "from clients import start\n"
            "km, kc = start()\n"
            "print(km.provisioner.pid, flush=True)\n"
            "time.sleep(60)\n"
        )
        parent = subprocess.Popen([sys.executable, "-c", script, os.path.dirname(__file__)], stdout=subprocess.PIPE, text=True)
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        parent.stdout.close()
        self.assertTrue(wait_gone(pid, 5))

    def test_heartbeat(self):
        """the heartbeat answers while a cell computes"""
        km, kc = start()
        try:
            msg_id = kc.execute("console.log('begun'); while (true) {}")
            wait_for_text(kc, "begun")
            beat = zmq.Context.instance().socket(zmq.REQ)
            beat.connect(f"tcp://{km.ip}:{km.hb_port}")
            for i in range(20):
                beat.send(b"beat %d" % i)
                self.assertTrue(beat.poll(3000), "no heartbeat")
                self.assertEqual(beat.recv(), b"beat %d" % i)
            beat.close(0)
            km.interrupt_kernel()
            self.assertEqual(finish(kc, msg_id).content["status"], "error")
        finally:
            stop(km, kc)

    def test_history_of_former_kernels(self):
        """the history of a kernel is there in the next one"""
        km, kc = start()
        execute(kc, "'of a former kernel'")
        kc.shutdown()
        wait_gone(km.provisioner.pid, 3)
        stop(km, kc)
        km, kc = start()
        try:
            content = ask(kc, "shell", "history_request", {"hist_access_type": "search", "pattern": "*of a former*", "output": True, "raw": True})
            self.assertEqual(content["history"][-1][2], ["'of a former kernel'", "'of a former kernel'"])
            content = ask(kc, "shell", "history_request", {"hist_access_type": "range", "session": -1, "start": 0, "output": False, "raw": True})
            self.assertIn("'of a former kernel'", [entry[2] for entry in content["history"]])
        finally:
            stop(km, kc)

    def test_type_errors(self):
        """BUNSEN_TYPE_ERRORS: `stop` makes a type error the cell's error, from the first cell on; `silent` says nothing"""
        for setting, status in (("stop", "error"), ("silent", "ok")):
            km, kc = start(env={**os.environ, "BUNSEN_TYPE_ERRORS": setting})
            try:
                result = execute(kc, "const wrong: string = 3; console.log('ran')")
                self.assertEqual(result.content["status"], status)
                self.assertEqual(result.stream("stderr"), "")
                if setting == "stop":
                    self.assertEqual(result.error["ename"], "TypeCheckError")
                    self.assertIn("TS2322", result.error["evalue"])
                self.assertEqual(result.stream(), "" if setting == "stop" else "ran\n")
            finally:
                stop(km, kc)

    def test_folder(self):
        """cells run in the folder where the kernel was started"""
        with tempfile.TemporaryDirectory() as folder:
            folder = os.path.realpath(folder)
            with open(os.path.join(folder, "local.ts"), "w") as file:
                file.write("export const place: string = 'beside the notebook'\n")
            km, kc = start(cwd=folder)
            try:
                self.assertEqual(execute(kc, "process.cwd()").text, repr(folder))
                self.assertEqual(execute(kc, "import { place } from './local.ts'; place").text, "'beside the notebook'")
            finally:
                stop(km, kc)


class Transports(unittest.TestCase):
    def test_ipc(self):
        """unix sockets work, are private, and are cleaned away"""
        with tempfile.TemporaryDirectory() as folder:
            km = KernelManager(kernel_name=KERNEL, transport="ipc", ip=os.path.join(folder, "k"))
            km.start_kernel()
            kc = km.client()
            kc.start_channels()
            kc.wait_for_ready(timeout=20)
            try:
                self.assertEqual(execute(kc, "6 * 7").text, "42")
                sockets = [name for name in os.listdir(folder) if name.startswith("k-")]
                self.assertEqual(len(sockets), 5)
                for name in sockets:
                    self.assertEqual(os.stat(os.path.join(folder, name)).st_mode & 0o077, 0)
                pid = km.provisioner.pid
                kc.shutdown()
                self.assertTrue(wait_gone(pid, 3))
                self.assertEqual([name for name in os.listdir(folder) if name.startswith("k-")], [])
            finally:
                stop(km, kc)

    def test_ports(self):
        """a port in use, a bad file: one clear line, a status that is not 0, a stack only with --debug"""
        spec = KernelSpecManager().get_kernel_spec(KERNEL)
        with tempfile.TemporaryDirectory() as folder, socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            path = os.path.join(folder, "connection.json")
            fields = {name: 0 for name in ("shell_port", "control_port", "stdin_port", "iopub_port", "hb_port")}
            cases = [
                ({**fields, "iopub_port": taken.getsockname()[1], "key": "k"}, r"iopub_port: 127\.0\.0\.1:\d+ is in use"),
                ({**fields, "shell_port": "x", "transport": "udp"}, r"transport: expected.*udp.*shell_port: expected.*\"x\""),
                ({**fields, "ip": "203.0.113.7", "key": "k"}, r"cannot be bound|is not"),
            ]
            for content, message in cases:
                with open(path, "w") as file:
                    json.dump(content, file)
                os.chmod(path, 0o600)
                for debug in (False, True):
                    argv = [arg.replace("{connection_file}", path) for arg in spec.argv] + (["--debug"] if debug else [])
                    run = subprocess.run(argv, capture_output=True, text=True, timeout=20)
                    self.assertNotEqual(run.returncode, 0)
                    self.assertRegex(run.stderr, message)
                    self.assertEqual(len(run.stderr.strip().splitlines()) == 1, not debug, run.stderr)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.log = tempfile.TemporaryFile(mode="w+")
        cls.km, cls.kc = start(stderr=cls.log)

    @classmethod
    def tearDownClass(cls):
        stop(cls.km, cls.kc)
        cls.log.close()

    def logged(self):
        self.log.seek(0)
        return self.log.read()

    def raw(self, key=None):
        """A DEALER on shell with its own session; `key` other than the kernel's signs wrongly."""
        dealer = zmq.Context.instance().socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(f"tcp://{self.km.ip}:{self.km.shell_port}")
        self.addCleanup(dealer.close)
        return dealer, Session(key=key or self.km.session.key)

    def test_two_clients(self):
        """two clients at once: each gets its own replies, both see all outputs, input goes to the one that asked"""
        other = another_client(self.km)
        self.addCleanup(other.stop_channels)
        first = [self.kc.execute(f"'a{i}'") for i in range(20)]
        second = [other.execute(f"'b{i}'") for i in range(20)]
        for client, ids, letter in ((self.kc, first, "a"), (other, second, "b")):
            self.assertEqual([client.get_shell_msg(timeout=10)["parent_header"]["msg_id"] for _ in ids], ids)
            results = {}
            idle = set()
            while idle != {*first, *second}:
                message = client.get_iopub_msg(timeout=10)
                parent = message["parent_header"].get("msg_id")
                if message["msg_type"] == "execute_result":
                    results[parent] = message["content"]["data"]["text/plain"]
                if message["content"].get("execution_state") == "idle" and parent in (*first, *second):
                    idle.add(parent)
            self.assertEqual(len(results), 40)
        msg_id = other.execute("import { input } from 'bunsen/kernel'; await input('who?')", allow_stdin=True)
        self.assertEqual(other.get_stdin_msg(timeout=10)["content"]["prompt"], "who?")
        self.assertFalse(self.kc.stdin_channel.msg_ready())
        other.input("me")
        self.assertEqual(finish(other, msg_id).text, "'me'")
        iopub_until_idle(self.kc, msg_id)

    def test_error_of_another_client(self):
        """a failing cell aborts what its own client has queued, not what another has"""
        other = another_client(self.km)
        self.addCleanup(other.stop_channels)
        failing = self.kc.execute("console.log('begun'); await Bun.sleep(300); throw new Error('mine')")
        wait_for_text(self.kc, "begun")
        theirs = other.execute("'still ran'")
        self.assertEqual(finish(self.kc, failing).content["status"], "error")
        self.assertEqual(finish(other, theirs).text, "'still ran'")
        iopub_until_idle(self.kc, theirs)

    def test_wrong_signature(self):
        """a message signed with another key, or not at all, is dropped with one line"""
        dealer, session = self.raw(key=b"not the key")
        before = self.logged().count("a wrong signature")
        session.send(dealer, "kernel_info_request", {})
        self.assertFalse(dealer.poll(300))
        self.assertEqual(self.logged().count("a wrong signature"), before + 1)
        self.assertEqual(execute(self.kc, "1 + 1").text, "2")

    def test_replay(self):
        """a message sent twice is answered once"""
        dealer, session = self.raw()
        frames = session.serialize(session.msg("kernel_info_request", {}))
        dealer.send_multipart(frames)
        self.assertTrue(dealer.poll(5000))
        dealer.recv_multipart()
        dealer.send_multipart(frames)
        self.assertFalse(dealer.poll(300))
        self.assertIn("replay", self.logged())

    def test_malformed(self):
        """malformed messages are dropped with a line each; the same connection goes on"""
        dealer, session = self.raw()
        lines = self.logged().count("dropped a message")
        for frames in ([b"hello"], [b"<IDS|MSG>"], [b"<IDS|MSG>", b"sig", b"{", b"{}", b"{}", b"{}"], [b""] * 40):
            dealer.send_multipart(frames)
        session.send(dealer, "kernel_info_request", {})
        self.assertTrue(dealer.poll(5000))
        dealer.recv_multipart()
        self.assertEqual(self.logged().count("dropped a message"), lines + 4)

    def test_huge(self):
        """a message above 256 MiB is skipped with a line; the kernel's memory does not grow by it"""
        with socket.create_connection((self.km.ip, self.km.shell_port)) as raw:
            raw.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48))
            ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
            raw.sendall(b"\x04" + bytes([len(ready)]) + ready)
            size = 300 * 1024 * 1024
            rss = self.memory()
            raw.sendall(b"\x02" + struct.pack(">Q", size))
            block = bytes(1024 * 1024)
            for _ in range(300):
                raw.sendall(block)
            frames = Session(key=self.km.session.key)
            parts = frames.serialize(frames.msg("kernel_info_request", {}))
            for i, part in enumerate(parts):
                more = i < len(parts) - 1
                raw.sendall((struct.pack("BB", more, len(part)) if len(part) < 256 else struct.pack(">BQ", 2 | more, len(part))) + part)
            raw.settimeout(20)
            answer = b""
            while b"kernel_info_reply" not in answer:
                answer += raw.recv(65536)
            self.assertLess(self.memory() - rss, 150 * 1024 * 1024)
        self.assertIn("dropped a message above the limit", self.logged())

    def memory(self):
        with open(f"/proc/{self.km.provisioner.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_slow_subscriber(self):
        """a subscriber that reads nothing neither delays the others nor grows the kernel without bound"""
        with socket.create_connection((self.km.ip, self.km.iopub_port)) as raw:
            raw.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48))
            ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 3) + b"SUB"
            raw.sendall(b"\x04" + bytes([len(ready)]) + ready + b"\x04\x0a\x09SUBSCRIBE")
            raw.settimeout(5)
            greeting = b""
            while b"iopub_welcome" not in greeting:
                greeting += raw.recv(65536)
            before = self.memory()
            for _ in range(12):
                result = execute(self.kc, "for (let i = 0; i < 160; i++) console.log('x'.repeat(65535))", store_history=False)
                self.assertEqual(len(result.stream()), 160 * 65536)
            self.assertLess(self.memory() - before, 64 * 1024 * 1024 + 200 * 1024 * 1024)
            self.assertIn("messages to it are dropped", self.logged())
        self.assertEqual(execute(self.kc, "1 + 1").text, "2")


class FirstClient(unittest.TestCase):
    def test_late_client(self):
        """a client that connects to a running kernel by its file works as the first did"""
        km, kc = start()
        try:
            execute(kc, "var shared = 'seen by both'")
            late = another_client(km)
            self.assertEqual(execute(late, "shared").text, "'seen by both'")
            late.stop_channels()
        finally:
            stop(km, kc)
