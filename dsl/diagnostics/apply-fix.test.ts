import fc from 'fast-check';
import { expect, test } from 'vitest';
import { applyFix } from './apply-fix.ts';
import type { Edit, Fix } from './diagnostic.ts';

function edit(start: number, end: number, text: string, file = 'a.ricci'): Edit {
  return { span: { file, start, end }, text };
}

function fix(...edits: readonly Edit[]): Fix {
  return { message: 'change it', edits };
}

test('edits are to the text as it was, in any order', () => {
  expect(applyFix('abcdef', fix(edit(4, 6, 'XYZ'), edit(0, 1, ''), edit(2, 2, '+')))).toBe('b+cdXYZ');
});

test('insertions at one point keep their order, and come before a replacement there', () => {
  expect(applyFix('ab', fix(edit(1, 2, 'B'), edit(1, 1, '1'), edit(1, 1, '2')))).toBe('a12B');
});

test('only the edits of the file', () => {
  const both = fix(edit(0, 1, 'X'), edit(1, 2, 'Y', 'b.ricci'));
  expect(applyFix('ab', both)).toBe('Xb');
  expect(applyFix('ab', both, 'b.ricci')).toBe('aY');
  expect(applyFix('ab', fix())).toBe('ab');
});

test('overlapping edits and edits outside the text are refused', () => {
  expect(() => applyFix('abc', fix(edit(0, 2, ''), edit(1, 3, '')))).toThrow(RangeError);
  expect(() => applyFix('abc', fix(edit(2, 4, '')))).toThrow(RangeError);
});

test('the inverse edit restores the text', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.nat(), fc.nat(), (text, replacement, first, second) => {
      const [start, end] = [first % (text.length + 1), second % (text.length + 1)].sort((a, b) => a - b) as [
        number,
        number,
      ];
      const changed = applyFix(text, fix(edit(start, end, replacement)));
      const inverse = edit(start, start + replacement.length, text.slice(start, end));
      expect(applyFix(changed, fix(inverse))).toBe(text);
    }),
  );
});
