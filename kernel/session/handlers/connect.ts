// connect_request (deprecated, still asked by old clients): the ports.

import type { Content } from "../../protocol/messages.ts";
import type { Session } from "../session.ts";

export function connect(session: Session): Content {
  const { shellPort, iopubPort, stdinPort, hbPort, controlPort } = session.connection;
  return {
    shell_port: shellPort,
    iopub_port: iopubPort,
    stdin_port: stdinPort,
    hb_port: hbPort,
    control_port: controlPort,
  };
}
