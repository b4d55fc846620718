// The table of requests: one row for each message type that a client may send on shell or control. A type without a
// row is answered with an error (kernel.ts).

import { comm } from "./handlers/comm.ts";
import { commInfo } from "./handlers/comm-info.ts";
import { complete } from "./handlers/complete.ts";
import { connect } from "./handlers/connect.ts";
import { execute } from "./handlers/execute.ts";
import { history } from "./handlers/history.ts";
import { inspect } from "./handlers/inspect.ts";
import { interrupt } from "./handlers/interrupt.ts";
import { isComplete } from "./handlers/is-complete.ts";
import { kernelInfo } from "./handlers/kernel-info.ts";
import { shutdown } from "./handlers/shutdown.ts";
import { createSubshell, deleteSubshell, listSubshells } from "./handlers/subshells.ts";
import type { HandlerRow } from "./session.ts";

const shell = ["shell"] as const;
const control = ["control"] as const;
const both = ["shell", "control"] as const;

export const handlers: Readonly<Record<string, HandlerRow>> = {
  kernel_info_request: { channels: both, reply: "kernel_info_reply", order: "at once", handle: kernelInfo },
  execute_request: { channels: shell, reply: "execute_reply", order: "queued", handle: execute },
  comm_open: { channels: shell, reply: null, order: "queued", handle: comm },
  comm_msg: { channels: shell, reply: null, order: "queued", handle: comm },
  comm_close: { channels: shell, reply: null, order: "queued", handle: comm },
  comm_info_request: { channels: both, reply: "comm_info_reply", order: "at once", handle: commInfo },
  complete_request: { channels: both, reply: "complete_reply", order: "at once", handle: complete },
  inspect_request: { channels: both, reply: "inspect_reply", order: "at once", handle: inspect },
  is_complete_request: { channels: both, reply: "is_complete_reply", order: "at once", handle: isComplete },
  history_request: { channels: both, reply: "history_reply", order: "at once", handle: history },
  connect_request: { channels: both, reply: "connect_reply", order: "at once", handle: connect },
  interrupt_request: { channels: both, reply: "interrupt_reply", order: "at once", handle: interrupt },
  shutdown_request: { channels: both, reply: "shutdown_reply", order: "at once", handle: shutdown },
  create_subshell_request: {
    channels: control,
    reply: "create_subshell_reply",
    order: "at once",
    handle: createSubshell,
  },
  delete_subshell_request: {
    channels: control,
    reply: "delete_subshell_reply",
    order: "at once",
    handle: deleteSubshell,
  },
  list_subshell_request: { channels: control, reply: "list_subshell_reply", order: "at once", handle: listSubshells },
  usage_request: {
    channels: both,
    reply: "usage_reply",
    order: "at once",
    handle: async () => (await import("./handlers/usage.ts")).usage(),
  },
};
