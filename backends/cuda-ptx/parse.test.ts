import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EmulatorFault } from './emulator/fault.ts';
import { launch } from './emulator/launch.ts';
import { kernelText } from './emulator/testing.ts';
import { parsePtx } from './parse.ts';
import { PtxError } from './ptx-error.ts';

const kernels = readdirSync(join(import.meta.dirname, 'emulator/kernels'))
  .filter((name) => name.endsWith('.ptx'))
  .map((name) => name.slice(0, -4));

describe('what nvcc writes', () => {
  test.each(kernels)('%s.ptx has kernels, each with a body', (name) => {
    const module = parsePtx(kernelText(name));
    const entries = module.functions.filter(({ isEntry }) => isEntry);
    expect(entries.length).toBeGreaterThan(0);
    for (const { body } of entries) expect(body?.length).toBeGreaterThan(10);
    expect(module.target).toMatch(/^sm_\d+a?$/);
    expect([...module.files.values()]).toContain(`${name}.cu`);
  });
});

test('an instruction is what its words say', () => {
  const [entry] = parsePtx(kernelText('vector')).functions;
  const loads = entry!.body!.filter((each) => each.kind === 'instruction' && each.op === 'ld');
  expect(loads.at(-1)).toMatchObject({
    text: 'ld.global.f32',
    modifiers: { space: 'global' },
    types: ['f32'],
    source: { file: 1, line: 5 },
    operands: [
      { kind: 'register', register: { name: '%f2', type: 'f32' } },
      { kind: 'address', offset: 0 },
    ],
  });
});

test('labels and registers of a block are its own', () => {
  const module = parsePtx(`.version 8.0
    .target sm_80
    .address_size 64
    .entry k() {
      .reg .b32 a;
      { .reg .b64 a; mov.b64 a, 1; bra END; END: }
      { mov.b32 a, 1; bra END; END: }
      ret; }`);
  const { body = [] } = module.functions[0]!;
  const labels = body.flatMap((each) => (each.kind === 'label' ? [each.name] : []));
  expect(new Set(labels).size).toBe(2);
  const targets = body.flatMap((each) =>
    each.kind === 'instruction' && each.op === 'bra' ? each.operands : [],
  );
  expect(targets.map((each) => (each.kind === 'name' ? each.name : ''))).toEqual(labels);
});

const withBody = (body: string) =>
  `.version 8.0 .target sm_80 .entry k() { .reg .b32 r; .reg .pred p; .reg .b64 d; ${body} ret; }`;

// What ptxas takes and does not (13.0).
test.each([
  ['mul.rn.f32 r, 0, r;', 'mul.rn.f32 takes no such literal as 0'],
  ['setp.eq.f32 p, r, 1;', 'setp.eq.f32 takes no such literal as 1'],
  ['st.global.f32 [d], -1;', 'st.global.f32 takes no such literal as -'],
  ['add.s32 r, r, 0f00000000;', 'add.s32 takes no such literal as 0f00000000'],
])('%s is refused', (body, message) => {
  expect(() => parsePtx(withBody(body))).toThrow(message);
});

test.each([
  'mul.rn.f32 r, 0f00000000, r;',
  'cvt.rn.f32.s32 r, 3;',
  'selp.b32 r, 0f00000000, r, p;',
  'st.global.b32 [d], 0f00000000;',
])('%s is taken', (body) => {
  expect(parsePtx(withBody(body)).functions).toHaveLength(1);
});

/** Texts with a token left out, doubled, or in the place of another. */
const almost = fc
  .record({
    name: fc.constantFrom('vector', 'reduce', 'scan', 'sort'),
    edits: fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat(2)), { minLength: 1, maxLength: 3 }),
  })
  .map(({ name, edits }) => {
    const tokens = kernelText(name).match(/[A-Za-z_$%][\w$]*|\.[\w:]+|\d+|[^\s\w]|\s+/g)!;
    for (const [from, to, kind] of edits) {
      const [a, b] = [from % tokens.length, to % tokens.length];
      if (kind === 0) tokens.splice(a, 1);
      else if (kind === 1) tokens.splice(a, 0, tokens[b]!);
      else tokens[a] = tokens[b]!;
    }
    return tokens.join('');
  });

test('a text that is almost PTX runs, or ends with an error that has a place', () => {
  fc.assert(
    fc.property(almost, (text) => {
      try {
        const module = parsePtx(text);
        const entry = module.functions.find(({ isEntry }) => isEntry);
        if (entry === undefined) return;
        launch({
          ...{ module, kernel: entry.name, grid: [1, 1, 1], block: [32, 1, 1], sharedBytes: 1024 },
          mostInstructions: 1e5,
          arguments: entry.parameters.map((parameter, at) =>
            parameter.bytes === 8
              ? { kind: 'buffer', name: `p${at}`, bytes: new Uint8Array(4096), isWritten: true }
              : { kind: 'bytes', bytes: new Uint8Array(parameter.bytes) },
          ),
        });
      } catch (error) {
        expect(error instanceof PtxError || error instanceof EmulatorFault, String(error)).toBe(true);
        expect((error as PtxError | EmulatorFault).place?.line).toBeGreaterThan(0);
      }
    }),
    { numRuns: 60 },
  );
});
