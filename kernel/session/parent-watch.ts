// Ends the kernel when the process that started it has died (JPY_PARENT_PID): nobody is left to stop it. One timer.

/** Calls `onDeath` once. `parent` is what JPY_PARENT_PID says; nothing is watched where it says no process id. */
export function watchParent(parent: string | undefined, onDeath: () => void, intervalMs = 1000): void {
  const pid = Number(parent);
  if (parent === undefined || !Number.isInteger(pid) || pid <= 1) return;
  // A wrapper script may stand between: then the named process is asked, else whether we still are its child (a
  // process id can be given again, being its child cannot).
  const direct = process.ppid === pid;
  const timer = setInterval(() => {
    if (direct ? process.ppid === pid : exists(pid)) return;
    clearInterval(timer);
    onDeath();
  }, intervalMs);
  timer.unref();
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // No permission to signal it means that it is there.
    return (error as { code?: unknown }).code === "EPERM";
  }
}
