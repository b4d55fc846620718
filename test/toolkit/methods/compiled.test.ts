// Every method through `compile` against the same function run eagerly: loss and the gradient of every trainable
// parameter, routing noise on, dropout with the first. Skipped where libtensorflow is absent: wasm compiles nothing.
import { beforeAll, describe, expect, test, vi } from "vitest";
import { portContext } from "#toolkit/methods/fill-ports.ts";
import { fillPorts, methods, type Parameters } from "#toolkit/methods/index.ts";
import { forward, randomT5 } from "#toolkit/models/t5/index.ts";
import { compile, random, tf, useEngine, valueAndGrads } from "#toolkit/tensor/index.ts";
import { discoverTensorflow } from "#toolkit/tensor/runtimes/libtensorflow/discover.ts";
import { expectGradients } from "../golden.ts";
import { disturb, names, startMethod } from "./rows.ts";
import { tinyBatch, tinyConfig } from "./tiny.ts";

// XLA compiles each of these in seconds; a busy machine makes minutes of them.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const hasNative = discoverTensorflow().path !== undefined;
if (!hasNative) console.log("libtensorflow is not installed here: no method is compiled");

describe.skipIf(!hasNative)("compiled, loss and gradients are those of the eager run", () => {
  beforeAll(async () => {
    await useEngine("cpu");
  });

  test.each(names)("%s", async (name) => {
    const method = methods[name];
    // As few layers as show every kind of sublayer: XLA takes seconds for a method. One method leaves the first out.
    const layers = name === "adapter-drop" ? 2 : 1;
    const config = {
      ...tinyConfig,
      numEncoderLayers: layers,
      numDecoderLayers: 1,
      dropoutRate: name === "mpt" ? 0.1 : 0,
    };
    const model = randomT5(config, { seed: 3 });
    const { options, parameters } = startMethod(name, model, 2);
    const moved = disturb(parameters);
    const isTrained = ([parameter]: readonly [string, tf.Tensor]): boolean => method.group(parameter, options) !== null;
    const frozen = Object.fromEntries(Object.entries(moved).filter((entry) => !isTrained(entry)));
    const trained = Object.fromEntries(Object.entries(moved).filter(isTrained));
    const { inputIds, attentionMask, labels, taskIds } = tinyBatch();

    const step = (trainable: Parameters, key: tf.Tensor): Record<string, tf.Tensor> => {
      const inputs = { backbone: model.backbone, taskIds, attentionMask, key };
      const { value, grads } = valueAndGrads((now: Parameters) => {
        const all = { ...frozen, ...now };
        let embeddings: tf.Tensor | undefined;
        const { loss } = forward(model, {
          inputIds,
          attentionMask,
          labels,
          key,
          ports: (seen) => {
            embeddings = seen;
            return fillPorts(method, options, all, inputs)(seen);
          },
        });
        const extra = method.regularizer?.(all, options, portContext(inputs, embeddings!));
        return extra ? tf.add(loss, extra) : loss;
      }, trainable);
      return { loss: value, ...grads };
    };
    const key = random.key(5);
    const compiled = compile(step, { name });
    const ours = await compiled(trained, key);
    expect(compiled.stats.executables).toBe(1);
    expectGradients(
      ours,
      tf.tidy(() => step(trained, key)),
    );
    compiled.dispose();
    model.dispose();
  });
});
