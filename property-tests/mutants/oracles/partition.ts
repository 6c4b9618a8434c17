/** Random programs on random meshes: devices compute together what one does, and send what is predicted. */

import { fault, predictedBytes, sentBytes } from '../../../compiler/partition/random-programs.ts';
import { partitionedOverField } from '../../fuzz/over-field.ts';
import { cutOver, draw } from '../../fuzz/subject.ts';
import { numbered, numberOf, type Oracle } from '../mutant.ts';

const meshes = 2;

export const oracle: Oracle = {
  cases: numbered(200),
  check: (name) => {
    const { program, seed, cuts } = draw(23, numberOf(name), meshes);
    if (program.graph.outputs.length === 0) return undefined;
    for (const cut of cuts) {
      const subject = cutOver({ program, seed }, cut);
      if (subject === undefined) continue;
      const found = fault(subject.partitioned);
      // What is no number is told of neither way.
      if (found === 'not exact') continue;
      if (found !== undefined) return found;
      const overField = partitionedOverField(subject);
      if (typeof overField === 'object') return `over a field: ${overField.broken}`;
      const [sent, predicted] = [sentBytes(subject.partitioned), predictedBytes(subject.partitioned.placed)];
      if (sent !== predicted) return `${sent} bytes sent, ${predicted} predicted`;
    }
    return undefined;
  },
};
