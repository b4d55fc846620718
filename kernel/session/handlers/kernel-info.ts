// kernel_info_request: who this kernel is. It must answer before anything heavy is loaded.

import bunsen from "bunsen/package.json" with { type: "json" };
import typescript from "typescript/package.json" with { type: "json" };
import { type Content, protocolVersion } from "../../protocol/messages.ts";

/** JupyterLab finds the highlighter by `codemirror_mode`, nbconvert the lexer by `pygments_lexer`. */
const languageInfo = {
  name: "typescript",
  version: typescript.version,
  mimetype: "application/typescript",
  file_extension: ".ts",
  pygments_lexer: "typescript",
  codemirror_mode: "typescript",
  nbconvert_exporter: "script",
} as const;

export function kernelInfo(): Content {
  return {
    protocol_version: protocolVersion,
    implementation: "bunsen",
    implementation_version: bunsen.version,
    language_info: languageInfo,
    banner: `Bunsen ${bunsen.version}: TypeScript ${typescript.version} on Bun ${Bun.version}`,
    help_links: [
      { text: "TypeScript", url: "https://www.typescriptlang.org/docs/" },
      { text: "Bun", url: "https://bun.sh/docs" },
    ],
    supported_features: ["kernel subshells"],
    debugger: false,
  };
}
