// Draws logo-32x32.png and logo-64x64.png from logo-svg.svg: `bun kernel/install/logos/render.ts`, after the drawing was
// changed. Not used at run time.

import { Resvg } from "@resvg/resvg-js";

const drawing = await Bun.file(new URL("logo-svg.svg", import.meta.url)).text();
for (const width of [32, 64]) {
  const png = new Resvg(drawing, { fitTo: { mode: "width", value: width } }).render().asPng();
  await Bun.write(new URL(`logo-${width}x${width}.png`, import.meta.url), new Uint8Array(png));
}
