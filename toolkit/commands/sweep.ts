// `bunsen sweep`: a whole study as one resumable command, its table at the end.
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadDataset } from "#toolkit/batches/index.ts";
import { fullStudy } from "#toolkit/experiments/full.ts";
import { paperModel, paperStudy, paperValues } from "#toolkit/experiments/paper.ts";
import {
  measureStudy,
  type PlanLine,
  planCost,
  type StepTimes,
  sourceStepRatio,
  studyPlan,
} from "#toolkit/experiments/plan.ts";
import { publishedBeside } from "#toolkit/experiments/published-table.ts";
import { quickPretraining, quickStudy, quickText } from "#toolkit/experiments/quick.ts";
import { applyStudySettings, checkStudy } from "#toolkit/experiments/settings.ts";
import { type Study, studySteps, studyUnits } from "#toolkit/experiments/study.ts";
import { compareMethods, summarise, summaryTable } from "#toolkit/report/index.ts";
import { currentEngine, parseEngineChoice, useEngine } from "#toolkit/tensor/index.ts";
import { pretrain, readResult } from "#toolkit/training/index.ts";
import { writeAtomic, writeJson } from "#toolkit/weights/index.ts";
import { type Command, type Terminal, UsageError } from "./contract.ts";
import { dealOut, pretrainApart, type WorkerKind, work, workerVariable } from "./sweep-workers.ts";

type MakeStudy = (folder: string, model: string, engine: string) => Study;

/** By name; `full` on a given model is the paper's. */
const studies: Readonly<Record<string, { readonly small: MakeStudy; readonly given: MakeStudy }>> = {
  quick: { small: quickStudy, given: quickStudy },
  full: { small: fullStudy, given: paperStudy },
};

/** A flag's number above 0 (or, where `zero`, at least 0). */
function flagNumber(name: string, value: string | undefined, zero = false): number | null {
  if (value === undefined) return null;
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number) || number < 0 || (number === 0 && !zero))
    throw new UsageError(`--${name}: expected a number ${zero ? "of at least" : "above"} 0, got ${value}`);
  return number;
}

/** Steps of a target run, as the table's caption says them. */
const stepsText = ({ targetSteps, fewShotSteps, shots }: Study): string =>
  fewShotSteps === undefined || shots.every((size) => size === null)
    ? `${targetSteps} steps`
    : `${targetSteps} steps (few-shot ${fewShotSteps})`;

const integer = (value: number): string => value.toLocaleString("en");

function planLine(line: PlanLine): string {
  const size = line.shots === null ? "" : ` k=${line.shots}`;
  const runs = line.runs === 1 ? "" : ` in ${line.runs} runs`;
  return `${line.stage.padEnd(7)}  ${line.label} on ${line.tasks.join(", ")}${size}: ${integer(line.steps)} steps${runs}  (${line.folder})`;
}

function planLines(study: Study, times: StepTimes | null, jobs: number): string[] {
  const plan = studyPlan(study);
  const cost = planCost(plan, times);
  const rest = times === null ? 0 : times.runSeconds;
  const hours =
    cost.hours === null || times === null
      ? "hours: unknown here; give the time of a step with --step-ms N, or finish runs of a study and name their folder with --measured FOLDER"
      : `about ${cost.hours.toFixed(1)} hours at ${times.stepMs.toFixed(1)} ms a step (source stage ${(times.sourceStepMs ?? times.stepMs * sourceStepRatio).toFixed(1)}) and ${rest.toFixed(1)} s a run besides, from ${times.from}; pretraining not counted${jobs === 1 ? "" : `; about ${(cost.hours / jobs).toFixed(1)} with ${jobs} runs side by side`}`;
  return [...plan.map(planLine), `${integer(cost.steps)} steps in all, ${integer(cost.runs)} runs`, hours];
}

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

/** Workers of a study whose runs are told their threads: as many as fill the cores, and as have room. */
function jobsOf(study: Study): number {
  const { threads } = study.common;
  if (typeof threads !== "number") return 1;
  const byCores = Math.floor(availableParallelism() / threads);
  return Math.max(1, Math.min(byCores, Math.floor(totalmem() / workerBytes)));
}

/** Memory of one worker of a small study, its library and programs included: about 1 GiB seen. */
const workerBytes = 2 * 2 ** 30;

