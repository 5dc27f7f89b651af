// Makes tests/unit/cid_vectors.json, the CIDs that a real IPFS implementation gives to known files, and
// tests/unit/dag_vectors.json, all blocks of files that it stores in other layouts.
//
//   node scripts/cid_vectors.mjs            write the files
//   node scripts/cid_vectors.mjs --check    fail when one is stale
//
// The package is installed, pinned, in a temporary folder. The options are those of kubo's `ipfs add`.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const IMPORTER = 'ipfs-unixfs-importer@17.1.1'
const TARGET = fileURLToPath(new URL('../tests/unit/cid_vectors.json', import.meta.url))
const DAGS = fileURLToPath(new URL('../tests/unit/dag_vectors.json', import.meta.url))
const CHUNK = 262144
const LINKS = 174

// [length, chunk size, links a node]
const SIZES = [
  ...[0, 1, 2, 127, 128, 255, 16383, 16384, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 3000000]
    .map(length => [length, CHUNK, LINKS]),
  ...[LINKS * CHUNK, LINKS * CHUNK + 1, (LINKS + 3) * CHUNK + 77].map(length => [length, CHUNK, LINKS]),
  ...[1048576, 1048577, 3 * 1048576 + 5].map(length => [length, 1048576, 1024]), // the profile unixfs-v1-2025
  // small chunks and few links, so that deep trees need no large files
  ...[LINKS, LINKS + 1, LINKS * LINKS, LINKS * LINKS + 1].map(chunks => [chunks * 2, 2, LINKS]),
  ...[3, 4, 9, 10, 12, 13, 27, 28, 81, 82, 100].map(chunks => [chunks * 5 - 2, 5, 3])
]

// name, length, and how the file is stored: none of these is a default of kubo
const STORED = [
  ['small chunks, v0', 98, { cidVersion: 0, rawLeaves: false, chunk: 5, links: 3 }],
  ['small chunks, v1', 98, { cidVersion: 1, rawLeaves: true, chunk: 5, links: 3 }],
  ['raw leaves under a v0 root', 98, { cidVersion: 0, rawLeaves: true, chunk: 5, links: 3 }],
  ['leaves of the type raw', 98, { cidVersion: 0, rawLeaves: false, chunk: 5, links: 3, leafType: 'raw' }],
  ['trickle', 98, { cidVersion: 1, rawLeaves: true, chunk: 5, links: 3, layout: 'trickle' }],
  ['trickle, v0', 200, { cidVersion: 0, rawLeaves: false, chunk: 7, links: 2, layout: 'trickle' }],
  ['flat', 98, { cidVersion: 1, rawLeaves: true, chunk: 5, layout: 'flat' }],
  ['a single leaf under a root', 4, { cidVersion: 1, rawLeaves: true, chunk: 5, links: 3, reduce: false }],
  ['the same chunk again and again', 64, { cidVersion: 1, rawLeaves: true, chunk: 4, links: 3, zeros: true }],
  ['a directory', 20, { cidVersion: 1, rawLeaves: true, chunk: 5, links: 3, directory: true }]
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
    ...await from('index.js'), ...await from('chunker/fixed-size.js'), ...await from('layout/balanced.js'),
    ...await from('layout/trickle.js'), ...await from('layout/flat.js')
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

async function stored (lib, name, length, options) {
  const blocks = {}
  const store = {
    put: async (cid, block) => {
      blocks[cid.toString()] = Buffer.from(block).toString('base64')
      return cid
    }
  }
  const layouts = { balanced: lib.balanced, trickle: lib.trickle, flat: lib.flat }
  const settings = {
    cidVersion: options.cidVersion,
    rawLeaves: options.rawLeaves,
    leafType: options.leafType ?? 'file',
    reduceSingleLeafToSelf: options.reduce ?? true,
    wrapWithDirectory: options.directory ?? false,
    chunker: lib.fixedSize({ chunkSize: options.chunk }),
    layout: layouts[options.layout ?? 'balanced'](options.links ? { maxChildrenPerNode: options.links } : {})
  }
  const content = options.zeros ? new Uint8Array(length) : bytes(length)
  let root
  const entry = options.directory ? { path: 'file', content } : { content }
  for await (const { cid } of lib.importer([entry], store, settings)) root = cid.toString()
  return { name, length, zeros: options.zeros ?? false, root, blocks }
}

function write (target, text) {
  if (!process.argv.includes('--check')) {
    writeFileSync(target, text)
  } else if (readFileSync(target, 'utf8') !== text) {
    console.error(`${target} is stale: run node scripts/cid_vectors.mjs`)
    process.exitCode = 1
  }
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
  write(TARGET, text)
  const dags = []
  for (const [name, length, options] of STORED) dags.push('    ' + JSON.stringify(await stored(lib, name, length, options)))
  write(DAGS, `{
  "generated": "by scripts/cid_vectors.mjs with ${IMPORTER}; do not edit",
  "formula": "as in cid_vectors.json, or zeros; the blocks are in base64 under their CIDs",
  "vectors": [\n${dags.join(',\n')}\n  ]\n}\n`)
}

const folder = mkdtempSync(join(tmpdir(), 'cid-vectors-'))
try {
  await main(folder)
} finally {
  rmSync(folder, { recursive: true })
}
