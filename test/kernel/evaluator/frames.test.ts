// The bytes between the kernel and its child, cut anywhere.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Command,
  decodeCommand,
  decodeFrame,
  encodeCommand,
  encodeFrame,
  endMark,
  type Frame,
  FrameDecoder,
} from "#kernel/evaluator/frames.ts";
import { NativeDecoder, type NativePiece } from "#kernel/evaluator/native-output.ts";

const FRAMES: Frame[] = [
  { type: "ready" },
  { type: "stream", cell: "c", name: "stdout", text: "é😀\n" },
  {
    type: "display_data",
    cell: "c",
    data: { "text/plain": "x" },
    metadata: {},
    transient: {},
    buffers: [new Uint8Array([0, 255]), new Uint8Array()],
  },
  { type: "comm_msg", cell: "c", commId: "1", data: { a: [1] }, metadata: {}, buffers: [] },
  { type: "result", sequence: 3, result: { status: "ok", userExpressions: {}, payload: [] } },
];

function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

describe("frames", () => {
  const bytes = join(FRAMES.map((frame) => encodeFrame(frame)));

  test("come back as they were sent", () => {
    expect(new FrameDecoder(decodeFrame).push(bytes)).toEqual(FRAMES);
  });

  test("come back whole when cut at any byte, and byte by byte", () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new FrameDecoder(decodeFrame);
      expect([...decoder.push(bytes.subarray(0, cut)), ...decoder.push(bytes.subarray(cut))]).toEqual(FRAMES);
    }
    const decoder = new FrameDecoder(decodeFrame);
    const frames: Frame[] = [];
    for (let at = 0; at < bytes.length; at++) frames.push(...decoder.push(bytes.subarray(at, at + 1)));
    expect(frames).toEqual(FRAMES);
  });

  test("do not change with memory that the socket uses again", () => {
    const decoder = new FrameDecoder(decodeFrame);
    const chunk = Buffer.from(encodeFrame(FRAMES[1] as Frame));
    expect(decoder.push(chunk.subarray(0, 10))).toEqual([]);
    const rest = new Uint8Array(chunk.subarray(10));
    chunk.fill(0);
    expect(decoder.push(rest)).toEqual([FRAMES[1]]);
  });
});

test("commands come back as they were sent, the buffers of a comm message beside them", () => {
  const commands: Command[] = [
    { type: "properties", sequence: 1, expression: "a" },
    {
      type: "comm",
      sequence: 2,
      cell: "c",
      subshellId: null,
      message: { type: "comm_msg", commId: "1", data: { é: 1 }, metadata: {}, buffers: [new Uint8Array([1, 2, 3])] },
    },
    { type: "settle_signals", signals: 0 },
  ];
  const decoder = new FrameDecoder(decodeCommand);
  expect(decoder.push(join(commands.map(encodeCommand)))).toEqual(commands);
});

/** Adjacent texts joined. */
function joined(pieces: readonly NativePiece[]): (string | number)[] {
  const out: (string | number)[] = [];
  for (const piece of pieces) {
    const last = out.at(-1);
    if ("mark" in piece) out.push(piece.mark);
    else if (typeof last === "string") out[out.length - 1] = last + piece.text;
    else out.push(piece.text);
  }
  return out;
}

describe("native output", () => {
  const nonce = "0123456789abcdef";
  const text = `before é😀${endMark(nonce, 1)}\u001b[31mred\u001b[0m${endMark(nonce, 2)}${endMark(nonce, 3)}\u001b]bunsen;other\u0007 after\u001b`;
  const bytes = new TextEncoder().encode(text);
  const expected = ["before é😀", 1, "\u001b[31mred\u001b[0m", 2, 3, "\u001b]bunsen;other\u0007 after\u001b"];

  test("is cut at the marks, wherever the pipe cuts it", () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new NativeDecoder(nonce);
      const pieces = [...decoder.push(bytes.subarray(0, cut)), ...decoder.push(bytes.subarray(cut))];
      expect(joined([...pieces, { text: decoder.end() }]), `cut at ${cut}`).toEqual(expected);
    }
  });

  test("loses nothing of any text, in any pieces", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string({ unit: "grapheme" }),
            fc.constantFrom("\u001b", "\u001b]", "\u001b]bunsen;", `\u001b]bunsen;${nonce};`.slice(0, 20)),
          ),
        ),
        fc.array(fc.nat(20)),
        (parts, sizes) => {
          const all = new TextEncoder().encode(parts.join(""));
          const decoder = new NativeDecoder(nonce);
          const pieces: NativePiece[] = [];
          let at = 0;
          for (const size of sizes) {
            pieces.push(...decoder.push(all.subarray(at, at + size)));
            at += size;
          }
          pieces.push(...decoder.push(all.subarray(at)), { text: decoder.end() });
          expect(joined(pieces).join("")).toBe(parts.join(""));
        },
      ),
      { seed: 3, numRuns: 500 },
    );
  });
});
