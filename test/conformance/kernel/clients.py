"""What the suites share: a kernel of the kernelspec under test, driven through jupyter_client over the real libzmq.

No checks of its own. The kernelspec is named by BUNSEN_KERNEL (default: bunsen); JUPYTER_PATH says where it is.
"""

import os
import queue
import time
from dataclasses import dataclass, field

from jupyter_client import BlockingKernelClient
from jupyter_client.manager import KernelManager

KERNEL = os.environ.get("BUNSEN_KERNEL", "bunsen")
TIMEOUT = 30


@dataclass
class Result:
    """All that one execute_request brought: its reply, and its iopub messages up to idle."""

    msg_id: str
    reply: dict
    messages: list = field(default_factory=list)

    @property
    def content(self):
        return self.reply["content"]

    def of_type(self, *types):
        return [m for m in self.messages if m["msg_type"] in types]

    def stream(self, name="stdout"):
        return "".join(m["content"]["text"] for m in self.of_type("stream") if m["content"]["name"] == name)

    @property
    def text(self):
        """text/plain of the result, or None."""
        results = self.of_type("execute_result")
        return results[0]["content"]["data"]["text/plain"] if results else None

    @property
    def error(self):
        errors = self.of_type("error")
        return errors[0]["content"] if errors else None


def start(**options):
    """A fresh kernel and a client of it that is ready."""
    manager = KernelManager(kernel_name=KERNEL)
    manager.start_kernel(**options)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=TIMEOUT)
    return manager, client


def another_client(manager):
    """A client with a session (and so an identity) of its own, as another program would have."""
    client = BlockingKernelClient(connection_file=manager.connection_file)
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=TIMEOUT)
    return client


def stop(manager, client=None):
    if client is not None:
        client.stop_channels()
    if manager.has_kernel:
        manager.shutdown_kernel(now=True)


def iopub_until_idle(client, msg_id, timeout=TIMEOUT, others=None):
    """The iopub messages of a request, idle included; those of other requests go to `others`."""
    messages = []
    end = time.monotonic() + timeout
    while True:
        message = client.get_iopub_msg(timeout=max(0.001, end - time.monotonic()))
        if message["parent_header"].get("msg_id") != msg_id:
            if others is not None:
                others.append(message)
            continue
        messages.append(message)
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return messages


def shell_reply(client, msg_id, timeout=TIMEOUT):
    end = time.monotonic() + timeout
    while True:
        reply = client.get_shell_msg(timeout=max(0.001, end - time.monotonic()))
        if reply["parent_header"].get("msg_id") == msg_id:
            return reply


def control_reply(client, msg_id, timeout=TIMEOUT):
    end = time.monotonic() + timeout
    while True:
        reply = client.get_control_msg(timeout=max(0.001, end - time.monotonic()))
        if reply["parent_header"].get("msg_id") == msg_id:
            return reply


def execute(client, code, timeout=TIMEOUT, others=None, **options):
    msg_id = client.execute(code, **options)
    reply = shell_reply(client, msg_id, timeout)
    return Result(msg_id, reply, iopub_until_idle(client, msg_id, timeout, others))


def finish(client, msg_id, timeout=TIMEOUT, others=None):
    """Waits for a request that was sent before."""
    reply = shell_reply(client, msg_id, timeout)
    return Result(msg_id, reply, iopub_until_idle(client, msg_id, timeout, others))


def send(client, channel, msg_type, content=None, subshell_id=None, buffers=None):
    """Sends any message; returns its msg_id."""
    message = client.session.msg(msg_type, content or {})
    if subshell_id is not None:
        message["header"]["subshell_id"] = subshell_id
    socket = getattr(client, f"{channel}_channel").socket
    client.session.send(socket, message, buffers=buffers or [])
    return message["header"]["msg_id"]


def ask(client, channel, msg_type, content=None, timeout=TIMEOUT, **options):
    """Sends a request on shell or control; its reply's content, with the iopub messages taken away."""
    msg_id = send(client, channel, msg_type, content, **options)
    reply = (shell_reply if channel == "shell" else control_reply)(client, msg_id, timeout)
    iopub_until_idle(client, msg_id, timeout)
    return reply["content"]


def wait_for_text(client, needle, timeout=TIMEOUT):
    """iopub messages until a stream's text holds `needle`."""
    messages = []
    end = time.monotonic() + timeout
    while True:
        message = client.get_iopub_msg(timeout=max(0.001, end - time.monotonic()))
        messages.append(message)
        if message["msg_type"] == "stream" and needle in message["content"]["text"]:
            return messages


def quiet(client, seconds=0.2):
    """What comes within this time (for showing that nothing comes)."""
    messages = []
    end = time.monotonic() + seconds
    while True:
        try:
            messages.append(client.get_iopub_msg(timeout=max(0.001, end - time.monotonic())))
        except queue.Empty:
            return messages
