// Compiles Crowd.sol with npm's solc, and prints its bytecode: node bench/index_parts/compile.mjs
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const contracts = join(dirname(dirname(here)), "contracts");
const solc = createRequire(join(contracts, "package.json"))("solc");
const input = {
  language: "Solidity",
  sources: { "Crowd.sol": { content: readFileSync(join(here, "Crowd.sol"), "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "paris",
    viaIR: false,
    outputSelection: { "*": { "*": ["evm.bytecode.object"] } },
  },
};
const readImport = (path) => ({ contents: readFileSync(join(contracts, path), "utf8") });
const result = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
const problems = (result.errors ?? []).filter(({ severity }) => severity !== "info");
if (problems.length) {
  console.error(problems.map(({ formattedMessage }) => formattedMessage).join("\n"));
  process.exit(1);
}
console.log(`0x${result.contracts["Crowd.sol"].Crowd.evm.bytecode.object}`);
