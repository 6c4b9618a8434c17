/**
 * Other runtimes beside Ricci on the workloads of `main.ts`, in one run, each in a process of its own, checked
 * against the reference evaluator: `npm run bench:peers -- [CASE… | PEER…] [--json]`. They are installed into
 * `bench/peers` first, from its own lock file. `RESULTS.md` records what it printed.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { caseNames, namedCases } from '../cases.ts';
import type { Timed } from './one.ts';
import { peersFolder } from './peer.ts';
import { peers } from './peers.ts';

const asked = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const json = process.argv.includes('--json');
const askedPeers = Object.keys(peers).filter((name) => asked.includes(name));
const askedCases = caseNames.filter((name) => asked.includes(name));
const peerNames = askedPeers.length === 0 ? Object.keys(peers) : askedPeers;
const chosen = namedCases(askedCases.length === 0 ? ['usual'] : askedCases);
const unknown = asked.find((name) => !askedCases.includes(name) && !askedPeers.includes(name));
if (unknown !== undefined) {
  console.error(`error: ${unknown} is no case and no peer`);
  console.error(`  = help: cases: ${caseNames.join(', ')}; peers: ${Object.keys(peers).join(', ')}`);
  process.exit(2);
}

/** A run that takes longer, its start included, is given up. */
const patienceMilliseconds = 120_000;
/** A result further away than this is none. */
const mostError = 1e-2;

if (!existsSync(join(peersFolder, 'node_modules'))) {
  console.error('installing the peers into bench/peers …');
  execFileSync('npm', ['ci', '--no-fund', '--no-audit'], { cwd: peersFolder, stdio: ['ignore', 2, 2] });
}
console.error(`${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores`);

if (!json) console.log(row('ms', peerNames));
for (const { name } of chosen) {
  const texts: string[] = [];
  for (const peer of peerNames) {
    const outcome = await timeInProcess(peer, name);
    if (json) console.log(JSON.stringify({ case: name, peer, ...outcome }));
    if ('failure' in outcome) console.error(`${peer}, ${name}: ${outcome.failure}`);
    texts.push('failure' in outcome ? '–' : outcome.milliseconds.toPrecision(3));
  }
  if (!json) console.log(row(name, texts));
}

function row(first: string, others: readonly string[]): string {
  return [first.padEnd(14), ...others.map((text, at) => text.padStart(peerNames[at]!.length + 2))].join('');
}

function timeInProcess(peer: string, name: string): Promise<Timed | { readonly failure: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [fileURLToPath(new URL('./one.js', import.meta.url)), peer, name], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: patienceMilliseconds,
    });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      errors += data.toString();
    });
    child.on('close', (status, signal) => {
      const line = output.split('\n').find((each) => each.startsWith('{'));
      if (status !== 0 || line === undefined)
        resolve({
          failure: signal ?? errors.split('\n').find((each) => /error/i.test(each)) ?? `ended with ${status}`,
        });
      else {
        const timed = JSON.parse(line) as Timed;
        resolve(timed.error < mostError ? timed : { failure: `a wrong result, ${timed.error} off` });
      }
    });
  });
}
