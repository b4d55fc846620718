// What a progress bar looks like at one moment: one line of text, and the same as HTML. Pure functions of the state;
// when it is shown and updated is progress.ts and its caller's.
import type { MimeBundle } from "./bundle.ts";
import { escapeHtml } from "./escape.ts";

export interface ProgressState {
  readonly label: string;
  readonly done: number;
  /** Null where it is not known. */
  readonly total: number | null;
  readonly seconds: number;
  /** Free text at the end of the line, such as the latest loss. */
  readonly note: string;
  readonly status: "running" | "finished" | "stopped";
}

/** `train ━━━━━━╺────── 40 %  40/100  12.3/s  0:05 left  loss 0.31` */
export function progressText(state: ProgressState): string {
  return [state.label, barText(state), ...facts(state)].filter((part) => part !== "").join("  ");
}

/** While it runs an HTML bar with the line beside it; once it has ended the line alone, which is what nbconvert keeps. */
export function progressBundle(state: ProgressState): MimeBundle {
  const text = progressText(state);
  if (state.status !== "running") return { "text/plain": text };
  const share = fraction(state);
  const width = share === null ? 30 : share * 100;
  const track = "display:inline-block;width:240px;height:8px;border-radius:4px;overflow:hidden;vertical-align:middle";
  const html = [
    '<div style="font-family:var(--jp-code-font-family,monospace);font-size:var(--jp-code-font-size,13px);white-space:pre-wrap">',
    state.label === "" ? "" : `<span>${escapeHtml(state.label)}</span>  `,
    `<span style="${track};background:var(--jp-border-color2,#ddd)">`,
    `<span style="display:block;height:100%;width:${width.toFixed(1)}%;background:var(--jp-brand-color1,#1976d2)"></span></span>`,
    `  <span>${escapeHtml(facts(state).join("  "))}</span></div>`,
  ].join("");
  return { "text/html": html, "text/plain": text };
}

function fraction({ done, total }: ProgressState): number | null {
  if (total === null) return null;
  return total === 0 ? 1 : Math.min(1, Math.max(0, done / total));
}

const barWidth = 24;

function barText(state: ProgressState): string {
  const share = fraction(state);
  if (share === null) return "";
  const full = Math.round(share * barWidth);
  return "━".repeat(full) + "─".repeat(barWidth - full);
}

function facts(state: ProgressState): string[] {
  const { done, total, seconds, note, status } = state;
  const share = fraction(state);
  const rate = seconds > 0 ? done / seconds : 0;
  const parts: string[] = [];
  if (share !== null) parts.push(`${Math.floor(share * 100)} %`);
  parts.push(total === null ? done.toLocaleString("en") : `${done.toLocaleString("en")}/${total.toLocaleString("en")}`);
  if (rate > 0)
    parts.push(rate >= 1 || done === 0 ? `${rate.toPrecision(3)}/s` : `${(1 / rate).toPrecision(3)} s each`);
  if (status === "running" && total !== null && rate > 0) parts.push(`${clock((total - done) / rate)} left`);
  else parts.push(clock(seconds));
  if (status === "stopped") parts.push("stopped");
  if (note !== "") parts.push(note);
  return parts;
}

/** `0:05`, `12:30`, `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const pad = (part: number): string => String(part).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}
