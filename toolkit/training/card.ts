// The model card of a run: what was trained, on what, how well, and how to use it. Written from the run's own facts.
import type { Method } from "#toolkit/methods/contract.ts";
import type { RunConfig } from "./config.ts";
import type { TaskData } from "./data.ts";
import type { EnvironmentRecord } from "./environment.ts";
import type { RunResult } from "./result.ts";

export function modelCard(
  result: RunResult,
  config: RunConfig,
  method: Method,
  tasks: readonly TaskData[],
  environment: EnvironmentRecord,
): string {
  const scores = Object.entries(result.scores).flatMap(([split, byTask]) =>
    Object.entries(byTask ?? {}).flatMap(([task, metrics]) =>
      Object.entries(metrics).map(([metric, value]) => `| ${task} | ${split} | ${metric} | ${value.toFixed(2)} |`),
    ),
  );
  const datasets = tasks.map(
    ({ dataset }) => `- ${dataset.name} (${dataset.title}): ${dataset.homepage}, licence ${dataset.licence}`,
  );
  const needs = result.needs.map((need) => `- ${need.run}: ${need.steps} steps, ${need.seconds.toFixed(0)} s`);
  return `---
base_model: ${JSON.stringify(config.model)}
library_name: peft
tags: [prompt-tuning, ${config.method}]
---

# ${method.title} on ${result.tasks.join(", ")}

${method.title} (${method.source}), stage "${result.stage}", trained by Bunsen ${environment.bunsen}${
    environment.git === null
      ? ""
      : ` (commit ${environment.git.commit.slice(0, 12)}${environment.git.changed ? ", with local changes" : ""})`
  } on the engine ${environment.engine.name} (${environment.engine.version}, ${environment.engine.device}).

| trainable parameters per task | steps | batch | seed | seconds |
|---:|---:|---:|---:|---:|
| ${result.trainableParameters} | ${result.steps} (best: ${result.bestStep}) | ${config.batchSize * config.accumulate} | ${result.seed} | ${result.seconds.toFixed(0)} |

| task | split | metric | score |
|---|---|---|---:|
${scores.join("\n")}

## Data
${datasets.join("\n")}
${result.shots === null ? "" : `\nTrained on ${result.shots} examples only, spread evenly over the classes.\n`}${needs.length === 0 ? "" : `\n## Runs that this one needed\n${needs.join("\n")}\n`}
## Use
\`adapter/\` is a PEFT adapter (adapter_config.json, adapter_model.safetensors). With Bunsen:

\`\`\`ts
import { answer } from "bunsen";
await answer(${JSON.stringify(result.run)}, "…");
\`\`\`

Scores are of the split and size named above, on this backbone; they say nothing about other data.
`;
}
