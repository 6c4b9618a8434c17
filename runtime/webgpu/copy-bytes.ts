/** A copy to bytes that begin or end within a word, which WebGPU's own copy cannot do. */
import type { KernelInterface, KernelSource } from './pipelines.ts';

const workgroupSize = 64;
const maxWorkgroups = 65_535;

/** `place` is the first byte to write, how many, and the first to read. */
const code = `
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> destination: array<u32>;
@group(0) @binding(2) var<uniform> place: vec4<u32>;

@compute @workgroup_size(${workgroupSize})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
  let first = place.x;
  let end = first + place.y;
  for (var word = first / 4u + id.x; word * 4u < end; word += workgroups.x * ${workgroupSize}u) {
    var value = destination[word];
    for (var lane = 0u; lane < 4u; lane++) {
      let at = word * 4u + lane;
      if (at >= first && at < end) {
        let position = at - first + place.z;
        let byte = (source[position / 4u] >> (8u * (position % 4u))) & 0xffu;
        value = (value & ~(0xffu << (8u * lane))) | (byte << (8u * lane));
      }
    }
    destination[word] = value;
  }
}
`;

export const copyBytesKernel: KernelInterface = {
  name: 'copy_bytes',
  bindings: ['read', 'readwrite'],
  counters: 1,
};

export const copyBytesSource: KernelSource = [copyBytesKernel, code];

export function copyBytesGrid(bytes: number): [number, number, number] {
  // One more word than the bytes fill, for the part of one at each end.
  return [Math.min(maxWorkgroups, Math.ceil((bytes / 4 + 1) / workgroupSize)), 1, 1];
}
