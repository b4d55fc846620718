"""A kernel that does nothing: floor_kernel.py CONNECTION_FILE. It answers every cell with `2` from one process, through libzmq.

What the machine, the client and libzmq cost by themselves: no kernel's round trip can be told from this one's where the
machine's own pauses decide. Not a peer: it runs no code.
"""

import json
import sys

import zmq
from jupyter_client.session import Session

INFO = {
    "status": "ok",
    "protocol_version": "5.3",
    "implementation": "floor",
    "implementation_version": "1",
    "language_info": {"name": "none", "version": "1", "mimetype": "text/plain", "file_extension": ".txt"},
    "banner": "",
}
COMPLETIONS = {"status": "ok", "matches": [], "cursor_start": 0, "cursor_end": 0, "metadata": {}}


def main(connection_file):
    with open(connection_file) as file:
        connection = json.load(file)
    context = zmq.Context()

    def bind(kind, port):
        socket = context.socket(kind)
        socket.bind(f"tcp://{connection['ip']}:{connection[port]}")
        return socket

    shell = bind(zmq.ROUTER, "shell_port")
    control = bind(zmq.ROUTER, "control_port")
    bind(zmq.ROUTER, "stdin_port")
    iopub = bind(zmq.PUB, "iopub_port")
    heartbeat = bind(zmq.REP, "hb_port")
    session = Session(key=connection["key"].encode(), signature_scheme=connection["signature_scheme"])
    poller = zmq.Poller()
    for socket in (shell, control, heartbeat):
        poller.register(socket, zmq.POLLIN)
    count = 0
    while True:
        for socket, _ in poller.poll():
            if socket is heartbeat:
                heartbeat.send(heartbeat.recv())
                continue
            identities, message = session.recv(socket, mode=0)
            kind = message["header"]["msg_type"]

            def publish(name, content, parent=message):
                session.send(iopub, name, content, parent=parent, ident=f"kernel.{name}".encode())

            publish("status", {"execution_state": "busy"})
            reply = {"status": "ok"}
            if kind == "kernel_info_request":
                reply = INFO
            elif kind == "complete_request":
                reply = COMPLETIONS
            elif kind == "execute_request":
                count += 1
                publish("execute_input", {"code": message["content"]["code"], "execution_count": count})
                result = {"data": {"text/plain": "2"}, "metadata": {}, "execution_count": count}
                publish("execute_result", result)
                reply = {"status": "ok", "execution_count": count, "user_expressions": {}, "payload": []}
            session.send(socket, kind.replace("_request", "_reply"), reply, parent=message, ident=identities)
            publish("status", {"execution_state": "idle"})
            if kind == "shutdown_request":
                return


if __name__ == "__main__":
    main(sys.argv[1])