export const command: Command = {
  summary: "train many runs, resumable",
  usage: `usage: bunsen sweep quick|full|--quick|--full [--folder runs/NAME] [--model FOLDER|HUB-ID] [--engine auto|cpu|cuda|wasm] [--jobs N]
                    [--set key=value …] [--plan [--step-ms N [--run-seconds N] | --measured FOLDER]]

Runs a study: pretraining (unless --model names a T5), source stages, all methods on all targets with the same budget.
The same command goes on where it was broken off; --quick is the same as the word quick. Prints the table, writes table.md and summary.json into the folder.

  quick            eight methods, two targets, k = 16 and full: made for an hour on two cores
  full             every method, k = 4, 16, 32 and full, on the same small T5; with --model the paper's own groups:
                   bunsen sweep full --model ${paperModel}

  --model M        a T5's folder or hub id instead of the small one pretrained here
  --set key=value  changes the study: targets, sourceTasks, methods, shots, seeds, rates, targetSteps, sourceSteps,
                   teacherSteps, fewShotSteps, numVirtualTokens, and fields of every run: common.batchSize=8,
                   distillation.temperature=2, sampling.slots.max=3
  --jobs N         runs side by side, each in a process of its own; by default, where runs are told their threads
                   (common.threads; 1 on the small T5), as many as fill the cores, else one
  --plan           prints what would run, its steps and hours, and runs nothing
  --step-ms N      a step's milliseconds, measured on the machine at hand; --run-seconds N what a run needs besides
  --measured F     takes both from finished runs in a folder (default: the study's own, then runs/quick)`,
  async run(args, terminal) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        folder: { type: "string" },
        model: { type: "string" },
        engine: { type: "string", default: "auto" },
        plan: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        full: { type: "boolean", default: false },
        set: { type: "string", multiple: true, default: [] },
        "step-ms": { type: "string" },
        "run-seconds": { type: "string" },
        measured: { type: "string" },
        jobs: { type: "string" },
      },
    });
    // The study's name, as a word or as a flag; the same one twice is no contradiction.
    const asked = [...positionals, ...(["quick", "full"] as const).filter((flag) => values[flag])];
    const [name] = asked;
    const known = studies[name ?? ""];
    if (known === undefined || new Set(asked).size > 1) {
      throw new UsageError(
        `expected one of the studies ${Object.keys(studies).join(", ")}, got ${asked.join(" ") || "none"}`,
      );
    }
    const paper = values.model !== undefined && known.given === paperStudy;
    const make = values.model === undefined ? known.small : known.given;
    const folder = values.folder ?? join("runs", paper ? "paper" : name!);
    const backbone = values.model ?? join(folder, "backbone");
    if (values["run-seconds"] !== undefined && values["step-ms"] === undefined)
      throw new UsageError("--run-seconds goes with --step-ms; got it alone");
    if (values.measured !== undefined && values["step-ms"] !== undefined)
      throw new UsageError("expected --step-ms or --measured, got both");
    const stepMs = flagNumber("step-ms", values["step-ms"]);
    const runSeconds = flagNumber("run-seconds", values["run-seconds"], true);
    const jobs = flagNumber("jobs", values.jobs);
    if (jobs !== null && !Number.isInteger(jobs))
      throw new UsageError(`--jobs: expected an integer of at least 1, got ${values.jobs}`);
    const study = applyStudySettings(make(folder, backbone, parseEngineChoice(values.engine)), values.set);
    if (values.plan) {
      if (paper) {
        terminal.out("the paper's study; values that it leaves open, or that could not be read again:");
        for (const [label, { value, key, provenance }] of Object.entries(paperValues))
          terminal.out(`  ${label} ${value}: ${provenance} (--set ${key})`);
      }
      const times =
        stepMs === null
          ? values.measured === undefined
            ? (measureStudy(folder) ?? (values.model === undefined ? measureStudy(join("runs", "quick")) : null))
            : measureStudy(values.measured)
          : { stepMs, sourceStepMs: null, runSeconds: runSeconds ?? 0, from: "--step-ms" };
      if (times === null && values.measured !== undefined)
        throw new UsageError(`--measured: expected a folder with finished runs, got ${values.measured}`);
      for (const line of planLines(study, times, jobs ?? jobsOf(study))) terminal.out(line);
      return 0;
    }
    // The small T5 is made by the study itself and fits it.
    if (values.model !== undefined && process.env[workerVariable] === undefined) await checkStudy(study);
    const units = studyUnits(study);
    const kind = process.env[workerVariable] as WorkerKind | undefined;
    if (kind !== undefined) {
      await useEngine(values.engine === "auto" ? undefined : parseEngineChoice(values.engine));
      if (kind === "units")
        return work(units, currentEngine().name, () =>
          terminal.err("stopping after this step; the same command goes on from there"),
        );
      await makeBackbone(backbone, terminal);
      return 0;
    }
    const startedAt = performance.now();
    if (values.model === undefined) {
      const code = await pretrainApart(args);
      if (code !== 0) return code;
    }
    const total = studySteps(study);
    let steps = 0;
    const dealt = await dealOut(args, units, {
      jobs: jobs ?? jobsOf(study),
      asked: jobs !== null,
      threads: typeof study.common.threads === "number" ? study.common.threads : null,
      onStep: () => {
        steps++;
      },
      onLine: (line, missing) => {
        steps += missing;
        const minutes = (performance.now() - startedAt) / 60_000;
        terminal.out(`${minutes.toFixed(1)} min · ${((100 * steps) / total).toFixed(0)} % of ${total} steps · ${line}`);
      },
    });
    if (typeof dealt === "number") return dealt;
    const summaries = summarise(
      dealt.map(({ label, run }) => ({ label, result: readResult(run) })),
      "test",
    );
    const table = summaryTable(
      summaries,
      `Test scores, mean ± deviation of ${study.seeds.length} seeds, ${stepsText(study)}, rates × ${study.rates.join(", ")} chosen on validation`,
    );
    const beside = paper ? `\n\n${publishedBeside(summaries).toMarkdown()}` : "";
    const verdict = compareMethods(summaries, "MPT", "prompt tuning");
    terminal.out(`\n${table}\n\n${verdict}`);
    if (paper) terminal.out(`\n${publishedBeside(summaries)}`);
    writeJson(join(folder, "summary.json"), summaries);
    writeAtomic(join(folder, "table.md"), () => [
      new TextEncoder().encode(`${table.toMarkdown()}\n\n${verdict}${beside}\n`),
    ]);
    return 0;
  },
};
