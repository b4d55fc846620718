// input(): a cell's question goes to the client that sent the cell, and the answer back to the evaluator. Only the
// pairing of questions and answers; no text is read or shown here.

import type { Output } from "../evaluator/port.ts";
import type { Envelope } from "../protocol/envelope.ts";
import { type Message, text } from "../protocol/messages.ts";
import type { Origin } from "./outputs.ts";

export interface Inputs {
  /** Asks the client of the cell. */
  ask(request: Extract<Output, { type: "input_request" }>, origin: Origin): void;
  /** An input_reply came: gives it to the cell that asked. */
  reply(message: Message): void;
  /** A client's stdin connected: questions that could not be sent are sent now. */
  connected(): void;
  /** A cell has ended: what it asked is no longer open. */
  forget(cell: string): void;
}

export interface InputsOptions {
  readonly envelope: Envelope;
  /** False where no such client is connected. */
  readonly send: (identities: readonly Uint8Array[], frames: readonly Uint8Array[]) => boolean;
  readonly answer: (inputId: number, value: string) => void;
  readonly log: (line: string) => void;
}

interface Question {
  readonly cell: string;
  readonly inputId: number;
  readonly messageId: string;
  readonly client: string;
  readonly deliver: () => boolean;
  delivered: boolean;
}

export function createInputs(options: InputsOptions): Inputs {
  const { envelope, send, answer, log } = options;
  let open: Question[] = [];

  return {
    ask(request, origin) {
      const { header, frames } = envelope.encode({
        type: "input_request",
        parent: origin.header,
        content: { prompt: request.prompt, password: request.password },
      });
      const question: Question = {
        cell: request.cell,
        inputId: request.inputId,
        messageId: header.msg_id,
        client: clientOf(origin.identities),
        deliver: () => send(origin.identities, frames),
        delivered: false,
      };
      open.push(question);
      question.delivered = question.deliver();
      if (!question.delivered) log("input: the client has no stdin connection; the question waits for one");
    },

    reply(message) {
      const client = clientOf(message.identities);
      const parent = message.parentHeader.msg_id;
      // jupyter_client leaves the parent out; then the answer is to the oldest question of that client.
      const question =
        open.find((each) => each.messageId === parent && each.client === client) ??
        (parent === undefined ? open.find((each) => each.client === client && each.delivered) : undefined);
      if (question === undefined) {
        log("stdin: dropped an input_reply that answers no open question");
        return;
      }
      open = open.filter((each) => each !== question);
      answer(question.inputId, text(message.content, "value"));
    },

    connected() {
      for (const question of open) if (!question.delivered) question.delivered = question.deliver();
    },

    forget(cell) {
      open = open.filter((each) => each.cell !== cell);
    },
  };
}

function clientOf(identities: readonly Uint8Array[]): string {
  return identities.map((identity) => String.fromCharCode(...identity.subarray(0, 255))).join("\n");
}
