// Compiles contracts/src with npm's solc into src/ogpu/abi/<Contract>.json.
// Run: node scripts/contracts.mjs [--check]; --check writes nothing and fails on any difference.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const contracts = join(root, "contracts");
const modules = join(contracts, "node_modules");
const output = join(root, "src", "ogpu", "abi");

const HEADER = '{"generated": "by scripts/contracts.mjs from contracts/src, do not edit",';
const RUNTIME_LIMIT = 24_576; // EIP-170

// The same as in contracts/foundry.toml. No metadata, so the bytecode depends on the code alone;
// paris, so it runs on chains that do not know PUSH0 and later opcodes.
const SETTINGS = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "paris",
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

function fail(message) {
  console.error(message);
  process.exit(1);
}

function loadSolc() {
  const missing = ["solc", "@openzeppelin/contracts"].filter((name) => !existsSync(join(modules, name)));
  if (missing.length) fail(`contracts/node_modules lacks ${missing.join(" and ")}: run "npm ci" in contracts/`);
  return createRequire(join(contracts, "package.json"))("solc");
}

function contractFiles() {
  return readdirSync(join(contracts, "src")).filter((name) => name.endsWith(".sol")).sort();
}

function readImport(path) {
  const file = path.startsWith("@") ? join(modules, path) : join(contracts, path);
  return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: `${path} not found` };
}

function compile(solc) {
  const paths = contractFiles().map((name) => `src/${name}`);
  const sources = Object.fromEntries(paths.map((path) => [path, { content: readImport(path).contents }]));
  const input = JSON.stringify({ language: "Solidity", sources, settings: SETTINGS });
  const result = JSON.parse(solc.compile(input, { import: readImport }));
  const problems = (result.errors ?? []).filter(({ severity }) => severity !== "info");
  if (problems.length) fail(problems.map(({ formattedMessage }) => formattedMessage).join("\n"));
  return paths.map((path) => {
    const name = basename(path, ".sol");
    return [name, result.contracts[path][name]];
  });
}

function render([name, { abi, evm }]) {
  const size = evm.deployedBytecode.object.length / 2;
  if (size > RUNTIME_LIMIT) fail(`${name}: ${size} bytes of code, more than the ${RUNTIME_LIMIT} that a chain takes`);
  const entries = abi.map((entry) => `  ${JSON.stringify(entry)}`).join(",\n");
  return [`${name}.json`, `${HEADER}\n"abi": [\n${entries}\n],\n"bytecode": "0x${evm.bytecode.object}"}\n`];
}

function findDifferences(files) {
  const present = existsSync(output) ? readdirSync(output).filter((name) => name.endsWith(".json")) : [];
  const extra = present.filter((name) => !files.has(name)).map((name) => ["extra", name]);
  const wrong = [...files].flatMap(([name, text]) => {
    if (!present.includes(name)) return [["missing", name]];
    return readFileSync(join(output, name), "utf8") === text ? [] : [["stale", name]];
  });
  return [...wrong, ...extra];
}

function write(files, differences) {
  mkdirSync(output, { recursive: true });
  for (const [kind, name] of differences) {
    if (kind === "extra") rmSync(join(output, name));
    else writeFileSync(join(output, name), files.get(name));
  }
}

const args = process.argv.slice(2);
if (args.some((arg) => arg !== "--check")) fail("usage: node scripts/contracts.mjs [--check]");
const files = new Map(compile(loadSolc()).map(render));
const differences = findDifferences(files);
const lines = differences.map(([kind, name]) => `${kind}: src/ogpu/abi/${name}`);
if (!args.includes("--check")) {
  write(files, differences);
  console.log(lines.length ? `${lines.join("\n")}\nwritten` : `${files.size} files are up to date`);
} else if (lines.length) {
  fail(`${lines.join("\n")}\nrun "node scripts/contracts.mjs"`);
} else {
  console.log(`${files.size} files are up to date`);
}
