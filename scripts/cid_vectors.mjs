// Makes tests/unit/cid_vectors.json: the CIDs that a real IPFS implementation gives to known files.
//
//   node scripts/cid_vectors.mjs            write the file
//   node scripts/cid_vectors.mjs --check    fail when the file is stale
//
// The package is installed, pinned, in a temporary folder. The options are those of kubo's `ipfs add`.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const IMPORTER = 'ipfs-unixfs-importer@17.1.1'
const TARGET = fileURLToPath(new URL('../tests/unit/cid_vectors.json', import.meta.url))
const CHUNK = 262144
const LINKS = 174

// [length, chunk size, links a node]
const SIZES = [
  ...[0, 1, 2, 127, 128, 255, 16383, 16384, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 3000000]
    .map(length => [length, CHUNK, LINKS]),
  ...[LINKS * CHUNK, LINKS * CHUNK + 1, (LINKS + 3) * CHUNK + 77].map(length => [length, CHUNK, LINKS]),
  // small chunks and few links, so that deep trees need no large files
  ...[LINKS, LINKS + 1, LINKS * LINKS, LINKS * LINKS + 1].map(chunks => [chunks * 2, 2, LINKS]),
  ...[3, 4, 9, 10, 12, 13, 27, 28, 81, 82, 100].map(chunks => [chunks * 5 - 2, 5, 3])
]

const TEXTS = [
  '', 'hello world', 'hello world\n', '{"link":"https://example.org/ipfs/"}',
  '{"function_name":"analyze_sentiment","data":{"text":"größer ≠ besser"}}'
]

function bytes (length) {
  const data = new Uint8Array(length)
  for (let i = 0; i < length; i++) data[i] = (31 * i + 17 * (i >> 8) + 7 * (i >> 18)) & 255
  return data
}

async function load (folder) {
  const [name] = IMPORTER.split('@')
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', folder, IMPORTER],
    { stdio: ['ignore', 'ignore', 'inherit'] })
  const from = async path => import(pathToFileURL(join(folder, 'node_modules', name, 'dist', 'src', path)))
  return {
    ...await from('index.js'), ...await from('chunker/fixed-size.js'), ...await from('layout/balanced.js')
  }
}

async function cids (lib, data, chunkSize, maxChildrenPerNode) {
  const store = { put: async cid => cid }
  const found = {}
  for (const [name, cidVersion, rawLeaves] of [['v0', 0, false], ['v1', 1, true]]) {
    const { cid } = await lib.importFile({ content: data }, store, {
      cidVersion,
      rawLeaves,
      leafType: 'file',
      reduceSingleLeafToSelf: true,
      chunker: lib.fixedSize({ chunkSize }),
      layout: lib.balanced({ maxChildrenPerNode })
    })
    found[name] = cid.toString()
  }
  return found
}

async function main (folder) {
  const lib = await load(folder)
  const vectors = []
  for (const [length, chunk_size, links] of SIZES) {
    vectors.push({ length, chunk_size, links, ...await cids(lib, bytes(length), chunk_size, links) })
  }
  for (const text of TEXTS) {
    vectors.push({ text, chunk_size: CHUNK, links: LINKS, ...await cids(lib, new TextEncoder().encode(text), CHUNK, LINKS) })
  }
  const rows = vectors.map(vector => '    ' + JSON.stringify(vector)).join(',\n')
  const text = `{
  "generated": "by scripts/cid_vectors.mjs with ${IMPORTER}; do not edit",
  "formula": "byte i of a file of a given length is (31*i + 17*(i >> 8) + 7*(i >> 18)) & 255",
  "vectors": [\n${rows}\n  ]\n}\n`
  if (!process.argv.includes('--check')) {
    writeFileSync(TARGET, text)
  } else if (readFileSync(TARGET, 'utf8') !== text) {
    console.error('tests/unit/cid_vectors.json is stale: run node scripts/cid_vectors.mjs')
    process.exitCode = 1
  }
}

const folder = mkdtempSync(join(tmpdir(), 'cid-vectors-'))
try {
  await main(folder)
} finally {
  rmSync(folder, { recursive: true })
}
