// A peer process that answers one line of JSON for each line it is sent, so that rounds of a bench are taken in turn.

export interface LinePeer {
  /** The next line it prints. @throws Error when it ended before. */
  read(): Promise<Record<string, unknown>>;
  /** Asks for a round and waits for its line. */
  round(): Promise<Record<string, unknown>>;
  end(): Promise<void>;
}

export function startPeer(command: readonly string[], env: Readonly<Record<string, string>> = {}): LinePeer {
  const peer = Bun.spawn([...command], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, ...env },
  });
  const reader = peer.stdout.getReader();
  const decoder = new TextDecoder();
  let buffered = "";
  const read = async (): Promise<Record<string, unknown>> => {
    while (!buffered.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`${command.join(" ")} ended early (exit ${await peer.exited})`);
      buffered += decoder.decode(value, { stream: true });
    }
    const end = buffered.indexOf("\n");
    const line = buffered.slice(0, end);
    buffered = buffered.slice(end + 1);
    return JSON.parse(line) as Record<string, unknown>;
  };
  return {
    read,
    round() {
      peer.stdin.write("\n");
      peer.stdin.flush();
      return read();
    },
    async end() {
      peer.stdin.end();
      await peer.exited;
    },
  };
}
