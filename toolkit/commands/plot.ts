// `bunsen plot`: the loss of one run, or the scores of many, as a Vega-Lite specification or drawn to SVG or PNG.
import { existsSync } from "node:fs";
import { extname, join, resolve, sep } from "node:path";
import { parseArgs } from "node:util";
import { Resvg } from "@resvg/resvg-js";
import * as vega from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { type Figure, lossFigure, lossPoints, summaryFigure } from "#toolkit/report/index.ts";
import { summariseFolders } from "#toolkit/report/runs.ts";
import { logRows, readRunLog } from "#toolkit/training/index.ts";
import { writeAtomic } from "#toolkit/weights/index.ts";
import { type Command, UsageError } from "./contract.ts";

async function drawSvg(spec: object): Promise<string> {
  const view = new vega.View(vega.parse(compile(spec as TopLevelSpec).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

/** Folders by what of their paths tells them apart: a legend shows no more than thirty letters. */
function apart(folders: readonly string[]): Map<string, string> {
  const paths = folders.map((folder) => resolve(folder).split(sep));
  const [first] = paths;
  let shared = 0;
  while (paths.every((path) => shared < path.length - 1 && path[shared] === first![shared])) shared++;
  return new Map(folders.map((folder, index) => [folder, paths[index]!.slice(shared).join("/")]));
}

const isRun = (folder: string): boolean => existsSync(join(folder, "log.arrow"));

/** The loss of one run by stages, or a line for each of several. */
function losses(folders: readonly string[]): Figure {
  const names = apart(folders);
  return lossFigure(
    folders.flatMap((folder) => {
      if (!isRun(folder)) throw new Error(`${folder} is no run: expected log.arrow in it`);
      const points = lossPoints(logRows(readRunLog(join(folder, "log.arrow"))));
      return folders.length === 1 ? points : points.map((point) => ({ ...point, stage: names.get(folder)! }));
    }),
  );
}

export const command: Command = {
  summary: "loss or scores of runs as a plot",
  usage: `usage: bunsen plot FOLDER … --out FILE.svg|FILE.png|FILE.vl.json [--what loss|scores]

  --what   loss: training loss of each run given; scores: mean and deviation of finished runs, a row a method.
           Default: loss for one run, scores otherwise.`,
  async run(args, terminal) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { out: { type: "string" }, what: { type: "string" } },
    });
    if (positionals.length === 0) throw new UsageError("expected at least one folder, got none");
    const { out } = values;
    if (out === undefined) throw new UsageError("expected --out FILE.svg, FILE.png or FILE.vl.json, got none");
    const kind = extname(out);
    if (![".svg", ".png", ".json"].includes(kind))
      throw new UsageError(`--out: expected a name ending in .svg, .png or .json, got ${out}`);
    const what = values.what ?? (positionals.length === 1 && isRun(positionals[0]!) ? "loss" : "scores");
    if (what !== "loss" && what !== "scores") throw new UsageError(`--what: expected loss or scores, got ${what}`);
    const figure =
      what === "loss" ? losses(positionals) : summaryFigure(summariseFolders(positionals, "test", terminal.err) ?? []);
    if (figure.data.values.length === 0)
      throw new Error(`nothing to plot in ${positionals.join(", ")}: no finished run`);
    const bytes =
      kind === ".json"
        ? `${JSON.stringify(figure, null, 2)}\n`
        : kind === ".svg"
          ? await drawSvg(figure)
          : new Resvg(await drawSvg(figure), { fitTo: { mode: "zoom", value: 2 } }).render().asPng();
    writeAtomic(out, () => [typeof bytes === "string" ? new TextEncoder().encode(bytes) : new Uint8Array(bytes)]);
    terminal.out(out);
    return 0;
  },
};
