// `bunsen sweep`: a whole study as one resumable command, its table at the end.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadDataset } from "#toolkit/batches/index.ts";
import { quickPretraining, quickStudy, quickText } from "#toolkit/experiments/quick.ts";
import { runStudy, type Study, sourceRuns, studySteps, targetGrids } from "#toolkit/experiments/study.ts";
import { compareMethods, eventLine, summarise, summaryTable } from "#toolkit/report/index.ts";
import { parseEngineChoice, useEngine } from "#toolkit/tensor/index.ts";
import { pretrain, type TrainEvent } from "#toolkit/training/index.ts";
import { writeAtomic, writeJson } from "#toolkit/weights/index.ts";
import { type Command, type Terminal, UsageError } from "./contract.ts";

const studies: Readonly<Record<string, typeof quickStudy>> = { quick: quickStudy };

/** Every text field of the training splits: sentences, questions, pairs. No label, no other split. */
async function trainingText(names: readonly string[]): Promise<string[]> {
  const texts: string[] = [];
  for (const name of names) {
    const table = await loadDataset(name, { split: "train" });
    for (let row = 0; row < table.numRows; row++) {
      for (const value of Object.values(table.row(row)))
        if (typeof value === "string" && value !== "") texts.push(value);
    }
  }
  return texts;
}

async function makeBackbone(folder: string, terminal: Terminal): Promise<void> {
  const texts = await trainingText(quickText);
  terminal.out(
    `pretraining on ${texts.length.toLocaleString("en")} texts of the training splits of ${quickText.join(", ")}`,
  );
  let mean = 0;
  for await (const { step, totalSteps, loss, stepMs } of pretrain({ ...quickPretraining, folder, texts })) {
    mean = mean === 0 ? loss : 0.95 * mean + 0.05 * loss;
    if (step % 100 === 0)
      terminal.out(`pretraining ${step}/${totalSteps} · loss ${mean.toFixed(3)} · ${stepMs.toFixed(0)} ms`);
  }
}

export const command: Command = {
  summary: "train many runs, resumable",
  usage: `usage: bunsen sweep quick [--folder runs/quick] [--model FOLDER] [--engine auto|cpu|cuda|wasm] [--plan]

Runs a study: pretraining (unless --model names a T5), source stages, all methods on all targets with the same budget.
The same command goes on where it was broken off. Prints the table, writes table.md and summary.json into the folder.

  --model FOLDER   a T5's folder instead of the small one pretrained here
  --plan           prints what would run, runs nothing`,
  async run(args, terminal) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        folder: { type: "string" },
        model: { type: "string" },
        engine: { type: "string", default: "auto" },
        plan: { type: "boolean", default: false },
      },
    });
    const [name] = positionals;
    const make = studies[name ?? ""];
    if (make === undefined || positionals.length > 1) {
      throw new UsageError(
        `expected one of the studies ${Object.keys(studies).join(", ")}, got ${positionals.join(" ") || "none"}`,
      );
    }
    const folder = values.folder ?? join("runs", name!);
    const backbone = values.model ?? join(folder, "backbone");
    const study: Study = make(folder, backbone, parseEngineChoice(values.engine));
    const grids = targetGrids(study);
    if (values.plan) {
      for (const config of sourceRuns(study))
        terminal.out(`source  ${config.run}  ${config.steps} steps on ${config.tasks.join(", ")}`);
      for (const grid of grids) {
        terminal.out(
          `target  ${grid.folder}  ${grid.label} on ${grid.config.tasks.join(", ")}: ${grid.rates.length + grid.seeds.length - 1} runs of ${grid.config.steps} steps`,
        );
      }
      terminal.out(`${studySteps(study).toLocaleString("en")} steps in all`);
      return 0;
    }
    await useEngine(values.engine === "auto" ? undefined : parseEngineChoice(values.engine));
    const startedAt = performance.now();
    if (values.model === undefined) await makeBackbone(backbone, terminal);
    const stop = new AbortController();
    const interrupt = (): void => {
      terminal.err("stopping after this step; the same command goes on from there");
      stop.abort();
    };
    process.once("SIGINT", interrupt);
    process.once("SIGTERM", interrupt);
    const total = studySteps(study);
    let steps = 0;
    const report = (event: TrainEvent): void => {
      if (event.type === "step") steps++;
      if (event.type === "done" || event.type === "warning") {
        const minutes = (performance.now() - startedAt) / 60_000;
        terminal.out(
          `${minutes.toFixed(1)} min · ${((100 * steps) / total).toFixed(0)} % of ${total} steps · ${event.type === "done" ? event.run : ""} ${eventLine(event)}`,
        );
      }
    };
    try {
      const events = runStudy(study, stop.signal);
      let next = await events.next();
      while (!next.done) {
        report(next.value);
        next = await events.next();
      }
      const summaries = summarise(next.value, "test");
      const table = summaryTable(
        summaries,
        `Test scores, mean ± deviation of ${study.seeds.length} seeds, ${study.targetSteps} steps, rates × ${study.rates.join(", ")} chosen on validation`,
      );
      const verdict = compareMethods(summaries, "MPT", "prompt tuning");
      terminal.out(`\n${table}\n\n${verdict}`);
      writeJson(join(folder, "summary.json"), summaries);
      writeAtomic(join(folder, "table.md"), () => [new TextEncoder().encode(`${table.toMarkdown()}\n\n${verdict}\n`)]);
      return 0;
    } catch (error) {
      if (stop.signal.aborted) return 130;
      throw error;
    } finally {
      process.removeListener("SIGINT", interrupt);
      process.removeListener("SIGTERM", interrupt);
    }
  },
};
