/** Random programs on random meshes: devices compute together what one does, and send what is predicted. */

import { fault, predictedBytes, sentBytes } from '../../../compiler/partition/random-programs.ts';
import { partitionedOverField } from '../../fuzz/over-field.ts';
import { cutOver, draw } from '../../fuzz/subject.ts';
import type { Oracle } from '../mutant.ts';

const programs = 120;
const meshes = 2;

export const oracle: Oracle = () => {
  for (let at = 0; at < programs; at++) {
    const { program, seed, cuts } = draw(23, at, meshes);
    if (program.graph.outputs.length === 0) continue;
    for (const cut of cuts) {
      const subject = cutOver({ program, seed }, cut);
      if (subject === undefined) continue;
      const found = fault(subject.partitioned);
      // What is no number is told of neither way.
      if (found === 'not exact') continue;
      if (found !== undefined) return `program ${at}: ${found}`;
      const overField = partitionedOverField(subject);
      if (typeof overField === 'object') return `program ${at}, over a field: ${overField.broken}`;
      const [sent, predicted] = [sentBytes(subject.partitioned), predictedBytes(subject.partitioned.placed)];
      if (sent !== predicted) return `program ${at}: ${sent} bytes sent, ${predicted} predicted`;
    }
  }
  return undefined;
};
